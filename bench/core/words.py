"""Numbers in words, as people read them."""

from __future__ import annotations

MB = 1_000_000


def plural(count: int, noun: str) -> str:
    """A number and its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever says it best."""
    if seconds < 1:
        return "less than a second"
    if seconds < 120:
        return plural(round(seconds), "second")
    minutes = round(seconds / 60)
    return plural(minutes, "minute") if minutes < 120 else f"{seconds / 3600:.1f} hours"


def megabytes(size: int) -> str:
    """A number of bytes in MB, with one digit below ten, and never none at all."""
    return f"{max(size / MB, 0.1):.1f} MB" if size < 10 * MB else f"{size / MB:.0f} MB"
