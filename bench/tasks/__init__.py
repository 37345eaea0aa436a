"""Tasks: texts in, scores out, no model and no I/O but for rows.

The contract (``base``), a kind a file, all kinds by name (``kinds``), classifiers on frozen vectors
(``probes``), the rows of a task wherever its suite says they are (``rows``, ``loading``), and tasks
that mteb scores (``mteb``). Imported are method, encoding, suite, data, records, metrics, stats and
core. A new kind is a class in ``bench.suite.kinds``, a file here, a line in ``kinds``, and a case
in ``tests/contract/test_kinds.py``.
"""
