"""Records and verdicts as text: tables, comparisons, leaderboards, answers to claims, views.

The table of a suite (``table``), of which a ``selection`` is laid out once (``layout``) for a
terminal (``on_terminal``), as Markdown (``text``) and LaTeX (``latex``), CSV and JSON (``export``);
``history``, ``descriptions`` of what has a name, pictures (``charts``), the page (``html``) and the
``views`` of records. Imported are verdicts, suite, records, data, stats and core; no model is
loaded and no cell is run for a report. A new table is a file here, a new column an entry in
``columns``, a new view one in ``views``; text from elsewhere goes through ``bench.core.escape``.
"""
