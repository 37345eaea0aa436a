"""Tables on a terminal: bold, underlined and coloured."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table as Page
from rich.text import Text

from bench.core.escape import plain
from bench.report.columns import TableColumn
from bench.report.layout import Grid, GridCell, RowGroup, lay_out
from bench.report.selection import ALL, TableSelection
from bench.report.table import Table
from bench.report.text import below, filled

_STYLES = {0: "", 1: "bold green", 2: "underline"}
_HEADING = "bold cyan"


def render_on_terminal(
    table: Table, *, width: int, selection: TableSelection = ALL, colours: bool = True
) -> str:
    """Render a table with what a terminal obeys; scores times 100.

    Args:
        table: The table, of the rows to show.
        width: Columns of the terminal.
        selection: Columns and digits to show.
        colours: Whether it may have colours; bold and underlined it is in any case.
    """
    layout = lay_out(table, selection, width=width)
    parts: list[RenderableType] = [Text(filled(layout.title, width), style="bold")]
    for grid in layout.grids:
        parts += [Text(), _grid(grid)]
    notes = below(layout, width, f"Bold is the best {layout.scope}, underlined the second best.")
    parts.append(Text("\n" + "\n".join(notes), style="dim"))
    return _ansi(Group(*parts), width, colours=colours)


def _ansi(content: RenderableType, width: int, *, colours: bool) -> str:
    stream = io.StringIO()
    Console(
        file=stream,
        width=width,
        force_terminal=True,
        color_system="standard",
        no_color=not colours,
        legacy_windows=False,
    ).print(content, no_wrap=True, overflow="ignore", crop=False)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return "\n".join(lines)


def _grid(grid: Grid) -> Group:
    """A table of each base, all with the same widths, under one header."""
    parts: list[RenderableType] = []
    for place, group in enumerate(grid.groups):
        if place == 0:
            parts.append(_page(grid, (), header=True))
        if group.heading:
            parts.append(Text(plain(group.heading), style=_HEADING))
        parts.append(_page(grid, (group,), header=False))
    return Group(*parts)


def _page(grid: Grid, groups: Sequence[RowGroup], *, header: bool) -> Page:
    page = Page(
        box=SIMPLE_HEAD,
        show_edge=False,
        show_header=header,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for column, width in zip(grid.columns, grid.widths, strict=True):
        page.add_column(
            Text(plain(column.name)),
            justify="left" if column.left else "right",
            width=width,
            no_wrap=True,
        )
    for group in groups:
        for cells in group.rows:
            marks = zip(grid.columns, cells, grid.mark_widths, strict=True)
            page.add_row(*(_cell(*of_cell) for of_cell in marks))
    return page


def _cell(column: TableColumn, cell: GridCell, marks: int) -> Text:
    text = Text(plain(cell.text), style=_STYLES[cell.place])
    style = "" if column.left else "dim"
    return Text.assemble(text, (f"{cell.marks:<{marks}}", style))
