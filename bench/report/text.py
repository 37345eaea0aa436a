"""Tables as text: for a terminal, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

from tabulate import tabulate

from bench.core.escape import markdown, markdown_code, plain
from bench.report.columns import (
    DASH,
    DEVIATION,
    INTERVAL,
    METHOD,
    TableColumn,
    columns_of,
)
from bench.report.marks import (
    BELOW_BASE,
    CONTAMINATED,
    IMPORTED,
    IN_DOMAIN,
    OTHER_PROTOCOL,
    OTHER_ROWS,
    explain_marks,
)
from bench.report.table import Table, TableRow

Style = Literal["text", "markdown", "latex"]

_FORMATS = {"text": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
_LATEX = {
    DASH: "--",
    "±": r"$\pm$",
    BELOW_BASE: r"$\downarrow$",
    IMPORTED: r"$^\dagger$",
    CONTAMINATED: r"$^\ddagger$",
    IN_DOMAIN: r"$^\circ$",
    OTHER_ROWS: r"$\neq$",
    OTHER_PROTOCOL: r"$\not\equiv$",
}


def render(table: Table, *, style: Style = "text", width: int | None = None) -> str:
    """Render a table; scores times 100.

    Columns that say the same in every row move to the caption. Where a terminal has no room, the
    least telling are left out, and tasks that still do not fit come in a grid below.

    Args:
        table: The table.
        style: Plain text, GitHub Markdown, or LaTeX with the caption as comments.
        width: Columns of the terminal, or None for no limit.
    """
    columns = columns_of(table)
    shared = [(column, column.shared(table)) for column in columns]
    facts = [f"{column.name.lower()} {text}" for column, text in shared if text]
    shown = [column for column, text in shared if text is None]
    title = ", ".join([f"{table.suite}: {table.convention} convention", *facts])
    grids, below = _fitting(table, shown, style, width), notes(table, columns)
    if style == "latex":
        return "\n".join([f"% {plain(title)}", *grids, f"% {plain(below)}"])
    if style == "markdown":
        return "\n\n".join([f"### {markdown(title)}", *grids, markdown(below)])
    filled = [plain(text) if width is None else fill(plain(text), width) for text in (title, below)]
    return "\n\n".join([filled[0], *grids, filled[1]])


def notes(table: Table, columns: Collection[TableColumn]) -> str:
    """What is said below a table: units, how its figures were found, and what its marks mean."""
    average = "Avg is the mean of unrounded scores"
    if INTERVAL in columns:
        average += " with its 95% bootstrap interval over items"
    if DEVIATION in columns:
        average += "; ± is the standard deviation over seeds"
    of_columns = [column.note(table) for column in columns if column.note is not None]
    first = f"{_units(table)} × 100; {average}."
    return " ".join(filter(None, [first, *of_columns, *explain_marks(table)]))


def _units(table: Table) -> str:
    tasks: dict[str, list[str]] = {}
    for task, metric in table.metrics.items():
        tasks.setdefault(metric, []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return ", ".join(f"{metric} ({', '.join(names)})" for metric, names in tasks.items())


def _fitting(
    table: Table, shown: Sequence[TableColumn], style: Style, width: int | None
) -> list[str]:
    grid = _Grid(table, style)
    left = list(shown)
    expendable = [(column.expendable, column) for column in shown if column.expendable is not None]
    for _, column in sorted(expendable, key=lambda numbered: numbered[0]):
        if width is None or grid.width(left) <= width:
            break
        left.remove(column)
    if width is None or grid.width(left) <= width:
        return [grid.render(left)]
    results, tasks, facts = (
        [column for column in left if column.kind == kind] for kind in ("result", "task", "fact")
    )
    blocks = [results, *_blocks(grid, tasks, width), *_blocks(grid, facts, width)]
    return [grid.render(block) for block in blocks]


def _blocks(grid: _Grid, columns: Sequence[TableColumn], width: int) -> list[list[TableColumn]]:
    blocks: list[list[TableColumn]] = []
    for column in columns:
        if not blocks or grid.width([*blocks[-1], column]) > width:
            blocks.append([METHOD])
        blocks[-1].append(column)
    return blocks


@dataclass(frozen=True)
class _Grid:
    """Any of a table's columns, in one style."""

    table: Table
    style: Style

    def render(self, columns: Sequence[TableColumn]) -> str:
        """Render some of the columns."""
        text = tabulate(
            [[self._cell(row, column) for column in columns] for row in self.table.rows],
            [
                self._text(column.name) if column.kind == "task" else column.name
                for column in columns
            ],
            tablefmt=_FORMATS[self.style],
            colalign=["left" if column.left else "right" for column in columns],
            disable_numparse=True,
        )
        if self.style == "latex":
            for char, command in _LATEX.items():
                text = text.replace(char, command)
        return text

    def width(self, columns: Sequence[TableColumn]) -> int:
        """Characters of the longest line."""
        return max(len(line) for line in self.render(columns).splitlines())

    def _cell(self, row: TableRow, column: TableColumn) -> str:
        text = column.text(row)
        if not text:
            return "" if column.optional else DASH
        marks = "" if column.marks is None else column.marks(row)
        return (self._name(text) if column.code else text) + marks

    def _name(self, text: str) -> str:
        return markdown_code(text) if self.style == "markdown" else self._text(text)

    def _text(self, text: str) -> str:
        return markdown(text) if self.style == "markdown" else plain(text)
