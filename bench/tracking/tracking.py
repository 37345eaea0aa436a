"""What a run reports to trackers: its trainings while they run, and each record once."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from bench.core.errors import BenchError, UsageError, first_line
from bench.core.files import write_atomic
from bench.core.progress import Progress, Silent
from bench.core.registry import did_you_mean
from bench.records.entries import Record
from bench.records.files import StoredRecord
from bench.suite import AVERAGE
from bench.tracking.trackers import TRACKERS, Facts, TrackedRun, Tracker

FOLDER = "tracking"
_REPORTED = "reported"


class Tracking:
    """The trackers of a run. One that breaks is left out from then on, and the run goes on.

    Args:
        names: Names of trackers.
        folder: Folder for what they keep, and for which of them has which record.
        offline: Whether the network may not be used.
        progress: Told of what breaks.

    Attributes:
        names: The names.
        folder: The folder.
        offline: Whether the network may not be used.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        folder: Path = Path(FOLDER),
        *,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.names = tuple(names)
        self.folder = folder
        self.offline = offline
        self._progress = progress or Silent()
        self._trackers = [TRACKERS[name](folder, offline) for name in names]

    @classmethod
    def asked_for(
        cls, names: Sequence[str], output: Path, *, offline: bool, progress: Progress
    ) -> Self:
        """The trackers that a user names, as far as the names go.

        Args:
            names: What the user names.
            output: Folder of the records.
            offline: Whether the network may not be used.
            progress: Where the run reports.

        Raises:
            UsageError: A name is unknown, or its package is not here.
        """
        for name in names:
            if name not in TRACKERS:
                hint = did_you_mean(name, TRACKERS) or f"choose {', '.join(TRACKERS)}"
                raise UsageError(f"unknown tracker {name!r}; {hint}")
            if find_spec(TRACKERS[name].package) is None:
                raise UsageError(
                    f"tracker {name} needs the package {TRACKERS[name].package}; "
                    "pip install 'sentence-bench[track]'"
                )
        return cls([*dict.fromkeys(names)], output / FOLDER, offline=offline, progress=progress)

    @property
    def kept_here(self) -> list[str]:
        """Names of those that keep what they are told on the machine that tells them."""
        return [tracker.name for tracker in self._trackers if tracker.local]

    def begin(self) -> None:
        """Make them ready before anything is trained, and say where each is looked at.

        Raises:
            UsageError: One cannot be used.
        """
        for tracker in self._trackers:
            try:
                with _apart():
                    tracker.prepare()
            except BenchError:
                raise
            except Exception as error:
                raise UsageError(
                    f"tracker {tracker.name} cannot be used: {first_line(error)}; correct it, or "
                    "leave it out of --report-to"
                ) from None
            self._progress.note(f"{tracker.name}: {tracker.where}")

    @contextmanager
    def trainings(self, name: str, facts: Facts) -> Iterator[None]:
        """Let all trainings that begin meanwhile report, as runs of a name.

        Args:
            name: The name; further trainings add a number.
            facts: What else is said of them.
        """
        if not self._trackers:
            yield
            return
        # Imported late, as it brings torch, which a run of complete cells never needs.
        from bench.tracking.trainings import reporting

        with reporting(self.trackers, self.attempt, name, facts):
            yield

    def take(self, stored: StoredRecord) -> None:
        """Report the scores of a complete cell to those trackers that do not have them yet."""
        path, record = stored
        key = record.record_sha256 or record.items_sha256
        for tracker in self.trackers():
            mark = self.folder / _REPORTED / tracker.name / key
            if not mark.is_file():
                run = TrackedRun("scores", f"{path.parent.name}/{path.stem}", _facts(path, record))

                def report(tracker: Tracker = tracker, run: TrackedRun = run) -> None:
                    tracker.scores(run, scores_of(record))

                if self.attempt(tracker, run.name, report):
                    write_atomic(mark, b"")

    def trackers(self) -> list[Tracker]:
        """Those that have not broken."""
        return [*self._trackers]

    def attempt(self, tracker: Tracker, what: str, act: Callable[[], None]) -> bool:
        """Tell a tracker something; False where it breaks, and is told nothing from then on.

        Args:
            tracker: The tracker.
            what: What it is about.
            act: Tells it.
        """
        try:
            with _apart():
                act()
        except Exception as error:
            self._trackers = [one for one in self._trackers if one is not tracker]
            self._progress.note(
                f"  tracker {tracker.name} broke at {what}: {first_line(error)}; the run goes on "
                "without it, and the same command reports the scores that it lacks"
            )
            return False
        return True


@contextmanager
def _apart() -> Iterator[None]:
    """Keep what trackers print out of the tables, and their dice out of the trainings."""
    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def scores_of(record: Record) -> dict[str, float]:
    """Main scores and their 95% intervals as trackers have them, of each task and on average.

    They are fractions, as in the record.
    """
    entries = {name: (task.main, task.ci95) for name, task in record.tasks.items()}
    scores = {}
    for name, (main, interval) in {
        **entries,
        AVERAGE: (record.average, record.average_ci95),
    }.items():
        scores[f"score/{name}"] = main
        if interval is not None:
            scores[f"ci95_low/{name}"], scores[f"ci95_high/{name}"] = interval
    return scores


def _facts(path: Path, record: Record) -> Facts:
    method = record.method
    return {
        "suite": record.suite,
        "convention": record.convention,
        "spec": method.spec,
        "method": method.name,
        "profile": record.profile,
        "seed": record.seed,
        "limit": record.limit,
        "label": method.label,
        "trained": method.trained,
        "base": method.base,
        "model": record.model_fingerprint,
        "dimension": record.dimension,
        "parameters": record.parameters,
        "created": record.created,
        "record": path.as_posix(),
    }
