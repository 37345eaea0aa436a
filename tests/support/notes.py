"""Progress that keeps what it is told."""

from __future__ import annotations

from bench.core.progress import Silent


class Notes(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, message: str) -> None:
        """Keep a message."""
        self.found.append(message)
