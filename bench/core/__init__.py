"""The ground: what knows nothing of sentences, methods or suites.

Files that are complete or absent, identity of values, files and code, names of entry points, specs,
locks, seals, escapes, and errors with their exit codes. Nothing of ours is imported here, not even
by a function. What has a word of the domain in its name belongs further up.
"""
