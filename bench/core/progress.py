"""Progress, reported by long work and shown by whoever runs it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A sink for progress: one task at a time, in units the caller chooses."""

    def start(self, label: str, total: int) -> None:
        """Begin ``total`` units of work under a label."""

    def advance(self, done: int, label: str | None = None) -> None:
        """Set how many units of the current work are done, and what it is called from now on."""

    def note(self, message: str) -> None:
        """Report something once."""


class Silent:
    """Progress that nobody watches."""

    def start(self, label: str, total: int) -> None:
        """Ignore the start."""

    def advance(self, done: int, label: str | None = None) -> None:
        """Ignore the count."""

    def note(self, message: str) -> None:
        """Ignore the message."""
