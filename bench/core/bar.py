"""Progress bars on stderr, and log lines above them."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.progress_bar import ProgressBar
from rich.text import Text

from bench.core.escape import plain

# Seconds of which the speed is that of the time left: a cell may take hours.
_WHOLE_RUN = 7 * 24 * 3600
# What is counted, by the first word of a label that does not say it itself.
_UNITS = {
    "cells": "cells",
    "choose": "texts",
    "encode": "texts",
    "guess": "sentences",
    "jobs": "jobs",
    "score": "cuts",
    "translate": "texts",
    "verify": "data sets",
}
_USUAL_UNIT = "steps"


def in_words(label: str, total: int) -> str:
    """A phase and how much there is to do, where no bar shows it."""
    if total <= 1:
        return label
    first, _, last = label.partition(",")
    if last.strip().endswith("MB"):
        return f"{label.removesuffix('MB').rstrip(', ')}, {total:,} MB"
    unit = _UNITS.get(first.split()[0] if first else "", _USUAL_UNIT)
    return f"{label}: {total:,} {unit}"


def _is_single(task: Task) -> bool:
    # A bar that goes from nothing to all at once tells nothing but that something goes on.
    return task.total is None or task.total <= 1


class _Bar(BarColumn):
    """How much is done, or that something is being done."""

    def render(self, task: Task) -> ProgressBar:
        bar = super().render(task)
        bar.pulse = bar.pulse or _is_single(task)
        return bar


class _Count(ProgressColumn):
    """How much is done of what, where there is more than one."""

    def render(self, task: Task) -> Text:
        if task.total is None or _is_single(task):
            return Text("")
        return Text(f"{int(task.completed):,}/{int(task.total):,}")


class Bar:
    """Progress on stderr: bars on a terminal, a line for each phase elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            _Bar(),
            _Count(),
            Remaining(),
        )
        self._progress = Progress(
            *columns, console=self._console, transient=True, speed_estimate_period=_WHOLE_RUN
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        # Bars of libraries are switched off, and need no widgets in a notebook that has none.
        warnings.filterwarnings("ignore", message="IProgress not found")
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
        """Replace the bar by a new one; one without a count where there is a single unit."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(plain(label), total=total)
        if not sys.stderr.isatty():
            self.note(f"  {in_words(label, total)}")

    def advance(self, done: int, label: str | None = None) -> None:
        """Move the bar."""
        if self._task is not None:
            shown = None if label is None else plain(label)
            self._progress.update(self._task, completed=done, description=shown)

    def lane(self, title: str) -> BarLane:
        """A bar for one of several works, or for all together."""
        return BarLane(title, self._progress, self)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
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

    def rename(self, title: str) -> None:
        """Go by another title from now on."""
        self._title = title
        self._bars.update(self._task, description=plain(title))

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
        return plain(f"{self._title}: {label.strip()}" if label else self._title)
