"""Tasks and phenomena as maps of colours, with the number in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.charts.heat import shade
from bench.report.html.material import Material, Shown
from bench.report.views import phenomena

# Shades of the style sheet.
_SHADES = 9


def tasks(material: Material) -> Mapping[str, Any] | None:
    """Methods by task; None of a suite with one task, which the leaderboard shows."""
    table = material.table
    if len(table.metrics) < 2:
        return None
    columns = {
        task: [shown.row.tasks[task] for shown in material.shown if task in shown.row.tasks]
        for task in table.metrics
    }
    items = {
        task: entry.items for record in material.records for task, entry in record.tasks.items()
    }
    return {
        "corner": "Method",
        "columns": [(task, f"{items[task]:,} items", table.metrics[task]) for task in columns],
        "rows": [
            (
                shown.name,
                "",
                [_cell(shown.row.tasks.get(task), of_task, 2) for task, of_task in columns.items()],
            )
            for shown in material.shown
        ],
        "note": "The stronger the colour, the higher the score among the methods on that task; "
        "what lies below nine tenths of them has none.",
    }


def by_phenomenon(material: Material) -> Mapping[str, Any] | None:
    """Phenomena by method; None where items do not say what they probe."""
    rows = phenomena.phenomena_of(material.records)
    if not rows:
        return None
    return {
        "corner": "Phenomenon",
        "columns": [(shown.name, "", "") for shown in material.shown],
        "rows": [
            (phenomenon, f"{task}, {items:,} items", _row(material.shown, task, phenomenon))
            for task, phenomenon, items in rows
        ],
        "note": f"{phenomena.NOTE} The stronger the colour, the higher the score among the methods "
        "on those items.",
    }


def _row(rows: Sequence[Shown], task: str, phenomenon: str) -> list[tuple[str, int | None]]:
    values = [phenomena.mean_value(shown.side.records, task, phenomenon) for shown in rows]
    known = [value for value in values if value is not None]
    return [_cell(value, known, 1) for value in values]


def _cell(value: float | None, others: Sequence[float], digits: int) -> tuple[str, int | None]:
    """A score and its shade; nothing where there is none."""
    if value is None:
        return "", None
    return f"{100 * value:.{digits}f}", round(_SHADES * shade(value, others))
