"""Records and verdicts as text: tables, comparisons, leaderboards, answers to claims, views.

The table of a suite (``table``) for a terminal, as Markdown and LaTeX (``text``), CSV and JSON
(``export``), the ``views`` of its records, and ``descriptions`` of what has a name. Imported are
verdicts, suite, records, data, stats and core; no model is loaded and no cell is run for a report.
A new table is a file here, a new column an entry in ``columns``, a new view one in ``views``; text
from elsewhere goes through ``bench.core.escape``.
"""
