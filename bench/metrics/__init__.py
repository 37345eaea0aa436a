"""Metrics, one a file: plain functions over NumPy arrays.

Of ranks (``spearman``, ``ranking``), of labels (``classification``, ``clusters``), of similarities
(``cosine``, ``thresholds``), and of how vectors lie (``isotropy``, ``alignment``,
``intrinsic_dimension``, ``singular_values``), whose checks are in ``vectors``. Imported is core
alone, of which the blocks of long arrays, so that a metric can be tried on any array. A new metric
is a file here and an entry in ``tests/contract/metric_contracts.py``, which says what its best
value is and what does not count.
"""
