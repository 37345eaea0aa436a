"""The terminal: what is known of it, and what is written to it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bench.core.defaults import PAGE
from bench.core.escape import plain

_GAP = 2


def terminal_width(page: int = PAGE) -> int:
    """Columns of the terminal; where stdout is none, as many as a page of text holds."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else page


def on_terminal() -> bool:
    """Whether stdout is a terminal that shows more than letters."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def colours() -> bool:
    """Whether the user has colours, see https://no-color.org."""
    return not os.environ.get("NO_COLOR")


def say(text: str | Path, *, err: bool = False) -> None:
    """Write lines to stdout or stderr, and nothing that a terminal obeys."""
    _write("\n".join(map(plain, str(text).split("\n"))), err=err)


def complain(text: str) -> None:
    """Tell on stderr what the user should know beside the result."""
    say(f"bench: {text}", err=True)


def show(page: str, *, paged: bool = False) -> None:
    """Write what a terminal is to obey, by the pager where it is longer than the screen.

    Args:
        page: Text in whose parts from elsewhere nothing is left that a terminal obeys.
        paged: Whether it may go through the pager of the environment.
    """
    if paged and page.count("\n") >= shutil.get_terminal_size().lines:
        click.echo_via_pager(page, color=True)
    else:
        _write(page)


def _write(text: str, *, err: bool = False) -> None:
    click.echo(text, err=err, color=None if err else on_terminal() or None)


def listing(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Render a table of texts; on a terminal its widest columns are wrapped, between words."""
    # Imported late, as every verb imports this file and few print a table.
    from tabulate import tabulate

    return tabulate(
        rows,
        headers,
        tablefmt="simple",
        disable_numparse=True,
        maxcolwidths=_limits(rows, headers) if rows and sys.stdout.isatty() else None,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _limits(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> list[int | None]:
    """Widths of the columns to wrap for the terminal, none below its longest word."""
    # The library keeps two columns more for a header.
    least = [len(header) + _GAP for header in headers]
    columns = [*zip(*rows, strict=True)]
    whole = [max([low, *map(len, texts)]) for low, texts in zip(least, columns, strict=True)]
    words = [
        max([low, *(len(word) for text in texts for word in text.split())])
        for low, texts in zip(least, columns, strict=True)
    ]
    widths = [*whole]
    room = terminal_width() - _GAP * (len(widths) - 1)
    while sum(widths) > room:
        spare = [i for i, width in enumerate(widths) if width > words[i]]
        if not spare:
            break
        widths[max(spare, key=lambda i: widths[i])] -= 1
    # Only of these: the library reads numbers in a column that has a width.
    return [width if width < all_of else None for width, all_of in zip(widths, whole, strict=True)]
