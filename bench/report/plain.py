"""Text from elsewhere as a terminal shows it, and never obeys it."""

from __future__ import annotations


def plain(text: str) -> str:
    """Replace what cannot be printed by a visible escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
