"""The built-in methods, one adapter a file; installed as ``bench.methods``.

What several adapters are made of: ``losses``, and ``parts`` of one or two methods; ``ensemble`` is
all of one. Imported are transforms, training, models, method, encoding, data, metrics and core;
nobody imports an adapter but through its entry point. A new method is a file here, an entry point
in pyproject.toml, and its smallest settings in ``tests/contract/test_methods.py``.
"""
