"""A run: cells of suites, methods and seeds, each built, encoded, scored and recorded.

What a run consists of (``plan``, ``cells``, ``suites``, ``trainings``) and downloads
(``provision``), text that is made for it (``back_translation``), the cells one after the other
(``runner``) with their models, vectors, maps, scores and records (``builds``, ``vectors``,
``fitting``, ``scoring``, ``scorers``, ``recording``), and what is measured besides (``grid``,
``geometry``, ``environment``). Imported are models, tasks, method, encoding, suite, tracking, data,
records, metrics, stats and core. A new step of a cell is a file here that ``runner`` calls.
"""
