"""Progress, reported by long work and shown by whoever runs it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


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


class Lane(Progress, Protocol):
    """Progress of one of several works that go on at the same time."""

    def rename(self, title: str) -> None:
        """Go by another title from now on."""

    def end(self) -> None:
        """Show it no more."""


@runtime_checkable
class Lanes(Protocol):
    """A sink for the progress of several works at the same time."""

    def lane(self, title: str) -> Lane:
        """Show one more work, under a title, until it ends."""


class _Unseen(Silent):
    def rename(self, title: str) -> None:
        """Nothing is shown."""

    def end(self) -> None:
        """Nothing was shown."""


def open_lane(progress: Progress, title: str) -> Lane:
    """A lane of a sink, or one that nobody watches where it has none."""
    return progress.lane(title) if isinstance(progress, Lanes) else _Unseen()
