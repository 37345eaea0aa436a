"""Where jobs are done: a process that has read what the jobs of a run share."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.core.errors import EXIT_CELLS_FAILED, CellError
from bench.core.files import write_atomic
from bench.core.fingerprint import fingerprint
from bench.core.progress import Progress, Silent
from bench.core.spec import parse_method_spec
from bench.execution.builds import Builds
from bench.execution.cells import Cell
from bench.execution.parts import encode_part
from bench.execution.plan import PlannedSuite
from bench.execution.provision import fetch_command, provide
from bench.execution.runner import attempt, failure_of
from bench.execution.settings import Settings, make_settings
from bench.jobs.archives import pack, unpack
from bench.jobs.job import VECTORS, CellKey, Done, Job, ModelKey, Request
from bench.method import make_method, named_method
from bench.method.files import MethodFile
from bench.models.build import lacks_model
from bench.records.entries import CommitEntry
from bench.records.files import Failure
from bench.suite import load_suites, split_part


class Relay:
    """Progress that is passed on to where the job at hand reports."""

    def __init__(self) -> None:
        self.to: Progress = Silent()

    def start(self, label: str, total: int) -> None:
        """Pass on a start."""
        self.to.start(label, total)

    def advance(self, done: int, label: str | None = None) -> None:
        """Pass on a count."""
        self.to.advance(done, label)

    def note(self, message: str) -> None:
        """Pass on a message."""
        self.to.note(message)


class Workplace:
    """Does jobs of one run in this process.

    Args:
        request: What the jobs share.
        place: What their records say of where they ran.
        apart: Folder for records until they are sent, where this machine shares neither cache nor
            output with the one that started the run; None where it does.

    Raises:
        BenchError: This machine lacks what the run asks for.
    """

    def __init__(
        self, request: Request, place: Mapping[str, str], apart: Path | None = None
    ) -> None:
        if apart is None:
            os.environ["BENCH_CACHE"] = request.cache
        for file in request.files:
            MethodFile.load(file).register()
        self._request = request
        self._apart = apart
        self._relay = Relay()
        self._settings = _settings(request, place, self._relay, apart)
        self._suites = {
            suite.name: suite for name in _names(request) for suite in load_suites(name)
        }
        self._planned = dict[str, PlannedSuite]()

    def do(self, job: Job, progress: Progress, models: Mapping[str, bytes] | None = None) -> Done:
        """Do a job; what fails a cell is part of what it leaves.

        Args:
            job: The job.
            progress: Where it reports.
            models: Archives of models that it needs, by identity, and files of vectors, by path,
                where they are sent.
        """
        self._relay.to = progress
        for name, content in (models or {}).items():
            self._receive(name, content)
        self._provide(job)
        if job.part is not None:
            cells = [self._cell(key) for key in job.cells]
            written = encode_part(cells, job.part, self._settings)
            return Done(vectors=self._vectors(written))
        if not job.cells and job.trains is not None:
            self._train(job.trains)
        failures, files = self._run(job)
        return Done(tuple(failures), files, self._trained(job))

    def _receive(self, name: str, content: bytes) -> None:
        cache = self._settings.cache
        if name.startswith(VECTORS):
            if not (cache.root / name).is_file():
                write_atomic(cache.root / name, content)
        elif lacks_model(cache.models / name, self._settings.data) is not None:
            unpack(content, cache.models / name)

    def _vectors(self, written: Sequence[Path]) -> dict[str, bytes]:
        """Files of vectors, which others need where they do not see this cache."""
        if self._apart is None:
            return {}
        root = self._settings.cache.root
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in written}

    def _provide(self, job: Job) -> None:
        """Download what is not on this machine; one that shares the cache has it all."""
        if self._apart is None:
            return
        names = sorted({cell.suite for cell in job.cells})
        texts = sorted({*(cell.spec for cell in job.cells), *(key.spec for key in job.needs)})
        texts += [] if job.trains is None else [job.trains.spec]
        suites = [self._suites[name] for name in names]
        command = fetch_command(names, texts, self._settings.profile)
        provide(suites, [parse_method_spec(text) for text in texts], self._settings, command)

    def _train(self, model: ModelKey) -> None:
        method = named_method(model.spec, self._settings.profile)
        if method is None:
            raise CellError(f"there is no method {model.spec} on {platform.node()}")
        self._settings.models.build(method, seed=model.seed)

    def _run(self, job: Job) -> tuple[list[tuple[int, dict[str, object]]], dict[str, bytes]]:
        failures = list[tuple[int, dict[str, object]]]()
        files = dict[str, bytes]()
        builds = Builds(self._settings)
        for position, key in enumerate(job.cells):
            cell = self._cell(key)
            failure = _differing(cell, key) or attempt(cell, builds, self._settings)
            if failure is not None:
                failures.append((position, failure.model_dump(mode="json")))
            elif self._apart is not None:
                files |= self._files(cell)
        return failures, files

    def _cell(self, key: CellKey) -> Cell:
        if key.suite not in self._planned:
            self._planned[key.suite] = PlannedSuite(self._suites[key.suite], self._settings)
        spec = parse_method_spec(key.spec)
        method = make_method(spec, self._settings.profile)
        return self._planned[key.suite].cell(spec, method, key.seed)

    def _files(self, cell: Cell) -> dict[str, bytes]:
        """Take the files of a record, which others are to keep."""
        files = {}
        for path in sorted(cell.path.parent.glob(f"{cell.path.stem}.*")):
            files[path.relative_to(self._settings.output).as_posix()] = path.read_bytes()
            path.unlink()
        return files

    def _trained(self, job: Job) -> dict[str, bytes]:
        if self._apart is None or job.trains is None:
            return {}
        folder = self._settings.cache.models / job.trains.identity
        return {job.trains.identity: pack(folder)} if folder.is_dir() else {}


def _settings(
    request: Request, place: Mapping[str, str], progress: Progress, apart: Path | None
) -> Settings:
    settings = make_settings(
        profile=request.profile,
        output=request.output if apart is None else apart,
        data=request.data if apart is None else None,
        offline=request.offline,
        mirror=request.mirror,
        rerun=request.rerun,
        limit=request.limit,
        batch_size=request.batch_size,
        report_to=request.report_to,
        progress=progress,
        device=request.device,
        backend=request.backend,
        precision=request.precision,
        train_precision=request.train_precision,
    )
    commit = None if request.commit is None else CommitEntry(**request.commit)
    return replace(settings, probes=request.probes, place=dict(place), started_at=commit)


def _names(request: Request) -> list[str]:
    """Suites as this machine loads them: files that it does not have are made."""
    names = []
    for name in request.suites:
        head, part = split_part(name)
        there = head not in request.texts or Path(head).is_file()
        names.append(name if there else f"{_file(request.texts[head])}{part}")
    return names


def _file(text: str) -> str:
    path = Path(tempfile.gettempdir()) / f"bench-suite-{fingerprint(text)[:16]}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _differing(cell: Cell, key: CellKey) -> Failure | None:
    """That this machine would compute another cell than the one that was asked for."""
    if cell.fingerprint == key.fingerprint:
        return None
    return failure_of(
        cell,
        f"{platform.node()} has other code, packages, data or precision than the machine that "
        "started the run; install the same there",
        EXIT_CELLS_FAILED,
    )
