"""From suites, methods and seeds to records: plan the cells, then build, encode, score, write."""

from __future__ import annotations

import contextlib
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench import environment
from bench.build import Built, build_encoder, model_fingerprint
from bench.cache import Cache
from bench.data.access import DataAccess
from bench.encode import TEXTS_PER_BATCH, Encoded, encode_columns
from bench.errors import EXIT_CELLS_FAILED, BenchError, CellError
from bench.fingerprint import fingerprint, source_fingerprint
from bench.method import Method, resolve
from bench.models import Models
from bench.progress import Progress
from bench.record import (
    EncodingEntry,
    Failure,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
    has_failed,
    pack_items,
    read_record,
    record_path,
    sha256,
    write_failure,
    write_record,
)
from bench.registry import METHODS, method_class, names
from bench.spec import MethodSpec, parse_method_spec
from bench.stats.bootstrap import percentile_interval
from bench.suite import Suite
from bench.tasks import KINDS, Task, TaskScore

if TYPE_CHECKING:
    from bench.suite import TaskSpec

Rerun = Literal["missing", "failed", "all"]
SCORING = ("bench.tasks", "bench.metrics", "bench.stats", "bench.encode")


@dataclass(frozen=True)
class Settings:
    """What a run shares over all its cells.

    Attributes:
        profile: Scale of the trainings.
        device: Torch device.
        output: Folder of the records.
        cache: Trained models and vectors.
        data: Access to rows and texts.
        progress: Where the run reports.
        rerun: ``missing`` runs cells without a record, ``failed`` only those whose last attempt
            failed, ``all`` everything.
        limit: Rows of each task, or None for all; marks the records as partial.
        batch_size: Most texts in a batch.
    """

    profile: str
    device: str
    output: Path
    cache: Cache
    data: DataAccess
    progress: Progress
    rerun: Rerun = "missing"
    limit: int | None = None
    batch_size: int = TEXTS_PER_BATCH


@dataclass(frozen=True)
class Cell:
    """One method with one seed on one suite."""

    suite: Suite
    spec: MethodSpec
    method: Method
    seed: int
    model_fingerprint: str
    fingerprint: str
    path: Path


@dataclass
class Outcome:
    """What a run leaves: paths of the complete cells, in order, and the failures."""

    records: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def plan(
    suites: Sequence[Suite], specs: Sequence[MethodSpec], seeds: int, settings: Settings
) -> list[Cell]:
    """Resolve every cell of a run, checking names, options, data and bases first.

    A trained method brings its untrained base along, so that the table can say whether training
    helped. Methods that do not train have one cell, with seed 0.

    Raises:
        UsageError: Unknown names or bad options.
        DataError: Data or checkpoints are missing or changed.
    """
    resolved = _with_bases(specs, settings.profile)
    cells = []
    for suite in suites:
        identity = _suite_identity(suite, settings)
        for spec, method in resolved:
            for seed in range(seeds if method.trains else 1):
                cells.append(_cell(suite, identity, spec, method, seed, settings))
    return cells


def _with_bases(specs: Sequence[MethodSpec], profile: str) -> list[tuple[MethodSpec, Method]]:
    asked = [(spec, resolve(method_class(spec.name), spec, profile)) for spec in specs]
    bases = [
        parse_method_spec(method.base)
        for _, method in asked
        if method.trains and method.base in names(METHODS)
    ]
    found = {str(spec): (spec, resolve(method_class(spec.name), spec, profile)) for spec in bases}
    return list({**found, **{str(spec): (spec, method) for spec, method in asked}}.values())


def _suite_identity(suite: Suite, settings: Settings) -> dict[str, Any]:
    return {
        "suite": suite.definition(),
        "data": [_data_sha256(task, settings.data) for task in suite.tasks],
        "limit": settings.limit,
        "code": [source_fingerprint(module) for module in SCORING],
    }


def _data_sha256(task: TaskSpec, data: DataAccess) -> str:
    return data.sha256(task.data) if isinstance(task.data, str) else task.data.sha256


def _cell(
    suite: Suite,
    identity: Mapping[str, Any],
    spec: MethodSpec,
    method: Method,
    seed: int,
    settings: Settings,
) -> Cell:
    models = _models(settings, seed)
    model = model_fingerprint(method, settings.data, models, seed)
    name = re.sub(r"[^A-Za-z0-9-]+", "_", str(spec)).strip("_")[:60]
    key = fingerprint([str(spec), settings.profile, settings.limit])[:8]
    path = record_path(settings.output, suite.name, f"{name}-{settings.profile}-{key}-seed{seed}")
    return Cell(suite, spec, method, seed, model, fingerprint([model, identity]), path)


def _models(settings: Settings, seed: int) -> Models:
    return Models(
        settings.cache,
        settings.data,
        device=settings.device,
        seed=seed,
        profile=settings.profile,
        offline=settings.data.offline,
        progress=settings.progress,
    )


def due(cell: Cell, rerun: Rerun) -> bool:
    """Whether a cell has to run."""
    if rerun == "failed":
        return has_failed(cell.path)
    return rerun == "all" or not _is_complete(cell)


def _is_complete(cell: Cell) -> bool:
    try:
        return read_record(cell.path).cell_fingerprint == cell.fingerprint
    except (OSError, BenchError):
        return False


def run_cells(cells: Sequence[Cell], settings: Settings) -> Outcome:
    """Run all cells that are due; a failing cell is noted and the others go on."""
    outcome = Outcome()
    built = _Builds(settings)
    rows: dict[str, list[Task]] = {}
    for cell in cells:
        if due(cell, settings.rerun):
            settings.progress.note(f"{cell.suite.name}  {cell.spec}  seed {cell.seed}")
            failure = _attempt(cell, built, rows, settings)
            if failure:
                outcome.failures.append(failure)
                settings.progress.note(f"failed: {failure.message}")
        if _is_complete(cell):
            outcome.records.append(cell.path)
    return outcome


def _attempt(
    cell: Cell, builds: _Builds, tasks: dict[str, list[Task]], settings: Settings
) -> Failure | None:
    try:
        if cell.suite.name not in tasks:
            tasks[cell.suite.name] = load_tasks(cell.suite, settings.data, settings.limit)
        _run_cell(cell, builds, tasks[cell.suite.name], settings)
    except BenchError as error:
        return _note_failure(cell, str(error), error.exit_code, None)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        message = f"{type(error).__name__}: {reason}"
        return _note_failure(cell, message, EXIT_CELLS_FAILED, traceback.format_exc())
    return None


def _note_failure(cell: Cell, message: str, exit_code: int, trace: str | None) -> Failure:
    failure = Failure(
        suite=cell.suite.name,
        spec=str(cell.spec),
        seed=cell.seed,
        message=f"{cell.spec} (seed {cell.seed}) on {cell.suite.name}: {message}",
        exit_code=exit_code,
        traceback=trace,
    )
    # A full disk may be the very failure; it is reported on stderr all the same.
    with contextlib.suppress(OSError):
        write_failure(cell.path, failure)
    return failure


def build(method: Method, seed: int, settings: Settings) -> Built:
    """Build one method with the models, data and device of a run.

    Raises:
        BenchError: The build fails for a reason the user can mend.
    """
    return build_encoder(
        method,
        cache=settings.cache,
        data=settings.data,
        models=_models(settings, seed),
        seed=seed,
        profile=settings.profile,
        device=settings.device,
        progress=settings.progress,
    )


class _Builds:
    """Builds each model once, and holds only the last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: tuple[str, Built] | None = None

    def get(self, cell: Cell) -> Built:
        if self._last is None or self._last[0] != cell.model_fingerprint:
            self._last = None
            built = build(cell.method, cell.seed, self._settings)
            self._last = (cell.model_fingerprint, built)
        return self._last[1]


def load_tasks(suite: Suite, data: DataAccess, limit: int | None = None) -> list[Task]:
    """Read the rows of a suite's tasks.

    Raises:
        DataError: Data is missing or changed.
    """
    loaded = []
    for spec in suite.tasks:
        kind = KINDS[spec.kind]
        if isinstance(spec.data, str):
            rows = data.rows(spec.data)
        else:
            path = suite.path.parent / spec.data.file
            rows = data.file_rows(path, spec.data.sha256, spec.data.rows, kind.columns)
        loaded.append(kind(spec, rows[:limit], suite.convention))
    return loaded


def _run_cell(cell: Cell, builds: _Builds, tasks: Sequence[Task], settings: Settings) -> None:
    built = builds.get(cell)
    started = time.perf_counter()
    columns = {(t.spec.name, name): col for t in tasks for name, col in t.texts().items()}
    encoded = encode_columns(
        built.encoder,
        columns,
        model_fingerprint=cell.model_fingerprint,
        folder=settings.cache.vectors,
        progress=settings.progress,
        batch_size=settings.batch_size,
    )
    encoded_at = time.perf_counter()
    scores = dict(_scores(cell, tasks, encoded, settings))
    timings = Timings(
        build=built.seconds,
        encode=encoded_at - started,
        score=time.perf_counter() - encoded_at,
    )
    items = _all_items(cell.suite, scores)
    record = _record(cell, built, encoded, scores, timings, settings, sha256(pack_items(items)))
    write_record(cell.path, record, items)


def _scores(
    cell: Cell, tasks: Sequence[Task], encoded: Encoded, settings: Settings
) -> Iterator[tuple[str, tuple[TaskScore, str]]]:
    for task in tasks:
        data = _data_sha256(task.spec, settings.data)
        vectors = {column: encoded.vectors[task.spec.name, column] for column in task.texts()}
        # The seed follows from the rows alone: all methods are resampled alike, in pairs.
        seed = int(fingerprint([data, settings.limit])[:8], 16)
        yield task.spec.name, (task.score(vectors, seed), data)


def _average_replicates(
    suite: Suite, scores: Mapping[str, tuple[TaskScore, str]]
) -> NDArray[np.float64]:
    return np.asarray(np.mean([scores[name][0].replicates for name in suite.average], axis=0))


def _all_items(suite: Suite, scores: Mapping[str, tuple[TaskScore, str]]) -> dict[str, Any]:
    items = {
        f"{task}/{name}": array
        for task, (score, _) in scores.items()
        for name, array in score.items.items()
    }
    items |= {f"{task}/replicates": score.replicates for task, (score, _) in scores.items()}
    return {**items, "average/replicates": _average_replicates(suite, scores)}


def _record(
    cell: Cell,
    built: Built,
    encoded: Encoded,
    scores: Mapping[str, tuple[TaskScore, str]],
    timings: Timings,
    settings: Settings,
    items_sha256: str,
) -> Record:
    info, method, suite = cell.method.info, cell.method, cell.suite
    mains = [scores[name][0].main for name in suite.average]
    dimensions = {vectors.shape[1] for vectors in encoded.vectors.values()}
    if len(dimensions) != 1:
        raise CellError(f"the encoder returned vectors of different sizes: {sorted(dimensions)}")
    return Record(
        suite=suite.name,
        convention=suite.convention,
        method=MethodEntry(
            name=info.name,
            spec=str(cell.spec),
            title=info.title,
            kind=info.kind,
            checkpoint=method.checkpoint,
            config=method.config.model_dump(mode="json"),
            trained=method.trains,
            base=method.base,
        ),
        profile=settings.profile,
        seed=cell.seed,
        limit=settings.limit,
        cell_fingerprint=cell.fingerprint,
        model_fingerprint=cell.model_fingerprint,
        dimension=dimensions.pop(),
        parameters=_parameters(built.encoder),
        tasks={name: _task_entry(score, data) for name, (score, data) in scores.items()},
        average=float(np.mean(mains)),
        average_ci95=percentile_interval(_average_replicates(suite, scores)),
        average_of_rounded=float(np.mean([round(100 * main, 2) for main in mains])) / 100,
        averaged_tasks=suite.average,
        encoding=EncodingEntry(
            texts=encoded.texts,
            distinct=encoded.distinct,
            encoded=encoded.encoded,
            tokens=encoded.tokens,
        ),
        timings=timings,
        peak_memory_bytes=environment.peak_memory_bytes(),
        training=built.training,
        versions=environment.package_versions(),
        machine=environment.machine(settings.device),
        created=environment.now(),
        items_sha256=items_sha256,
    )


def _task_entry(score: TaskScore, data: str) -> TaskEntry:
    return TaskEntry(
        main=score.main,
        ci95=percentile_interval(score.replicates),
        metrics=dict(score.metrics),
        items=len(next(iter(score.items.values()))),
        data_sha256=data,
    )


def _parameters(encoder: Any) -> int | None:
    if not hasattr(encoder, "parameters"):
        return None
    return int(sum(parameter.numel() for parameter in encoder.parameters()))
