"""What a recorded score rests on."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from bench.records.entries import Evidence, TaskEntry
from bench.stats.mcnemar import are_votes


def evidence_of(task: TaskEntry, values: NDArray[Any]) -> Evidence:
    """The evidence of a task's score, as it was recorded.

    Records from before it was kept tell it by the name of their metric.

    Args:
        task: What the record says of the task.
        values: Values of its items, (n,).
    """
    if task.evidence is not None:
        return task.evidence
    if task.metric == "MAP":
        return "means"
    if task.metric == "accuracy" and are_votes(values, task.main):
        return "votes"
    return "replicates"
