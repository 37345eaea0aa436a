"""The items on which two methods differ most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from bench.core.escape import plain
from bench.data.rows import Row
from bench.tasks.base import Task
from bench.verdicts.side import Side

_WIDTH = 60
_TEXTS = ("text", "sentence1", "sentence2", "premise", "hypothesis", "query")


def render_changes(a: Side, b: Side, tasks: Sequence[Task[Any]], count: int) -> str:
    """Render the items of all tasks whose value changed most between two methods.

    Args:
        a: The first method.
        b: The second method.
        tasks: Tasks of the suite, with their rows.
        count: Number of items.
    """
    found: list[tuple[float, str, Row]] = []
    for task in tasks:
        change = a.values(task.spec.name) - b.values(task.spec.name)
        for item in np.argsort(-np.abs(change), kind="stable")[:count]:
            found.append((float(change[item]), task.spec.name, task.item_rows()[item]))
    found.sort(key=lambda one: -abs(one[0]))
    rows = [
        [f"{100 * change:+.1f}", plain(name), _text(row)] for change, name, row in found[:count]
    ]
    grid = tabulate(
        rows,
        ["A − B", "Task", "Item"],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right", "left", "left"],
    )
    return f"The {len(rows)} items that differ most (item scores × 100)\n\n{grid}"


def _text(row: Row) -> str:
    texts = [_short(str(row[column])) for column in _TEXTS if column in row]
    labels = [f"{name} {row[name]}" for name in ("score", "label") if name in row]
    return plain(" | ".join([*texts, *labels]))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _WIDTH else words[: _WIDTH - 1] + "…"
