"""Transforms, for authors: methods whose vectors are maps of another method's.

``method`` has the base classes, ``covariance`` what several estimate. The maps themselves are in
``bench.encoding.maps``, fitting them to each task in ``bench.execution.fitting``. Imported are
method, encoding, data and core. A new transform is an adapter in ``methods``; what several
estimate goes here.
"""
