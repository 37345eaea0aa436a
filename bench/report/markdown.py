"""Text from elsewhere as Markdown that can be nothing but text."""

from __future__ import annotations

import re

_ACTIVE = re.compile(r"[\\`*_\[\]<>|~&#]")
_BACKTICKS = re.compile("`+")


def one_line(text: str) -> str:
    """Replace line breaks, and all else that cannot be printed, by spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def escape(text: str) -> str:
    """Escape text for a paragraph, a list or a cell of a table, on one line."""
    return _ACTIVE.sub(r"\\\g<0>", one_line(text))


def code(text: str) -> str:
    """Make a code span for a cell of a table, on one line."""
    # Tables are cut at pipes before code spans are looked for, so pipes are escaped even there.
    shown = one_line(text).replace("|", r"\|") or " "
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    # Of text between two spaces a renderer takes one off either end.
    if shown.strip() and not {" ", "`"}.isdisjoint({shown[0], shown[-1]}):
        shown = f" {shown} "
    return f"{fence}{shown}{fence}"
