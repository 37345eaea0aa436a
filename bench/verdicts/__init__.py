"""What records say: differences of methods, ranks, the gate, and claims of papers.

All seeds of a method (``side``), two of them (``difference``), many (``rank``), a baseline
(``gate``), or the commit before (``history``), what papers claim and whether it holds (``papers``,
``claims``, ``answers``), and by which protocols scores may be compared (``protocol``). Imported
are method, suite, records, stats and core; nothing is rendered here. A new question to records is a
file here, its answer's words one in the report.
"""
