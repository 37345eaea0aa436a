"""How long jobs take, by what records say of others like them."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from bench.core.errors import DataError
from bench.core.spec import parse_method_spec
from bench.execution.settings import Settings
from bench.jobs.job import Job
from bench.method import make_method
from bench.records.entries import Record
from bench.records.files import read_record

# Seconds on two CPU cores where no record tells: of a training by profile, of a cell besides.
NOMINAL: Mapping[str, float] = {"smoke": 20, "local": 150, "paper": 4 * 3600, "cell": 20}
# A build that took less seconds has loaded what was trained before.
_LOADING = 5.0
# Records that are read of a method on a suite: a few tell enough, and thousands take long to read.
_ENOUGH = 5


class Durations:
    """Seconds that trainings and cells took.

    A training is told by method, base and profile, and where none of these was recorded by the
    profile alone; a cell by method and suite, and else by suite.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._trainings = defaultdict[tuple[str, ...], list[float]](list)
        self._encodings = defaultdict[tuple[str, ...], list[float]](list)
        self._scorings = defaultdict[tuple[str, ...], list[float]](list)
        for record in records:
            self._learn(record)

    def _learn(self, record: Record) -> None:
        method, timings = record.method, record.timings
        # What the store held was not encoded, and would make others look as fast.
        if record.encoding.encoded == record.encoding.distinct and record.limit is None:
            for key in ((method.name, record.suite), (record.suite,)):
                self._encodings[key].append(timings.encode)
                self._scorings[key].append(timings.score)
        # A model that was in the cache was loaded and not trained.
        if method.trained and timings.build > _LOADING:
            self._trainings[record.profile,].append(timings.build)
            base = method.base or ""
            self._trainings[method.name, base, record.profile].append(timings.build)

    def of(self, job: Job, profile: str, *, encoded: bool = False) -> float:
        """Seconds that a job is likely to take.

        Args:
            job: The job.
            profile: Profile of the trainings.
            encoded: Whether others have encoded its texts before.
        """
        training = 0.0 if job.trains is None else self._training(job.trains.spec, profile)
        encoding = 0.0 if encoded else self._cells(self._encodings, job)
        if job.part is not None:
            return encoding / job.part[1]
        return training + encoding + self._cells(self._scorings, job)

    def _training(self, text: str, profile: str) -> float:
        spec = parse_method_spec(text)
        base = make_method(spec, profile).base or ""
        known = self._trainings.get((spec.name, base, profile)) or self._trainings.get((profile,))
        return statistics.median(known) if known else NOMINAL[profile]

    def _cells(self, known: Mapping[tuple[str, ...], list[float]], job: Job) -> float:
        """Seconds of the cells of a job, half of what nobody knows being its encoding."""
        seconds = 0.0
        for cell in job.cells:
            name = parse_method_spec(cell.spec).name
            alike = known.get((name, cell.suite)) or known.get((cell.suite,))
            seconds += statistics.median(alike) if alike else NOMINAL["cell"] / 2
        return seconds


def known_seconds(jobs: Collection[Job], settings: Settings) -> dict[str, float]:
    """Seconds that jobs are likely to take, by their identity, as far as records tell.

    Args:
        jobs: The jobs.
        settings: What they share. Records beside those of the output folder are asked too, as
            committed ones lie in ``results/baselines`` beside ``results/runs``.
    """
    specs = {cell.spec for job in jobs for cell in job.cells}
    specs |= {job.trains.spec for job in jobs if job.trains is not None}
    names = {parse_method_spec(spec).name for spec in specs}
    output = settings.output
    folder = output.parent if output.parent.name == "results" else output
    durations = Durations(_records(names, folder))
    parts = {job.identity for job in jobs if job.part is not None}
    return {
        job.identity: durations.of(job, settings.profile, encoded=bool(job.after & parts))
        for job in jobs
    }


def _records(names: Collection[str], folder: Path) -> Iterator[Record]:
    read = Counter[tuple[str, str]]()
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else []:
        # A file is named after the spec, which begins with the method.
        name = next((name for name in names if path.name.startswith(f"{name}-")), None)
        name = name or next((name for name in names if path.name.startswith(f"{name}_")), None)
        if name is not None and read[name, path.parent.name] < _ENOUGH:
            with suppress(DataError):
                record = read_record(path)
                if record.method.name == name:
                    read[name, path.parent.name] += 1
                    yield record
