"""From scores to a record: averages, intervals, items, and the circumstances of the run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
from bench.data.contamination import TrainingText
from bench.encoding.encode import Encoded
from bench.execution import environment
from bench.execution.fitting import Fitting
from bench.execution.plan import Cell, Settings, encode
from bench.method import Built, Method, Predictor, lineage
from bench.method.pool import PoolPredictor, PoolReader
from bench.records.entries import (
    ContaminationEntry,
    EncodingEntry,
    FitEntry,
    GeometryEntry,
    GridEntry,
    GroupEntry,
    Interval,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
)
from bench.records.files import pack_items, sha256
from bench.stats.bootstrap import percentile_interval
from bench.suite import Suite, TaskSpec
from bench.suite.protocol import task_protocol
from bench.tasks.rows import subsets_sha256, task_sha256

if TYPE_CHECKING:
    from bench.tasks.base import Task, TaskScore, Vectors

PHENOMENON = "phenomenon"


@dataclass(frozen=True)
class ScoredTask:
    """A task's score, the checksum of its rows, and what is known of items, vectors and method."""

    score: TaskScore
    data_sha256: str
    phenomena: Mapping[str, GroupEntry]
    contamination: ContaminationEntry | None
    subsets: str | None = None
    fits: tuple[FitEntry, ...] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """All that a cell measured."""

    encoded: Encoded
    tasks: Mapping[str, ScoredTask]
    timings: Timings
    grid: tuple[GridEntry, ...] = ()
    geometry: Mapping[str, GeometryEntry] = field(default_factory=dict)


def score_tasks(
    cell: Cell,
    tasks: Sequence[Task[Any]],
    built: Built,
    encoded: Encoded,
    fittings: Mapping[str, Fitting],
    seen: TrainingText,
    settings: Settings,
) -> dict[str, ScoredTask]:
    """Score all tasks of a suite; the same resamples for every method.

    Args:
        cell: Method, seed and suite.
        tasks: The suite's tasks.
        built: The method, asked for predictions by supervised tasks; through a probe on its
            vectors where it has none of its own.
        encoded: Vectors of their texts.
        fittings: By task, how the maps of its vectors were fitted.
        seen: What the method trained on.
        settings: Settings of the run.

    Raises:
        CellError: The vectors give no score.
    """
    scores = {}
    for task in tasks:
        data = task_sha256(cell.suite, task.spec, settings.data)
        vectors, diagnostics = _vectors(task, built, encoded, cell.seed, settings)
        seed = rows_seed(data, settings.limit)
        settings.progress.start(f"score {task.spec.name}", 1)
        fitting = fittings.get(task.spec.name)
        if fitting is None or fitting.in_folds is None:
            score = task.score(vectors, seed)
        else:
            score = fitting.in_folds.score(seed)
        settings.progress.advance(1)
        scores[task.spec.name] = ScoredTask(
            score,
            data,
            _phenomena(task, score),
            _contamination(task, seen),
            subsets_sha256(task.spec, task.rows) if task.spec.over_subsets else None,
            () if fitting is None else fitting.fits,
            diagnostics,
        )
    return scores


def rows_seed(data_sha256: str, limit: int | None) -> int:
    """Seed that follows from the rows of a task alone: all methods are resampled alike, in pairs.

    Args:
        data_sha256: Checksum of the rows.
        limit: Rows of each task that are read, or None for all.
    """
    return int(fingerprint([data_sha256, limit])[:8], 16)


def _vectors(
    task: Task[Any], built: Built, encoded: Encoded, seed: int, settings: Settings
) -> tuple[Vectors, Mapping[str, Any]]:
    from bench.encoding.encoder import Column
    from bench.tasks.supervised import SupervisedTask

    for note in task.notes():
        settings.progress.note(f"  {note}")
    if isinstance(task, SupervisedTask):

        def embed(texts: Sequence[str]) -> NDArray[np.float32]:
            column = {(task.spec.name, "text"): Column(texts)}
            return encode(built, column, settings).vectors[task.spec.name, "text"]

        own = built.encoder if isinstance(built.encoder, Predictor) else task.probe(embed)
        pool = task.pool()
        if pool and isinstance(own, PoolPredictor):
            reader = PoolReader(own, pool)
            vectors = task.predictions(reader, seed)
            return vectors, {} if reader.answer is None else task.diagnose(reader.answer)
        return task.predictions(own, seed), {}
    return {column: encoded.vectors[task.spec.name, column] for column in task.texts()}, {}


def _contamination(task: Task[Any], seen: TrainingText) -> ContaminationEntry | None:
    if not seen:
        return None
    columns = task.texts()
    texts = [text for name in task.test_columns() for text in columns[name].texts]
    return ContaminationEntry(**asdict(seen.overlap(texts))) if texts else None


def _phenomena(task: Task[Any], score: TaskScore) -> dict[str, GroupEntry]:
    if score.items is None:
        return {}
    values = score.items["value"]
    names = np.array([str(row.get(PHENOMENON, "")) for row in task.item_rows()])
    return {
        name: GroupEntry(value=float(values[names == name].mean()), items=int(sum(names == name)))
        for name in sorted(set(names.tolist()) - {""})
    }


def _average_replicates(
    suite: Suite, scores: Mapping[str, ScoredTask]
) -> NDArray[np.float64] | None:
    replicates = [scores[name].score.replicates for name in suite.average]
    known = [one for one in replicates if one is not None]
    return np.asarray(np.mean(known, axis=0)) if len(known) == len(replicates) else None


def _all_items(suite: Suite, scores: Mapping[str, ScoredTask]) -> dict[str, NDArray[Any]]:
    # Seven digits are plenty for one item, and halve what a committed record weighs.
    items = {
        f"{task}/{name}": array.astype(np.float32) if array.dtype == np.float64 else array
        for task, scored in scores.items()
        for name, array in (scored.score.items or {}).items()
    }
    replicates = {f"{task}/replicates": one.score.replicates for task, one in scores.items()}
    replicates["average/replicates"] = _average_replicates(suite, scores)
    return items | {name: array for name, array in replicates.items() if array is not None}


def make_record(
    cell: Cell, built: Built, scored: Scored, settings: Settings
) -> tuple[Record, bytes]:
    """Make the record of a cell and its packed per-item arrays.

    Raises:
        CellError: The vectors of the columns have different sizes.
    """
    encoded, scores, timings = scored.encoded, scored.tasks, scored.timings
    packed = pack_items(_all_items(cell.suite, scores))
    info, method, suite = cell.method.info, cell.method, cell.suite
    mains = [scores[name].score.main for name in suite.average]
    learners = lineage(method)
    learnt = {name for one in learners for name in one.training_datasets()}
    dimensions = {vectors.shape[1] for vectors in encoded.vectors.values()}
    if len(dimensions) > 1 and built.mapped is None:
        raise CellError(f"the encoder returned vectors of different sizes: {sorted(dimensions)}")
    record = Record(
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
        # Maps that are fitted to each task keep what there is in it, here more and there less.
        dimension=dimensions.pop() if len(dimensions) == 1 else None,
        parameters=_parameters(built),
        tasks={
            task.name: _task_entry(suite, task, scores[task.name], learnt) for task in suite.tasks
        },
        average=float(np.mean(mains)),
        average_ci95=_interval(_average_replicates(suite, scores)),
        average_of_rounded=float(np.mean([round(100 * main, 2) for main in mains])) / 100,
        averaged_tasks=suite.average,
        grid=scored.grid,
        geometry=dict(scored.geometry),
        diagnostics={
            name: dict(one.diagnostics) for name, one in scores.items() if one.diagnostics
        },
        encoding=EncodingEntry(
            texts=encoded.texts,
            distinct=encoded.distinct,
            encoded=encoded.encoded,
            tokens=encoded.tokens,
        ),
        timings=timings,
        peak_memory_bytes=environment.peak_memory_bytes(),
        training=built.training,
        revisions=_revisions(learners, settings.data),
        versions=environment.package_versions(),
        machine=environment.machine(settings.device),
        created=environment.now(),
        items_sha256=sha256(packed),
    )
    return record, packed


def _revisions(learners: Iterable[Method], data: DataAccess) -> dict[str, str]:
    found = (one.training_revisions(data).items() for one in learners)
    return {name: commit for pairs in found for name, commit in pairs}


def _interval(replicates: NDArray[np.float64] | None) -> Interval | None:
    return None if replicates is None else percentile_interval(replicates)


def _task_entry(
    suite: Suite, spec: TaskSpec, task: ScoredTask, learnt: Collection[str]
) -> TaskEntry:
    subsets = {} if task.subsets is None else {"subsets": task.subsets}
    return TaskEntry(
        kind=spec.kind,
        metric=task.score.metric,
        mteb=spec.mteb,
        main=task.score.main,
        ci95=_interval(task.score.replicates),
        metrics=dict(task.score.metrics),
        metrics_ci95=dict(task.score.intervals),
        items=0 if task.score.items is None else len(task.score.items["value"]),
        data_sha256=task.data_sha256,
        phenomena=dict(task.phenomena),
        contamination=task.contamination,
        fits=task.fits,
        in_domain=isinstance(spec.data, str) and spec.data.partition(":")[0] in learnt,
        protocol={**task_protocol(suite, spec), **subsets},
        evidence=task.score.evidence,
    )


def _parameters(built: Built) -> int | None:
    encoder: Any = built.encoder
    if built.mapped is not None and built.mapped.model is None:
        encoder = built.mapped.encoder
    if not hasattr(encoder, "parameters"):
        return None
    return int(sum(parameter.numel() for parameter in encoder.parameters()))
