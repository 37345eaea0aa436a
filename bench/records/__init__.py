"""Records: what a finished cell leaves on disk, and the only thing reports read.

Here live the schema (``entries``), the files of a record (``files``: paths, write, read, find),
what a score rests on (``evidence``) and the check that a record's figures follow from its items
(``verification``). Imported are core, metrics and statistics. A new fact of a cell is a field in
``entries``; the execution makes records, the verdicts and the report read them.
"""
