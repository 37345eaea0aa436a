"""Progress, told by long work and shown by whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """A sink for progress: one task at a time, in units the caller chooses."""

    def start(self, label: str, total: int) -> None:
        """Begin ``total`` units of work under a label."""

    def advance(self, done: int) -> None:
        """Set how many units of the current work are done."""

    def note(self, message: str) -> None:
        """Tell something once."""


class Silent:
    """Progress that nobody watches."""

    def start(self, label: str, total: int) -> None:
        """Ignore the start."""

    def advance(self, done: int) -> None:
        """Ignore the count."""

    def note(self, message: str) -> None:
        """Ignore the message."""


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the bars and warnings of transformers and datasets out of our one bar."""
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    yield
