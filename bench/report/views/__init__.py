"""Views of the records of a suite, one a file, each with the same ``render``.

Scores by phenomenon (``phenomena``), by layer and dimension (``grid``), by size (``curve``, drawn
by ``plot``), geometry and diagnostics; ``page`` has what they share. Imported are verdicts, records
and core, and of the report its table and text. A new view is a file here and a name in
``bench.cli.table``.
"""
