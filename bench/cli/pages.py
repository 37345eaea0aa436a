"""Tables of scores, for a terminal or for whatever else stdout is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.cli.terminal import colours, on_terminal, say, show, terminal_width
from bench.report.selection import ALL, TableSelection

if TYPE_CHECKING:
    from bench.report.table import Table


def show_tables(
    tables: Sequence[Table], selection: TableSelection = ALL, *, paged: bool = False
) -> None:
    """Write tables to stdout.

    Args:
        tables: The tables, of the rows to show.
        selection: Columns and digits to show.
        paged: Whether a terminal may show them by its pager.
    """
    from bench.report.text import render

    if not on_terminal():
        for table in tables:
            say(render(table, width=terminal_width(), selection=selection) + "\n")
        return
    from bench.report.on_terminal import render_on_terminal

    pages = [
        render_on_terminal(table, width=terminal_width(), selection=selection, colours=colours())
        for table in tables
    ]
    show("\n\n".join(pages), paged=paged)
