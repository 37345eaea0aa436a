"""Strengths and failures by phenomenon: mean item scores of each group of items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.records.entries import Record
from bench.report.text import Style
from bench.report.views.page import by_row, grids, heading, names_of, note, shown_code, shown_text

NOTE = (
    "Mean item score × 100 of the items that turn on a phenomenon; a task's scores compare within "
    "its own rows only. Items: STS how well a pair agrees in rank with the gold score, "
    "classification and NLI whether the label is right, reranking the average precision."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render phenomena as rows and methods as columns. See ``bench.report.views.Render``."""
    groups, rows = by_row(records), phenomena_of(records)
    if not rows:
        return None
    names = [shown_code(name, style) for name in names_of(groups).values()]
    cells = [
        [
            shown_text(task, style),
            shown_text(phenomenon, style),
            str(items),
            *(_cell(of, task, phenomenon) for of in groups.values()),
        ]
        for task, phenomenon, items in rows
    ]
    tables = grids(
        cells,
        ["Task", "Phenomenon", "Items", *names],
        style=style,
        width=width,
        kept=3,
        left=2,
    )
    return "\n\n".join([heading(f"{suite} by phenomenon", style), *tables, note(NOTE, width)])


def phenomena_of(records: Sequence[Record]) -> list[tuple[str, str, int]]:
    """Task, phenomenon and number of items of each group of items."""
    found = {
        (task, name): group.items
        for record in records
        for task, entry in record.tasks.items()
        for name, group in entry.phenomena.items()
    }
    return [(task, name, items) for (task, name), items in found.items()]


def mean_value(records: Sequence[Record], task: str, phenomenon: str) -> float | None:
    """Mean over seeds of what a method scores on a phenomenon, None where it has no such items."""
    entries = [record.tasks[task].phenomena for record in records if task in record.tasks]
    values = [groups[phenomenon].value for groups in entries if phenomenon in groups]
    return float(np.mean(values)) if values else None


def _cell(records: Sequence[Record], task: str, phenomenon: str) -> str:
    value = mean_value(records, task, phenomenon)
    return "" if value is None else f"{100 * value:.1f}"
