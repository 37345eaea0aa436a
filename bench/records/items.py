"""Names of the per-item arrays of a record, ``task/part``.

``value`` has a number of each item of a task, (n,); ``replicates`` the scores on the resamples,
(R,), of a task or of the average; other parts are what a task keeps of its items besides.
"""

from __future__ import annotations

VALUE = "value"
REPLICATES = "replicates"
# Stands for a task in the name of the average's array.
ALL_TASKS = "average"


def items_key(task: str, part: str) -> str:
    """Name of an array of a task, or of the average."""
    return f"{task}/{part}"


def split_items_key(key: str) -> tuple[str, str]:
    """Task and part of a name; the name of a task may hold a slash, a part none."""
    task, _, part = key.rpartition("/")
    return task, part
