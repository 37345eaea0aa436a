"""Tasks of a suite, with their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import DataError, UsageError
from bench.data.access import DataAccess
from bench.data.rows import Row
from bench.suite import Suite, TaskSpec
from bench.tasks.base import Probing, Task
from bench.tasks.collection import limited
from bench.tasks.kinds import task_class
from bench.tasks.probes.devices import CPU
from bench.tasks.rows import available_parts, part_rows

# Two folds within each of two, which is the least that a probe can choose on.
_ROWS_TO_FOLD = 4


def load_tasks(
    suite: Suite, data: DataAccess, limit: int | None = None, device: str = CPU
) -> list[Task[Any]]:
    """Read the rows of a suite's tasks.

    Args:
        suite: The suite.
        data: Access to rows.
        limit: Rows of each part of a task, spread over all of them and over its labels, or None
            for all; of a collection queries, and documents besides those judged for them. Where a
            label then has fewer rows than a probe has folds, there are fewer folds.
        device: Torch device of probes, one that computes in float64.

    Raises:
        DataError: Rows are missing or changed.
        UsageError: The limit leaves too few rows of every label for any folds.
        CellError: A task cannot be scored on its rows.
    """
    loaded = []
    for spec in suite.tasks:
        roles = available_parts(spec, data)
        whole = {part: part_rows(suite, spec, part, data) for part in roles}
        parts = _limited(whole, limit)
        fitting = spec if limit is None else _with_fewer_folds(spec, parts, whole)
        try:
            task = task_class(spec)(fitting, parts, suite.convention)
        except DataError as error:
            if limit is None or all(len(parts[part]) == len(whole[part]) for part in parts):
                raise
            raise UsageError(f"--limit {limit} leaves too few rows: {error}") from None
        if isinstance(task, Probing):
            task.device = device
        loaded.append(task)
    return loaded


def _limited(whole: Mapping[str, list[Row]], limit: int | None) -> dict[str, list[Row]]:
    if limit is None or "corpus" not in whole:
        return {part: spread(rows, limit) for part, rows in whole.items()}
    return limited(whole, limit, spread)


def spread(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """Take rows from all over a file, of each label its share, in the file's order.

    Args:
        rows: The rows.
        limit: How many, or None for all.
    """
    if limit is None or limit >= len(rows):
        return [*rows]
    # Not the first ones: many files are sorted by label.
    order = sorted(range(len(rows)), key=lambda i: str(rows[i].get("label", "")))
    chosen = sorted(order[i * len(rows) // limit] for i in range(limit))
    return [rows[i] for i in chosen]


def _with_fewer_folds(
    spec: TaskSpec, parts: Mapping[str, list[Row]], whole: Mapping[str, list[Row]]
) -> TaskSpec:
    folds = getattr(spec, "folds", None)
    part = "train" if "train" in parts else "test"
    if folds is None or "dev" in parts or "label" not in spec.row_columns():
        return spec
    kept, rows = parts[part], whole[part]
    most = _rows_of_a_label(kept)
    if most < _ROWS_TO_FOLD:
        sizes = range(len(kept), len(rows) + 1)
        enough = (size for size in sizes if _rows_of_a_label(spread(rows, size)) >= _ROWS_TO_FOLD)
        least = next(enough, None)
        raise UsageError(
            f"task {spec.name}: {len(kept)} rows are too few for its labels; "
            + (
                f"it has no label of {_ROWS_TO_FOLD} rows at all, and cannot be split into folds"
                if least is None
                else f"the smallest --limit that works is {least}"
            )
        )
    return spec.model_copy(update={"folds": min(folds, max(2, most // 2))})


def _rows_of_a_label(rows: Sequence[Row]) -> int:
    """Rows of the most frequent label."""
    return max(Counter(str(row.get("label", "")) for row in rows).values())
