"""Records: what a finished cell leaves on disk, and the only thing reports read.

Here live the schema (``entries``), the files of a record (``files``: paths, write, read, find), the
names of its arrays (``items``), what a score rests on (``evidence``) and the check that its figures
follow from its items (``verification``). Imported are core, metrics and stats. A new fact of a cell
is a field in ``entries``; the execution makes records, the verdicts and the report read them.
"""
