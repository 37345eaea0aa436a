"""A run: cells of suites, methods and seeds, each built, encoded, scored and recorded.

What a run consists of (``plan``) and downloads (``provision``), the cells one after the other
(``runner``), maps fitted to each task, scores and records (``fitting``, ``recording``), and what is
measured besides (``grid``, ``geometry``, ``environment``). Imported are models, tasks, method,
encoding, suite, data, records, metrics, stats and core. A new step of a cell is a file here that
``runner`` calls.
"""
