"""What is known of the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from tabulate import tabulate

PAGE = 100
_GAP = 2


def terminal_width(page: int = PAGE) -> int:
    """Columns of the terminal; where stdout is none, as many as a page of text holds."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else page


def listing(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Render a table of texts; on a terminal its widest columns are wrapped, between words."""
    columns = [*zip(*rows, strict=True)] if rows else [()] * len(headers)
    # The library keeps two columns more for a header.
    least = [len(header) + _GAP for header in headers]
    widths = [max([low, *map(len, texts)]) for low, texts in zip(least, columns, strict=True)]
    words = [
        max([low, *(len(word) for text in texts for word in text.split())])
        for low, texts in zip(least, columns, strict=True)
    ]
    limits: list[int | None] = [None] * len(widths)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    while room is not None and sum(widths) + _GAP * (len(widths) - 1) > room:
        spare = [i for i, width in enumerate(widths) if width > words[i]]
        if not spare:
            break
        widest = max(spare, key=lambda i: widths[i])
        widths[widest] -= 1
        limits[widest] = widths[widest]
    return tabulate(
        rows,
        headers,
        tablefmt="simple",
        disable_numparse=True,
        maxcolwidths=limits,
        break_long_words=False,
        break_on_hyphens=False,
    )
