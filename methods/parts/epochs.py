"""What an epoch has of its sets, and how many updates of each task a training was made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bench.training.batches import Batches

Item = TypeVar("Item")


def of_passes(items: Callable[[int], Sequence[Item]], start: int, count: int) -> list[Item]:
    """Take items from passes that follow one another, each as long as the first.

    Args:
        items: Makes the items of a pass from its number.
        start: Number of the first one, counted over all passes.
        count: How many.
    """
    size = len(items(0))
    first, last = start // size, math.ceil((start + count) / size)
    row = [item for number in range(first, last) for item in items(number)]
    return row[start - first * size :][:count]


def shares(sizes: Sequence[int], total: int) -> list[int]:
    """Divide a number in proportion to sizes, at least one for each.

    What the rounding down leaves goes to those that it took most from, the first of equal ones
    before.

    Args:
        sizes: Sizes of the parts, at least one each.
        total: What is divided, at least as large as there are parts.
    """
    whole = sum(sizes)
    exact = [total * size / whole for size in sizes]
    counts = [max(1, math.floor(one)) for one in exact]
    order = sorted(range(len(sizes)), key=lambda part: counts[part] - exact[part])
    for part in order[: max(0, total - sum(counts))]:
        counts[part] += 1
    while sum(counts) > total:
        counts[counts.index(max(counts))] -= 1
    return counts


def count_updates(
    batches: Batches, task_of: Callable[[int], str], *, seed: int, steps: int
) -> Mapping[str, Mapping[str, int]]:
    """Count the optimizer steps that had rows of a task, and these rows.

    Args:
        batches: Makes the batches of an epoch.
        task_of: Names the task of a row.
        seed: Seed of the training.
        steps: Steps of the training.

    Returns:
        ``steps`` and ``rows`` of each task by its name, for the record of the training.
    """
    size = len(batches(seed, 0))
    made = of_passes(lambda epoch: batches(seed, epoch), 0, steps) if size else []
    updates: dict[str, dict[str, int]] = {}
    for batch in made:
        tasks = [task_of(row) for row in batch]
        for task in sorted(set(tasks)):
            counts = updates.setdefault(task, {"steps": 0, "rows": 0})
            counts["steps"] += 1
            counts["rows"] += tasks.count(task)
    return dict(sorted(updates.items()))
