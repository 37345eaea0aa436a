"""Progress, told by long work and shown by whoever runs it."""

from __future__ import annotations

import logging
from typing import Protocol


class Progress(Protocol):
    """A sink for progress: one task at a time, in units the caller chooses."""

    def start(self, label: str, total: int) -> None:
        """Begin ``total`` units of work under a label."""

    def advance(self, done: int, label: str | None = None) -> None:
        """Set how many units of the current work are done, and what it is called from now on."""

    def note(self, message: str) -> None:
        """Tell something once."""


class Silent:
    """Progress that nobody watches."""

    def start(self, label: str, total: int) -> None:
        """Ignore the start."""

    def advance(self, done: int, label: str | None = None) -> None:
        """Ignore the count."""

    def note(self, message: str) -> None:
        """Ignore the message."""


def quiet_libraries() -> None:
    """Keep the bars and warnings of transformers and datasets out of our one bar."""
    import datasets
    import transformers

    # transformers does not annotate these two.
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
