"""Pictures of records, drawn by altair and written as SVG or PNG by vl-convert, without a browser.

How all of them look and become files (``drawing``, ``files``, ``suites``), and a file for each
picture: scores against what they cost (``cost``), differences with their intervals (``forest``),
scores as a map of colours (``heat``), against sizes of vectors (``curve``), steps of training
(``learning``) and over commits (``history``), and how vectors lie (``geometry``). Imported are
verdicts, suite, records, core, and of the report tables and views. A new picture is a file here.
"""
