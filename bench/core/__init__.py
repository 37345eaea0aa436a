"""The ground: what knows nothing of sentences, methods or suites.

Files that are complete or absent (``files``), identity of values, files and code (``fingerprint``,
``sources``), names of entry points (``registry``), specs, locks, seals, escapes, and errors with
their exit codes (``errors``). Imported is nothing of ours, not even by a function. A new helper
belongs here where no word of the domain is in its name; others go further up.
"""
