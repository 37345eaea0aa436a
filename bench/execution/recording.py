"""From scores to a record: averages, intervals, items, and the circumstances of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.data.catalog import dataset_of
from bench.encoding.encode import Encoded
from bench.encoding.sparse import SparselyEncoded
from bench.execution import environment
from bench.execution.builds import Learnt
from bench.execution.cells import Cell
from bench.execution.scoring import ScoredTask
from bench.execution.settings import Settings
from bench.method import Built, learns, stand_ins
from bench.records.entries import (
    ComputeEntry,
    EncodingEntry,
    GeometryEntry,
    GridEntry,
    Interval,
    MethodEntry,
    PeakMemory,
    Record,
    TaskEntry,
    Timings,
)
from bench.records.files import pack_items, sha256
from bench.records.items import ALL_TASKS, REPLICATES, items_key
from bench.stats.bootstrap import percentile_interval
from bench.suite import Suite, TaskSpec
from bench.suite.protocol import task_protocol


@dataclass(frozen=True)
class Scored:
    """All that a cell measured."""

    encoded: Encoded
    tasks: Mapping[str, ScoredTask]
    timings: Timings
    memory: environment.PhaseMemory
    grid: tuple[GridEntry, ...] = ()
    geometry: Mapping[str, GeometryEntry] = field(default_factory=dict)


def _average_replicates(
    suite: Suite, scores: Mapping[str, ScoredTask]
) -> NDArray[np.float64] | None:
    replicates = [scores[name].score.replicates for name in suite.average]
    known = [one for one in replicates if one is not None]
    return np.asarray(np.mean(known, axis=0)) if len(known) == len(replicates) else None


def _all_items(suite: Suite, scores: Mapping[str, ScoredTask]) -> dict[str, NDArray[Any]]:
    # Seven digits are plenty for one item, and halve what a committed record weighs.
    items = {
        items_key(task, name): array.astype(np.float32) if array.dtype == np.float64 else array
        for task, scored in scores.items()
        for name, array in (scored.score.items or {}).items()
    }
    replicates = {items_key(task, REPLICATES): one.score.replicates for task, one in scores.items()}
    replicates[items_key(ALL_TASKS, REPLICATES)] = _average_replicates(suite, scores)
    return items | {name: array for name, array in replicates.items() if array is not None}


def make_record(
    cell: Cell, built: Built, learnt: Learnt, scored: Scored, settings: Settings
) -> tuple[Record, bytes]:
    """Make the record of a cell and its packed per-item arrays.

    Raises:
        CellError: The vectors of the columns have different sizes.
    """
    scores, suite = scored.tasks, cell.suite
    packed = pack_items(_all_items(suite, scores))
    by_phase = scored.memory.by_phase
    mains = [scores[name].score.main for name in suite.average]
    record = Record(
        suite=suite.name,
        convention=suite.convention,
        method=_method_entry(cell),
        profile=settings.profile,
        seed=cell.seed,
        limit=settings.limit,
        cell_fingerprint=cell.fingerprint,
        model_fingerprint=cell.model_fingerprint,
        dimension=_dimension(cell, scored.encoded, built),
        vector_bytes=None if built.mapped is None else built.mapped.vector_bytes,
        parameters=_parameters(built),
        tasks={
            task.name: _task_entry(suite, task, scores[task.name], learnt.datasets)
            for task in suite.tasks
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
        encoding=_encoding_entry(scored.encoded),
        compute=_compute_entry(cell, scored, settings),
        timings=scored.timings,
        peak_memory_bytes=scored.memory.most,
        peak_memory=None if by_phase is None else PeakMemory(**by_phase),
        training=built.training,
        revisions=dict(learnt.revisions),
        versions=environment.package_versions(),
        machine={**environment.machine(settings.device), **settings.place},
        created=environment.now(),
        commit=settings.commit,
        items_sha256=sha256(packed),
    )
    return record, packed


def _method_entry(cell: Cell) -> MethodEntry:
    method, info = cell.method, cell.method.info
    return MethodEntry(
        name=info.name,
        spec=str(cell.spec),
        title=info.title,
        kind=info.kind,
        checkpoint=method.checkpoint,
        config=method.config.model_dump(mode="json"),
        trained=method.trains,
        base=method.base,
        stand_ins=stand_ins(method) or None,
        label=cell.spec.label,
    )


def _dimension(cell: Cell, encoded: Encoded, built: Built) -> int | None:
    if isinstance(encoded, SparselyEncoded):
        return encoded.size
    if cell.method.info.output == "pairs":
        return None
    sizes = {vectors.shape[1] for vectors in encoded.vectors.values()}
    if len(sizes) > 1 and built.mapped is None:
        raise CellError(f"the encoder returned vectors of different sizes: {sorted(sizes)}")
    # Maps that are fitted to each task keep what there is in it, here more and there less.
    return sizes.pop() if len(sizes) == 1 else None


def _encoding_entry(encoded: Encoded) -> EncodingEntry:
    return EncodingEntry(
        texts=encoded.texts,
        distinct=encoded.distinct,
        encoded=encoded.encoded,
        tokens=encoded.tokens,
    )


def _compute_entry(cell: Cell, scored: Scored, settings: Settings) -> ComputeEntry:
    compute = scored.encoded.compute
    devices = {task.probe_device for task in scored.tasks.values()} - {"cpu"}
    return ComputeEntry(
        backend=None if compute is None else compute.backend,
        precision=None if compute is None else compute.precision,
        train_precision=settings.train_precision if learns(cell.method) else None,
        probes=next(iter(devices), None),
    )


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
        in_domain=isinstance(spec.data, str) and dataset_of(spec.data) in learnt,
        protocol={**task_protocol(suite, spec), **subsets},
        evidence=task.score.evidence,
        trainings=tuple(map(dict, task.trainings)) or None,
    )


def _parameters(built: Built) -> int | None:
    encoder: Any = built.encoder
    if built.mapped is not None and built.mapped.model is None:
        encoder = built.mapped.encoder
    if not hasattr(encoder, "parameters"):
        return None
    return int(sum(parameter.numel() for parameter in encoder.parameters()))
