"""Tasks of a suite, with their rows."""

from __future__ import annotations

from typing import Any

from bench.data.access import DataAccess
from bench.data.rows import Row
from bench.data.source import available_parts, part_rows
from bench.suite import Suite
from bench.tasks import Task, task_class


def load_tasks(suite: Suite, data: DataAccess, limit: int | None = None) -> list[Task[Any]]:
    """Read the rows of a suite's tasks.

    Args:
        suite: The suite.
        data: Access to rows.
        limit: Rows of each part of a task, spread over all of them, or None for all.

    Raises:
        DataError: Rows are missing or changed.
        CellError: A task cannot be scored on its rows.
    """
    loaded = []
    for spec in suite.tasks:
        roles = available_parts(spec, data)
        parts = {part: _spread(part_rows(suite, spec, part, data), limit) for part in roles}
        loaded.append(task_class(spec)(spec, parts, suite.convention))
    return loaded


def _spread(rows: list[Row], limit: int | None) -> list[Row]:
    # Not the first ones: many files are sorted by label.
    if limit is None or limit >= len(rows):
        return rows
    return [rows[i * len(rows) // limit] for i in range(limit)]
