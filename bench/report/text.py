"""Tables as text: for pipes and files, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Literal

from tabulate import SEPARATING_LINE, tabulate

from bench.core.escape import markdown, markdown_code, plain
from bench.report.columns import TableColumn
from bench.report.layout import Grid, GridCell, Layout, lay_out, shown
from bench.report.selection import ALL, TableSelection
from bench.report.table import Table

Style = Literal["text", "markdown", "latex"]

# Marks of the best and of the second best score of a base, where a style has none of its own.
_PLACES = "¹²"
_EMPHASIS = {0: "", 1: "**", 2: "*"}


def render(
    table: Table,
    *,
    style: Style = "text",
    width: int | None = None,
    selection: TableSelection = ALL,
) -> str:
    """Render a table; scores times 100.

    Args:
        table: The table, of the rows to show.
        style: Plain text, GitHub Markdown, or LaTeX as of ``bench.report.latex``.
        width: Characters of a line of plain text, or None for no limit.
        selection: Columns and digits to show.
    """
    if style == "latex":
        from bench.report.latex import render_latex

        return render_latex(table, selection)
    if style == "markdown":
        layout = lay_out(table, selection)
        grids = [_markdown_grid(grid) for grid in layout.grids]
        notes = [markdown(layout.notes)]
        if layout.scope:
            notes.append(f"**Best** and *second best* {layout.scope}.")
        return "\n\n".join([f"### {markdown(layout.title)}", *grids, " ".join(notes)])
    layout = lay_out(table, selection, width=width, places=_PLACES)
    return "\n\n".join(
        [
            filled(layout.title, width),
            *(_plain_grid(grid) for grid in layout.grids),
            *below(layout, width, f"¹ best and ² second best {layout.scope}."),
        ]
    )


def below(layout: Layout, width: int | None, places: str) -> list[str]:
    """The legend of a table's names and its notes, as paragraphs.

    Args:
        layout: The table.
        width: Characters of a line, or None for no limit.
        places: What marks the best scores.
    """
    notes = f"{layout.notes} {places}" if layout.scope else layout.notes
    return [filled(text, width) for text in (layout.legend, notes) if text]


def filled(text: str, width: int | None) -> str:
    """A paragraph of plain text on lines of a width."""
    if width is None:
        return plain(text)
    # What names a method is to be copied in one piece.
    return fill(plain(text), width, break_long_words=False, break_on_hyphens=False)


def _plain_grid(grid: Grid) -> str:
    header = [plain(column.name) for column in grid.columns]
    rows = [
        [shown(cell, marks) for cell, marks in zip(cells, grid.mark_widths, strict=True)]
        for group in grid.groups
        for cells in group.rows
    ]
    # As a row, since the library keeps two characters more for a header than it takes.
    text = tabulate(
        [header, SEPARATING_LINE, *rows],
        tablefmt="simple",
        colalign=_alignments(grid.columns),
        disable_numparse=True,
        preserve_whitespace=True,
    )
    _, names, rule, *lines, _ = (line.rstrip() for line in text.splitlines())
    return "\n".join([names, rule, *_with_headings(grid, lines)])


def _with_headings(grid: Grid, lines: Sequence[str]) -> list[str]:
    """The lines of rows, those of each base under its heading."""
    rows = iter(lines)
    headed = []
    for group in grid.groups:
        headed += [plain(group.heading)] * bool(group.heading)
        headed += [next(rows) for _ in group.rows]
    return headed


def _markdown_grid(grid: Grid) -> str:
    rows: list[list[str]] = []
    for group in grid.groups:
        if group.heading:
            heading = f"**{markdown(group.heading)}**"
            rows.append([heading * (column.code and column.left) for column in grid.columns])
        rows += [
            [_markdown_cell(column, cell) for column, cell in zip(grid.columns, cells, strict=True)]
            for cells in group.rows
        ]
    return tabulate(
        rows,
        [
            markdown(column.name) if column.kind == "task" else column.name
            for column in grid.columns
        ],
        tablefmt="pipe",
        colalign=_alignments(grid.columns),
        disable_numparse=True,
    )


def _markdown_cell(column: TableColumn, cell: GridCell) -> str:
    is_code = column.code and not cell.missing
    text = markdown_code(cell.text) if is_code else markdown(cell.text)
    emphasis = _EMPHASIS[cell.place]
    return f"{emphasis}{text}{emphasis}{cell.marks}"


def _alignments(columns: Sequence[TableColumn]) -> list[str]:
    return ["left" if column.left else "right" for column in columns]
