"""Strengths and failures by phenomenon: mean item scores of each group of items."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from tabulate import tabulate

from bench.record import Record
from bench.report import markdown
from bench.report.plain import plain
from bench.report.text import Style

_NOTE = (
    "Mean item score × 100 of the items that turn on a phenomenon; a task's scores compare within "
    "its own rows only. Items: STS how well a pair agrees in rank with the gold score, "
    "classification and NLI whether the label is right, reranking the average precision."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render phenomena as rows and methods as columns, or None where the rows name none.

    Args:
        suite: Name of the suite.
        records: Records of the suite; seeds of a method are averaged.
        style: ``text`` or ``markdown``.
        width: Columns of the terminal, or None for no limit; methods that do not fit come in a
            grid below.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(f"{record.method.spec}{_scale(record)}", []).append(record)
    rows = _rows(records)
    if not rows:
        return None
    title = f"{suite} by phenomenon"
    grids = _grids(rows, groups, style, width)
    note = _NOTE if width is None else fill(_NOTE, width)
    return "\n\n".join([_head(title, style), *grids, note])


def _head(title: str, style: Style) -> str:
    return f"### {markdown.escape(title)}" if style == "markdown" else plain(title)


def _scale(record: Record) -> str:
    scale = f" {record.profile}" if record.method.trained else ""
    return scale if record.limit is None else f"{scale} first {record.limit}"


def _rows(records: Sequence[Record]) -> list[tuple[str, str, int]]:
    found = {
        (task, name): group.items
        for record in records
        for task, entry in record.tasks.items()
        for name, group in entry.phenomena.items()
    }
    return [(task, name, items) for (task, name), items in found.items()]


def _grids(
    rows: Sequence[tuple[str, str, int]],
    groups: dict[str, list[Record]],
    style: Style,
    width: int | None,
) -> list[str]:
    grids: list[str] = []
    names = list(groups)
    while names:
        shown = len(names)
        text = _grid(rows, groups, names, style)
        while width is not None and shown > 1 and len(text.splitlines()[0]) > width:
            shown -= 1
            text = _grid(rows, groups, names[:shown], style)
        grids.append(text)
        names = names[shown:]
    return grids


def _grid(
    rows: Sequence[tuple[str, str, int]],
    groups: dict[str, list[Record]],
    names: Sequence[str],
    style: Style,
) -> str:
    shown = markdown.escape if style == "markdown" else plain
    cells = [
        [
            shown(task),
            shown(phenomenon),
            str(items),
            *(_cell(groups[name], task, phenomenon) for name in names),
        ]
        for task, phenomenon, items in rows
    ]
    return tabulate(
        cells,
        [
            "Task",
            "Phenomenon",
            "Items",
            *map(markdown.code if style == "markdown" else plain, names),
        ],
        tablefmt="pipe" if style == "markdown" else "simple",
        colalign=["left", "left", "right", *("right" for _ in names)],
        disable_numparse=True,
    )


def _cell(records: Sequence[Record], task: str, phenomenon: str) -> str:
    entries = [record.tasks[task].phenomena for record in records if task in record.tasks]
    values = [groups[phenomenon].value for groups in entries if phenomenon in groups]
    return f"{100 * np.mean(values):.1f}" if values else ""
