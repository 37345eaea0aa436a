"""From scores to a record: averages, intervals, items, and the circumstances of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import environment
from bench.build import Built
from bench.data.source import task_sha256
from bench.encode import Encoded
from bench.errors import CellError
from bench.fingerprint import fingerprint
from bench.plan import Cell, Settings
from bench.record import (
    EncodingEntry,
    GroupEntry,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
    pack_items,
    sha256,
)
from bench.stats.bootstrap import percentile_interval
from bench.suite import Suite

if TYPE_CHECKING:
    from bench.tasks import Task, TaskScore

PHENOMENON = "phenomenon"


@dataclass(frozen=True)
class ScoredTask:
    """A task's score, the checksum of its rows, and its mean item value by phenomenon."""

    score: TaskScore
    data_sha256: str
    phenomena: Mapping[str, GroupEntry]


@dataclass(frozen=True)
class Scored:
    """All that a cell measured."""

    encoded: Encoded
    tasks: Mapping[str, ScoredTask]
    timings: Timings


def score_tasks(
    suite: Suite, tasks: Sequence[Task[Any]], encoded: Encoded, settings: Settings
) -> dict[str, ScoredTask]:
    """Score all tasks of a suite; the same resamples for every method.

    Raises:
        CellError: The vectors give no score.
    """
    scores = {}
    for task in tasks:
        data = task_sha256(suite, task.spec, settings.data)
        vectors = {column: encoded.vectors[task.spec.name, column] for column in task.texts()}
        # The seed follows from the rows alone: all methods are resampled alike, in pairs.
        seed = int(fingerprint([data, settings.limit])[:8], 16)
        settings.progress.start(f"score {task.spec.name}", 1)
        score = task.score(vectors, seed)
        settings.progress.advance(1)
        scores[task.spec.name] = ScoredTask(score, data, _phenomena(task, score))
    return scores


def _phenomena(task: Task[Any], score: TaskScore) -> dict[str, GroupEntry]:
    names = np.array([str(row.get(PHENOMENON, "")) for row in task.item_rows()])
    return {
        name: GroupEntry(
            value=float(score.items["value"][names == name].mean()), items=int(sum(names == name))
        )
        for name in sorted(set(names.tolist()) - {""})
    }


def _average_replicates(suite: Suite, scores: Mapping[str, ScoredTask]) -> NDArray[np.float64]:
    replicates = [scores[name].score.replicates for name in suite.average]
    return np.asarray(np.mean(replicates, axis=0))


def _all_items(suite: Suite, scores: Mapping[str, ScoredTask]) -> dict[str, Any]:
    items = {
        f"{task}/{name}": array
        for task, scored in scores.items()
        for name, array in scored.score.items.items()
    }
    items |= {f"{task}/replicates": scored.score.replicates for task, scored in scores.items()}
    return {**items, "average/replicates": _average_replicates(suite, scores)}


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
    dimensions = {vectors.shape[1] for vectors in encoded.vectors.values()}
    if len(dimensions) != 1:
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
        dimension=dimensions.pop(),
        parameters=_parameters(built.encoder),
        tasks={name: _task_entry(task) for name, task in scores.items()},
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
        items_sha256=sha256(packed),
    )
    return record, packed


def _task_entry(task: ScoredTask) -> TaskEntry:
    return TaskEntry(
        main=task.score.main,
        ci95=percentile_interval(task.score.replicates),
        metrics=dict(task.score.metrics),
        items=len(task.score.items["value"]),
        data_sha256=task.data_sha256,
        phenomena=dict(task.phenomena),
    )


def _parameters(encoder: Any) -> int | None:
    if not hasattr(encoder, "parameters"):
        return None
    return int(sum(parameter.numel() for parameter in encoder.parameters()))
