"""A table laid out for a page: titles, columns in blocks, rows under their base, notes.

What is the same for a terminal, plain text, Markdown and LaTeX is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.core.escape import plain
from bench.report.columns import (
    AVERAGE,
    BASE,
    DASH,
    DEVIATION,
    INTERVAL,
    METHOD,
    TableColumn,
    columns_of,
    unranked_note,
)
from bench.report.marks import explain_marks
from bench.report.names import explain_labels, row_names, shortened
from bench.report.selection import ALL, TableSelection, select_columns
from bench.report.table import Table, TableRow
from bench.suite import split_part

GAP = 2
# Lengths that long names are cut to, the first that makes a table fit.
_LENGTHS = (40, 32, 24, 16)
# What a score says nothing good or bad of.
_NO_MERIT = {"TwoNN"}


@dataclass(frozen=True)
class GridCell:
    """A cell as it is shown, before it is escaped.

    Attributes:
        text: Its text.
        marks: What follows it.
        place: 1 for the best score of a base, 2 for the second best, else 0.
        missing: Whether there is nothing to say, which the text says.
    """

    text: str
    marks: str = ""
    place: int = 0
    missing: bool = False


@dataclass(frozen=True)
class RowGroup:
    """The rows of a base.

    Attributes:
        heading: What they have in common, empty where there is a single group.
        rows: Cells of each row.
    """

    heading: str
    rows: tuple[tuple[GridCell, ...], ...]


@dataclass(frozen=True)
class Grid:
    """Columns that stand side by side.

    Attributes:
        columns: The columns.
        groups: Their cells.
    """

    columns: tuple[TableColumn, ...]
    groups: tuple[RowGroup, ...]

    @cached_property
    def widths(self) -> list[int]:
        """Characters of each column."""
        rows = [row for group in self.groups for row in group.rows]
        return [
            max(len(plain(column.name)), *(len(shown(cells[place], marks)) for cells in rows))
            for place, (column, marks) in enumerate(
                zip(self.columns, self.mark_widths, strict=True)
            )
        ]

    @cached_property
    def mark_widths(self) -> list[int]:
        """Characters that the marks of a column of numbers take, for digits to stand in line."""
        rows = [row for group in self.groups for row in group.rows]
        return [
            0 if column.left else max(len(cells[place].marks) for cells in rows)
            for place, column in enumerate(self.columns)
        ]

    @property
    def width(self) -> int:
        """Characters of a line."""
        return sum(self.widths) + GAP * (len(self.columns) - 1)


@dataclass(frozen=True)
class Layout:
    """A table for a page.

    Attributes:
        title: Suite, convention, and what all rows have in common.
        grids: Its columns, in one grid or in several below each other.
        notes: What units, columns and marks mean.
        legend: What cut names stand for.
        scope: Among what the best scores are marked, such as ``of a base``; empty where none is.
    """

    title: str
    grids: tuple[Grid, ...]
    notes: str
    legend: str
    scope: str


def shown(cell: GridCell, marks: int) -> str:
    """A cell as plain text, its marks filled up to a width."""
    return f"{plain(cell.text)}{cell.marks:<{marks}}"


def lay_out(
    table: Table, selection: TableSelection = ALL, *, width: int | None = None, places: str = ""
) -> Layout:
    """Lay out a table.

    Columns that say the same in every row move to the title. Where a page has no room, the least
    telling are left out, long names are cut, and tasks that still do not fit come in a grid below.

    Args:
        table: The table, of the rows to show.
        selection: Columns and digits to show.
        width: Characters of a line, or None for no limit.
        places: Marks of the best and the second best score of a base, or empty for none.
    """
    columns = columns_of(table, selection.digits)
    shared = [(column, column.shared(table)) for column in columns]
    facts = [f"{column.name.lower()} {text}" for column, text in shared if text]
    whole, part = split_part(table.suite)
    if part:
        facts.insert(0, f"part of {whole}")
    grouped = len({row.base for row in table.rows}) > 1
    left = [
        column
        for column, text in shared
        if text is None and not (grouped and column.field == BASE.field)
    ]
    chosen = select_columns(left if not selection.columns else columns, selection.columns)
    if table.rows_in_all is not None:
        facts.append(f"{len(table.rows)} of {table.rows_in_all} rows")
    names = row_names(table.rows)
    maker = _GridMaker(table, names, places)
    grids, tails = _fitting(maker, chosen, width, is_fixed=bool(selection.columns))
    shown_columns = [column for grid in grids for column in grid.columns]
    return Layout(
        title=", ".join([f"{table.suite}: {table.convention} convention", *facts]),
        grids=tuple(grids),
        notes=" ".join(
            [
                *_notes(table, columns if not selection.columns else shown_columns),
                *explain_labels(table.rows, names),
            ]
        ),
        legend=f"{'; '.join(tails)}." if tails else "",
        scope=_scope(grids, is_part=table.rows_in_all is not None),
    )


def _scope(grids: Sequence[Grid], *, is_part: bool) -> str:
    """Among what the best scores are marked, empty where none is."""
    groups = [group for grid in grids for group in grid.groups]
    if not any(cell.place for group in groups for cells in group.rows for cell in cells):
        return ""
    if not groups[0].heading:
        return "of these rows"
    return "of a base among these rows" if is_part else "of a base"


def _notes(table: Table, columns: Collection[TableColumn]) -> list[str]:
    fields = {column.field for column in columns}
    average = "Avg is the mean of unrounded scores"
    if INTERVAL.field in fields:
        average += " with its 95% bootstrap interval over items"
    if DEVIATION.field in fields:
        average += "; ± is the standard deviation over seeds"
    notes = [column.note(table) for column in columns if column.note is not None]
    first = f"{_units(table)} × 100; {average}."
    whole, part = split_part(table.suite)
    partly = f"Only these tasks of {whole} were run, and Avg is over them alone." if part else None
    tasks = {column.name for column in columns if column.kind == "task"}
    marks = explain_marks(table, tasks)
    return list(filter(None, [first, partly, *notes, unranked_note(table), *marks]))


def _units(table: Table) -> str:
    tasks: dict[str, list[str]] = {}
    for task, metric in table.metrics.items():
        tasks.setdefault(metric, []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return ", ".join(f"{metric} ({', '.join(names)})" for metric, names in tasks.items())


def _fitting(
    maker: _GridMaker, columns: Sequence[TableColumn], width: int | None, *, is_fixed: bool
) -> tuple[list[Grid], Sequence[str]]:
    """Grids of some columns that fit a page, and what is behind cut names."""
    if width is None:
        return [maker.grid(columns)], []
    pages: list[tuple[list[Grid], Sequence[str]]] = []
    for cut in (maker, *(maker.cut(most) for most in _LENGTHS)):
        grids = _grids(cut, columns, width, is_fixed=is_fixed)
        pages.append((grids, cut.tails))
        if len(grids) == 1 and grids[0].width <= width:
            break
    # Of several that are as good the one with the longest names, which is the first.
    return min(pages, key=lambda page: (len(page[0]), max(grid.width for grid in page[0]) > width))


def _grids(
    maker: _GridMaker, columns: Sequence[TableColumn], width: int, *, is_fixed: bool
) -> list[Grid]:
    left = list(columns)
    expendable = [] if is_fixed else [one for one in left if one.expendable is not None]
    for column in sorted(expendable, key=lambda one: one.expendable or 0):
        if maker.grid(left).width <= width:
            break
        left.remove(column)
    if maker.grid(left).width <= width:
        return [maker.grid(left)]
    if is_fixed:
        return _blocks(maker, [column for column in left if column != METHOD], width)
    results, tasks, facts = (
        [column for column in left if column.kind == kind] for kind in ("result", "task", "fact")
    )
    # What is left of the page beside the results takes as many facts as fit.
    while facts and maker.grid([*results, facts[0]]).width <= width:
        results.insert(_behind_method(results), facts.pop(0))
    return [
        maker.grid(results),
        *_blocks(maker, tasks, width),
        *_blocks(maker, facts, width),
    ]


def _behind_method(columns: Sequence[TableColumn]) -> int:
    """Where the next fact belongs: behind the method and the facts that are there."""
    return next(
        place
        for place in range(columns.index(METHOD) + 1, len(columns) + 1)
        if place == len(columns) or columns[place].kind != "fact"
    )


def _blocks(maker: _GridMaker, columns: Sequence[TableColumn], width: int) -> list[Grid]:
    blocks: list[list[TableColumn]] = []
    for column in columns:
        if not blocks or maker.grid([*blocks[-1], column]).width > width:
            blocks.append([METHOD])
        blocks[-1].append(column)
    return [maker.grid(block) for block in blocks]


@dataclass(frozen=True)
class _GridMaker:
    """Any of a table's columns as a grid."""

    table: Table
    names: Mapping[str, str]
    places: str
    tails: Sequence[str] = ()

    def cut(self, most: int) -> _GridMaker:
        """The same with names of at most some characters."""
        names, tails = shortened(self.names, most)
        return _GridMaker(self.table, names, self.places, tails)

    def grid(self, columns: Sequence[TableColumn]) -> Grid:
        """The grid of some columns."""
        bases = list(dict.fromkeys(row.base for row in self.table.rows))
        groups = []
        for base in bases:
            rows = [row for row in self.table.rows if row.base == base]
            ranked = [_places(rows, column, self.table) for column in columns]
            heading = "" if len(bases) == 1 else _heading(base)
            cells = [
                tuple(
                    self._cell(row, column, places.get(row.id, 0))
                    for column, places in zip(columns, ranked, strict=True)
                )
                for row in rows
            ]
            groups.append(RowGroup(heading, tuple(cells)))
        return Grid(tuple(columns), tuple(groups))

    def _cell(self, row: TableRow, column: TableColumn, place: int) -> GridCell:
        text = self.names[row.id] if column == METHOD else column.text(row)
        if not text:
            return GridCell("" if column.optional else DASH, missing=True)
        marks = "" if column.marks is None else column.marks(row)
        mark = self.places[place - 1] if self.places and place else ""
        return GridCell(text, mark + marks, place)


def _heading(base: str | None) -> str:
    return "without a base" if base is None else f"base {base}"


def _places(rows: Sequence[TableRow], column: TableColumn, table: Table) -> dict[str, int]:
    """Place of the best and the second best rows of a base in a column of scores, by their id.

    Rows that show the same share a place. Rows without a rank, as of other data, take no part
    where others have one.
    """
    if column.kind != "task" and column.field != AVERAGE.field:
        return {}
    if _NO_MERIT & set(table.metrics.values()) and table.metrics.get(column.name) in {
        *_NO_MERIT,
        None,
    }:
        return {}
    ranked = [row for row in rows if row.rank is not None] or rows
    scores = {row.id: float(text) for row in ranked if (text := column.text(row))}
    best = sorted(set(scores.values()), reverse=True)
    # Of one row, or of all alike, none is best; of two, the other is no second.
    chosen = best[: min(2, len(best) - 1)]
    return {row_id: 1 + chosen.index(score) for row_id, score in scores.items() if score in chosen}
