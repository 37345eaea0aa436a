"""The items on which two methods differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from bench.core.escape import plain
from bench.data.rows import Row
from bench.verdicts.side import Side

_WIDTH = 60
TEXTS = ("text", "sentence1", "sentence2", "premise", "hypothesis", "query")


def render_changes(a: Side, b: Side, rows: Mapping[str, Sequence[Row]], count: int) -> str:
    """Render the items of all tasks whose value changed most between two methods.

    Args:
        a: The first method.
        b: The second method.
        rows: Rows that the items belong to, by task.
        count: Number of items.
    """
    changed: list[tuple[float, str, Row]] = []
    for task, of_task in rows.items():
        change = a.values(task) - b.values(task)
        for item in np.argsort(-np.abs(change), kind="stable")[:count]:
            changed.append((float(change[item]), task, of_task[item]))
    changed.sort(key=lambda item: -abs(item[0]))
    cells = [
        [f"{100 * change:+.1f}", plain(task), _text(row)] for change, task, row in changed[:count]
    ]
    grid = tabulate(
        cells,
        ["A − B", "Task", "Item"],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right", "left", "left"],
    )
    return f"The {len(cells)} items that differ most (item scores × 100)\n\n{grid}"


def _text(row: Row) -> str:
    texts = [_short(str(row[column])) for column in TEXTS if column in row]
    labels = [f"{name} {row[name]}" for name in ("score", "label") if name in row]
    return plain(" | ".join([*texts, *labels]))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _WIDTH else words[: _WIDTH - 1] + "…"
