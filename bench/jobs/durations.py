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
from bench.method import method_class, resolve
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
        self._cells = defaultdict[tuple[str, ...], list[float]](list)
        for record in records:
            self._learn(record)

    def _learn(self, record: Record) -> None:
        method, timings = record.method, record.timings
        seconds = timings.encode + timings.score
        # What the store held was not encoded, and would make others look as fast.
        if record.encoding.encoded == record.encoding.distinct and record.limit is None:
            for key in ((method.name, record.suite), (record.suite,)):
                self._cells[key].append(seconds)
        # A model that was in the cache was loaded and not trained.
        if method.trained and timings.build > _LOADING:
            self._trainings[record.profile,].append(timings.build)
            base = method.base or ""
            self._trainings[method.name, base, record.profile].append(timings.build)

    def of(self, job: Job, profile: str) -> float:
        """Seconds that a job is likely to take."""
        training = 0.0 if job.trains is None else self._training(job.trains.spec, profile)
        return training + sum(self._cell(cell.spec, cell.suite) for cell in job.cells)

    def _training(self, text: str, profile: str) -> float:
        spec = parse_method_spec(text)
        base = resolve(method_class(spec.name), spec, profile).base or ""
        known = self._trainings.get((spec.name, base, profile)) or self._trainings.get((profile,))
        return statistics.median(known) if known else NOMINAL[profile]

    def _cell(self, text: str, suite: str) -> float:
        name = parse_method_spec(text).name
        known = self._cells.get((name, suite)) or self._cells.get((suite,))
        return statistics.median(known) if known else NOMINAL["cell"]


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
    return {job.identity: durations.of(job, settings.profile) for job in jobs}


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
