"""Records and verdicts as text: tables, comparisons, leaderboards, answers to claims, views.

For a terminal, as Markdown, LaTeX, CSV and JSON. Imported are verdicts, records, statistics, core
and what rows are; no model is loaded and no cell is run for a report. A new table is a file here,
a new column an entry in ``columns``, a new view one in ``views``; text from elsewhere goes through
``bench.core.escape``.
"""
