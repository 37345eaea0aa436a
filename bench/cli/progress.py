"""One progress bar on stderr, and log lines above it."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from bench.core.escape import plain


class Bar:
    """Progress on stderr: a bar on a terminal, a line for each phase elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(),
        )
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def start(self, label: str, total: int) -> None:
        """Replace the bar by a new one."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(plain(label), total=total)
        if not sys.stderr.isatty():
            self.note(f"  {label}: {total}")

    def advance(self, done: int, label: str | None = None) -> None:
        """Move the bar."""
        if self._task is not None:
            shown = None if label is None else plain(label)
            self._progress.update(self._task, completed=done, description=shown)

    def lane(self, title: str) -> BarLane:
        """A bar below for one of several works."""
        return BarLane(title, self._progress, self)

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(plain(message), markup=False, emoji=False)


class BarLane:
    """The bar of one of several works; elsewhere than on a terminal, its messages alone.

    Args:
        title: What it is called.
        bars: Where it is drawn.
        notes: Where it writes.
    """

    def __init__(self, title: str, bars: Progress, notes: Bar) -> None:
        self._title = title
        self._bars = bars
        self._notes = notes
        self._task = bars.add_task(plain(title), total=None)

    def start(self, label: str, total: int) -> None:
        """Begin anew with the bar."""
        self._bars.reset(self._task, total=total, description=self._named(label))

    def advance(self, done: int, label: str | None = None) -> None:
        """Move the bar."""
        shown = None if label is None else self._named(label)
        self._bars.update(self._task, completed=done, description=shown)

    def note(self, message: str) -> None:
        """Print a line above the bars; what is said of a work names it."""
        detail = message.startswith(" ")
        self._notes.note(f"  {self._title}: {message.strip()}" if detail else message)

    def end(self) -> None:
        """Take the bar away."""
        self._bars.remove_task(self._task)

    def _named(self, label: str) -> str:
        return plain(f"{self._title}: {label.strip()}")
