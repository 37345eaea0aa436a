"""Jobs on workers: in order, again where a worker is lost, and shown while they run."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from bench.core.errors import EXIT_CELLS_FAILED, BenchError, UsageError
from bench.core.files import write_atomic
from bench.core.progress import Lane, open_lane
from bench.core.reports import show
from bench.core.words import plural
from bench.execution.cells import Cell, finished
from bench.execution.runner import Outcome, begin, keep_failure, note_failure
from bench.execution.settings import Settings
from bench.jobs.archives import pack, unpack
from bench.jobs.durations import known_seconds
from bench.jobs.estimate import estimate, priorities
from bench.jobs.executor import BEGUN, PlannedRun, Pool, WorkerLost
from bench.jobs.graph import make_jobs
from bench.jobs.job import CellKey, Done, Job
from bench.models.build import lacks_model
from bench.records.files import Failure, failed_line

# A job is started this often before its cells count as failed.
ATTEMPTS = 3
_SECONDS_BETWEEN_LOOKS = 0.5
# Identity of a job, and a report of its progress; or the future that is done, and nothing.
_Event = tuple[str, str, list[Any]]
_DONE = "done"


def run_jobs(run: PlannedRun, workers: Pool) -> Outcome:
    """Run all cells that are due, as jobs.

    Raises:
        UsageError: Something that the executor needs is not here.
        DataError: Data or a model that a job needs is missing.
    """
    settings = run.settings
    _refuse_lost(settings, workers)
    records, waiting = begin(run.cells, settings)
    outcome = Outcome()
    if waiting:
        jobs = make_jobs(waiting, settings, workers.parts)
        workers.open(run.request)
        try:
            for path, failure in _Jobs(jobs, waiting, settings, workers).run():
                outcome.fail(path, failure)
        finally:
            workers.close()
    ran = {cell.path for cell in waiting}
    for cell in run.cells:
        before = records[cell.path]
        record = finished(cell) if cell.path in ran else before
        outcome.add(cell, record, settings.tracking, before=before)
    return outcome


def _refuse_lost(settings: Settings, workers: Pool) -> None:
    """Refuse trackers that would keep the curves of trainings where nobody looks for them."""
    kept = settings.tracking.kept_here
    if kept and not workers.shares_folders:
        raise UsageError(
            f"--report-to {','.join(kept)} would keep the curves of trainings on the machines of "
            "the workers, which share no folder with this one; report to a server, as with "
            "MLFLOW_TRACKING_URI or wandb online, or leave it out"
        )


class _Jobs:
    """The jobs of a run while they wait, run and end."""

    def __init__(
        self, jobs: Sequence[Job], cells: Sequence[Cell], settings: Settings, workers: Pool
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._cells = {CellKey.of(cell): cell for cell in cells}
        self._jobs = {job.identity: job for job in jobs}
        self._seconds = known_seconds(jobs, settings)
        self._first = priorities(jobs, self._seconds)
        self._before = {job.identity: len(job.after) for job in jobs}
        self._followers = defaultdict[str, list[str]](list)
        for job in jobs:
            for identity in job.after:
                self._followers[identity].append(job.identity)
        self._ready = list[tuple[float, str]]()
        for job in jobs:
            if not job.after:
                self._make_ready(job.identity)
        self._running = dict[str, Future[Done]]()
        self._lanes = dict[str, Lane]()
        self._attempts = Counter[str]()
        # Files of vectors that jobs have sent, by the job.
        self._vectors = dict[str, list[str]]()
        self._events = SimpleQueue[_Event]()
        self._failures = list[tuple[Path, Failure]]()
        self._finished = set[str]()
        self._told = 0.0

    def run(self) -> list[tuple[Path, Failure]]:
        """Run them all, and return why cells are absent, with the paths of their records."""
        self._settings.progress.start("jobs", len(self._jobs))
        while self._ready or self._running:
            self._start()
            self._tell()
            try:
                identity, kind, values = self._events.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except Empty:
                continue
            if kind == _DONE:
                self._end(self._jobs[identity], self._running.pop(identity))
            elif identity in self._lanes:
                self._show(identity, kind, values)
        return self._failures

    def _make_ready(self, identity: str) -> None:
        heappush(self._ready, (-self._first[identity], identity))

    def _start(self) -> None:
        """Give the workers what is ready, as far as they take it."""
        capacity = self._workers.capacity
        while self._ready and len(self._running) < capacity:
            _, identity = heappop(self._ready)
            self._submit(self._jobs[identity])

    def _submit(self, job: Job) -> None:
        identity = job.identity
        self._attempts[identity] += 1
        self._lanes[identity] = open_lane(self._settings.progress, job.title)
        future = self._workers.submit(job, partial(self._report, identity), self._models(job))
        self._running[identity] = future
        future.add_done_callback(lambda _: self._report(identity, _DONE, []))

    def _report(self, identity: str, kind: str, values: list[Any]) -> None:
        self._events.put((identity, kind, values))

    def _models(self, job: Job) -> Mapping[str, bytes]:
        """What a job needs, for workers that do not see the cache."""
        if self._workers.shares_folders:
            return {}
        folders = {model.identity: self._folder(model.identity) for model in job.needs}
        models = {
            identity: pack(folder)
            for identity, folder in folders.items()
            if lacks_model(folder, self._settings.data) is None
        }
        vectors = [name for before in job.after for name in self._vectors.get(before, [])]
        root = self._settings.cache.root
        return {**models, **{name: (root / name).read_bytes() for name in vectors}}

    def _folder(self, identity: str) -> Path:
        return self._settings.cache.models / identity

    def _show(self, identity: str, kind: str, values: list[Any]) -> None:
        lane = self._lanes[identity]
        if kind == BEGUN:
            lane.rename(f"{self._jobs[identity].title} on {values[0]}")
        else:
            show(kind, values, lane)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < _SECONDS_BETWEEN_LOOKS:
            return
        self._told = now
        done, running = len(self._finished), len(self._running)
        waiting = len(self._jobs) - done - running
        label = (
            f"{done} of {plural(len(self._jobs), 'job')} done, {running} running, "
            f"{waiting} waiting, {self._left()}"
        )
        self._settings.progress.advance(done, label)

    def _left(self) -> str:
        """The time that is left, as far as records tell how long such jobs take."""
        jobs = [job for identity, job in self._jobs.items() if identity not in self._finished]
        seconds = estimate(jobs, self._seconds, self._workers.capacity).makespan
        return f"about {plural(max(1, round(seconds / 60)), 'minute')} left"

    def _end(self, job: Job, future: Future[Done]) -> None:
        self._lanes.pop(job.identity).end()
        try:
            self._keep(job, future.result())
        except WorkerLost as lost:
            if self._attempts[job.identity] < ATTEMPTS:
                self._again(job, str(lost))
                return
            self._fail(job, f"{lost}, {ATTEMPTS} times", EXIT_CELLS_FAILED)
        except BenchError as error:
            self._fail(job, str(error), error.exit_code)
        except Exception as error:
            self._fail(job, f"{type(error).__name__}: {error}", EXIT_CELLS_FAILED)
        self._finished.add(job.identity)
        # Those behind a job that has failed try themselves, and say what fails them.
        for identity in self._followers[job.identity]:
            self._before[identity] -= 1
            if not self._before[identity]:
                self._make_ready(identity)

    def _again(self, job: Job, why: str) -> None:
        count = self._attempts[job.identity] + 1
        self._settings.progress.note(f"{job.title}: {why}; started again ({count} of {ATTEMPTS})")
        self._make_ready(job.identity)

    def _fail(self, job: Job, message: str, code: int) -> None:
        """Note for all cells of a job that are absent that it could not be done."""
        # What a part has not encoded, the job behind it does.
        for key in () if job.part else job.cells:
            cell = self._cells[key]
            if finished(cell) is None:
                self._note(cell.path, note_failure(cell, message, code))
        if job.part or not job.cells:
            self._settings.progress.note(f"failed: {job.title}: {message}")

    def _note(self, path: Path, failure: Failure) -> None:
        self._failures.append((path, failure))
        self._settings.progress.note(f"failed: {failed_line(path, failure)}")

    def _keep(self, job: Job, done: Done) -> None:
        """Keep what a job leaves, as far as the workers have not kept it themselves."""
        for identity, archive in done.models.items():
            if lacks_model(self._folder(identity), self._settings.data) is not None:
                unpack(archive, self._folder(identity))
        for name, content in done.vectors.items():
            write_atomic(self._settings.cache.root / name, content)
        self._vectors[job.identity] = list(done.vectors)
        # Items go before the record, as a record without them would be damaged.
        for name in sorted(done.files, key=lambda name: name.endswith(".json")):
            write_atomic(self._settings.output / name, done.files[name])
        for position, dumped in done.failures:
            failure, path = Failure(**dumped), self._cells[job.cells[position]].path
            keep_failure(path, failure)
            self._note(path, failure)
