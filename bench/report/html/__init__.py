"""Records as one page for a browser: a file without a server, in which nothing is loaded.

What a suite's records give (``material``), a file for each part of the page (``parts`` has their
order), the page itself (``page``), and one of two folders for a pull request (``diff``). Numbers
are those of tables and verdicts; templates and the script only place them. Imported are verdicts,
suite, records, data, core, and of the report its tables, views and charts. A new part is a file
here, a template and an entry in ``parts``.
"""
