"""The leaderboard: the columns of the table, a section a base, intervals as bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from bench.report.columns import AVERAGE, INTERVAL, METHOD, TableColumn, columns_of
from bench.report.export import to_csv
from bench.report.html.material import Material, Shown
from bench.report.html.span import Span
from bench.report.layout import lay_out
from bench.report.table import Table, TableRow
from bench.report.text import render

# At first a reader wants to know how good, then what it takes; the rest can be asked for.
_HIDDEN = {"Base", "Profile", "Device", "Dim", "Bytes", "Params", "±", "Train s", "Memory"}
_LOWEST = 10


@dataclass(frozen=True)
class BoardCell:
    """A cell.

    Attributes:
        text: What is shown.
        value: What is sorted by, as text; empty for nothing.
        marks: What follows the text.
        best: Whether no comparable row has more.
        bar: Left end, middle and right end of an interval; None where none is drawn.
    """

    text: str
    value: str
    marks: str = ""
    best: bool = False
    bar: tuple[str, str, str] | None = None


def context(material: Material) -> Mapping[str, Any]:
    """What the template needs."""
    table = material.table
    columns = _ordered(table)
    best = {column.name: _best(table, column) for column in columns}
    span = _span(table)
    rows = [
        {
            "id": shown.id,
            "base": shown.row.base or "",
            "profile": shown.row.profile or "",
            "spec": shown.row.spec,
            "name": shown.name,
            "rank": shown.row.rank,
            "is_base": shown.row.spec == shown.row.base,
            "cells": [_cell(shown, column, best[column.name], span) for column in columns],
        }
        for shown in material.shown
    ]
    return {
        "columns": [
            {
                "name": column.name,
                "left": column.left,
                "hidden": column.name in _HIDDEN,
                "method": column.field == METHOD.field,
                "interval": column.field == INTERVAL.field,
                "note": table.metrics.get(column.name, "") if column.kind == "task" else "",
            }
            for column in columns
        ],
        "sections": [
            {"base": base, "rows": _section([*members])}
            for base, members in groupby(rows, key=lambda row: str(row["base"]))
        ],
        "bases": sorted({row.base for row in table.rows if row.base}),
        "profiles": sorted({row.profile for row in table.rows if row.profile}),
        "title": _facts(table),
        "notes": lay_out(table).notes,
        "is_cut": any(_is_off(row, span) for row in table.rows),
        "ticks": span.ticks(3),
        "copies": {
            "Markdown": render(table, style="markdown"),
            "LaTeX": render(table, style="latex"),
            "CSV": to_csv([table]),
        },
    }


def _section(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a base, the base itself first, and which of them share the rank of the one above."""
    ordered = sorted(rows, key=lambda row: not row["is_base"])
    above = None
    for row in ordered:
        row["tied"] = row["rank"] is not None and row["rank"] == above
        above = row["rank"]
    return ordered


def _ordered(table: Table) -> list[TableColumn]:
    """Columns with the average and its interval next to the method."""
    columns = columns_of(table)
    # By field: columns of a table are copies that know its number of digits.
    leading = [column for column in columns if column.field in (AVERAGE.field, INTERVAL.field)]
    others = [column for column in columns if column not in leading]
    place = others.index(METHOD) + 1
    return [*others[:place], *leading, *others[place:]]


def _facts(table: Table) -> str:
    shared = [(column.name, column.shared(table)) for column in columns_of(table)]
    facts = [f"{name.lower()} {text}" for name, text in shared if text]
    return ", ".join([f"{table.convention} convention", *facts])


def _cell(shown: Shown, column: TableColumn, best: float | None, span: Span) -> BoardCell:
    row, is_name = shown.row, column.field == METHOD.field
    value = shown.name if is_name else column.value(row)
    bar = None
    if column.field == INTERVAL.field and row.ci95 is not None and not _is_off(row, span):
        middle = row.average if row.average is not None else row.ci95[0]
        low, centre, high = (
            span.place(100 * score) for score in (row.ci95[0], middle, row.ci95[1])
        )
        bar = (low, centre, high)
    return BoardCell(
        text=shown.name if is_name else column.text(row),
        value=_sortable(value),
        marks=column.marks(row).strip() if column.marks else "",
        best=best is not None and value == best and _is_comparable(row),
        bar=bar,
    )


def _is_off(row: TableRow, span: Span) -> bool:
    """Whether the interval of a row lies left of what the bars show."""
    return row.ci95 is not None and not span.holds(100 * row.ci95[0])


def _sortable(value: Any) -> str:
    """A value by which a column is sorted: numbers unrounded, intervals by their lower end."""
    if isinstance(value, tuple):
        return repr(value[0])
    return "" if value is None else str(value)


def _best(table: Table, column: TableColumn) -> float | None:
    if column.field != AVERAGE.field and column.kind != "task":
        return None
    values = [column.value(row) for row in table.rows if _is_comparable(row)]
    known = [value for value in values if value is not None]
    return max(known) if len(known) > 1 else None


def _is_comparable(row: TableRow) -> bool:
    return row.limit is None and not row.other_rows and not row.other_protocol


def _span(table: Table) -> Span:
    """The range of the bars; what lies far below all others has none, and they keep their width."""
    intervals = [
        (100 * row.ci95[0], 100 * row.ci95[1]) for row in table.rows if row.ci95 is not None
    ]
    if not intervals:
        return Span(0.0, 100.0)
    low = float(np.percentile([interval[0] for interval in intervals], _LOWEST))
    return Span.around([interval for interval in intervals if interval[0] >= low])
