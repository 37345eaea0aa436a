"""Views of the records of a suite, one a file, each with the same ``render``.

``page`` has what they share. Imported are verdicts, records and core. A new view is a file here
and a name in ``bench.cli.table``.
"""
