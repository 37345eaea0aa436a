"""Rows and training text: known by name, checked, and fetched where they are not here.

What there is (``catalog``), reading it (``access``), getting it (``fetch``, ``download``, ``hub``),
reading public files (``formats``) and making rows of them (``steps``), and what methods learn from
(``corpora``, ``definitions``, ``graded``, ``retrieval``). Imported is core. A new data set is an
entry of ``suites/datasets.toml`` and no code; a new kind of training text is a file here.
"""
