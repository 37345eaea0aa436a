"""Figures of a record against each other and against its items, which they can be made of again.

A record may be edited, damaged or a stranger's. What is printed or judged has to follow from the
per-item arrays as far as these determine it; of other scores only the range is checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError
from bench.metrics.classification import label_replicates
from bench.metrics.ranking import average_precision
from bench.records.evidence import evidence_of
from bench.records.items import ALL_TASKS, REPLICATES, VALUE, split_items_key
from bench.stats.bootstrap import (
    average_precision_replicates,
    f1_replicates,
    pearson_replicates,
    percentile_interval,
    spearman_replicates,
)
from bench.stats.mcnemar import are_votes

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records.entries import Interval, Record, TaskEntry

_EXACT = 1e-9
_LARGEST = 2**63
# Items are kept as float32.
_ROUNDED = 1e-5
_BY_MTEB = "mteb"
_SIGNED = {"Spearman", "Pearson"}
# A dimension in hundredths, which no number bounds.
_UNBOUNDED = {"TwoNN"}
_DTYPES = {np.dtype(scalar) for scalar in (np.float32, np.int32, np.int64, np.bool_)}

Arrays = Mapping[str, NDArray[Any]]


def check_figures(path: Path, record: Record) -> None:
    """Check the figures of a record against each other.

    Raises:
        DataError: They contradict each other.
    """
    for problem in _figures(record):
        raise DataError(f"{path}: {problem}; run that cell again")


def check_items(path: Path, record: Record, items: Arrays) -> None:
    """Check the figures of a record against its items.

    Args:
        path: Path of the record.
        record: The record.
        items: Arrays by name, ``<task>/<array>``.

    Raises:
        DataError: An array is missing or of another kind, or the figures do not follow from them.
    """
    for problem in _arrays(record, items):
        raise DataError(f"{path}: items: {problem}; run that cell again")


def _figures(record: Record) -> Iterator[str]:
    averaged = record.averaged_tasks
    if not averaged or not set(averaged) <= record.tasks.keys():
        yield f"averaged_tasks are {list(averaged)}, the tasks {list(record.tasks)}"
        return
    for name, task in record.tasks.items():
        yield from (f"task {name}: {problem}" for problem in _task_figures(task))
    mains = [record.tasks[name].main for name in averaged]
    rounded = float(np.mean([round(100 * main, 2) for main in mains])) / 100
    for name, stated, computed in (
        ("average", record.average, float(np.mean(mains))),
        ("average_of_rounded", record.average_of_rounded, rounded),
    ):
        if not _near(stated, computed, _EXACT):
            yield f"{name} is {stated:g}, but its tasks give {computed:g}"
    for entry in record.grid:
        cut = [entry.tasks[name] for name in averaged if name in entry.tasks]
        if len(cut) == len(averaged) and not _near(entry.average, float(np.mean(cut)), _EXACT):
            yield f"average at layer {entry.layers} is {entry.average:g}, not that of its tasks"
    for part, value in (
        ("method.config", record.method.config),
        ("training", record.training),
        ("trainings", [task.trainings for task in record.tasks.values()]),
        ("diagnostics", record.diagnostics),
        ("protocol", [task.protocol for task in record.tasks.values()]),
    ):
        if not _all_finite(value):
            yield f"{part} holds NaN or infinity, or a number too large for a float"


def _task_figures(task: TaskEntry) -> Iterator[str]:
    lowest = -1 if task.metric in _SIGNED else 0
    highest = math.inf if task.metric in _UNBOUNDED else 1
    if task.kind != _BY_MTEB and not lowest - _EXACT <= task.main <= highest + _EXACT:
        yield f"main is {task.main:g}, which is out of range for {task.metric}"
    known = task.metrics.values()
    if any(not 0 < group.items <= max(task.items, 1) for group in task.phenomena.values()):
        yield "a phenomenon counts no items, or more than there are"
    if known and task.kind != _BY_MTEB and not any(_near(task.main, v, _EXACT) for v in known):
        yield f"main is {task.main:g}, which is none of its metrics"
    seen = task.contamination
    if seen is not None and not 0 <= seen.exact <= seen.normalised <= seen.texts:
        yield "contamination counts more texts than there are"


def _all_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < _LARGEST
    if isinstance(value, Mapping):
        return all(map(_all_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_all_finite, value))


def _near(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance


def _arrays(record: Record, items: Arrays) -> Iterator[str]:
    by_task: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in items.items():
        task, part = split_items_key(name)
        by_task.setdefault(task, {})[part] = array
    if unknown := by_task.keys() - record.tasks.keys() - {ALL_TASKS}:
        yield f"{sorted(unknown)[0]!r} is not a task of the record"
        return
    for name, entry in record.tasks.items():
        arrays = by_task.get(name, {})
        for check in (_shapes, _scores, _votes):
            if problem := next(check(entry, arrays), None):
                yield f"task {name}: {problem}"
                return
    yield from _averages(record, by_task)


def _averages(record: Record, by_task: Mapping[str, Arrays]) -> Iterator[str]:
    replicates = [by_task.get(name, {}).get(REPLICATES) for name in record.averaged_tasks]
    known = [values for values in replicates if values is not None]
    own = by_task.get(ALL_TASKS, {})
    if len(known) < len(replicates):
        if REPLICATES in own or record.average_ci95 is not None:
            yield "there are replicates of the average, but not of all its tasks"
        return
    if len({len(values) for values in known}) > 1:
        yield "the tasks have different numbers of replicates"
    elif own.keys() != {REPLICATES} or own[REPLICATES].dtype != np.float64:
        yield "average/replicates are missing"
    elif not _same(own[REPLICATES], np.asarray(np.mean(known, axis=0))):
        yield "average/replicates are not those of its tasks"
    else:
        yield from _interval("average_ci95", record.average_ci95, own[REPLICATES])


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=_EXACT, equal_nan=True))


def _interval(name: str, stated: Interval | None, replicates: NDArray[Any]) -> Iterator[str]:
    computed = percentile_interval(replicates)
    if stated is None or not all(map(_near, stated, computed, (_EXACT, _EXACT))):
        shown = "missing" if stated is None else f"{stated[0]:g} to {stated[1]:g}"
        yield f"{name} is {shown}, but the replicates give {computed[0]:g} to {computed[1]:g}"


def _shapes(task: TaskEntry, arrays: Arrays) -> Iterator[str]:
    if not arrays:
        if task.items or task.ci95 is not None:
            yield f"the arrays of its {task.items} items are missing"
        return
    for name in (VALUE, REPLICATES):
        if name not in arrays:
            yield f"{name} is missing"
            return
    replicates = arrays[REPLICATES]
    if replicates.dtype != np.float64 or replicates.ndim != 1 or len(replicates) < 2:
        yield f"replicates are {_kind(replicates)}, not several of float64"
    elif np.isinf(replicates).any() or np.isnan(replicates).all():
        yield "replicates are infinite, or all NaN"
    for name, array in arrays.items():
        if name == REPLICATES:
            continue
        if array.dtype not in _DTYPES or array.ndim not in {1, 2} or len(array) != task.items:
            yield f"{name} is {_kind(array)}, which does not fit {task.items} items"
        elif not np.isfinite(array).all():
            yield f"{name} holds NaN or infinity"
    value = arrays[VALUE]
    if value.dtype != np.float32 or value.ndim != 1:
        yield f"value is {_kind(value)}, not one float32 an item"
    elif not ((value >= -_ROUNDED) & (value <= 1 + _ROUNDED)).all():
        yield "value is not between 0 and 1"


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _scores(task: TaskEntry, arrays: Arrays) -> Iterator[str]:
    if not arrays:
        return
    replicates = arrays[REPLICATES]
    yield from _interval("ci95", task.ci95, replicates)
    determined = _determined(task, arrays)
    if determined is not None:
        stated, (low, high) = determined
        if not low - _ROUNDED <= stated <= high + _ROUNDED:
            yield f"the score is {stated:g}, but the items give {(low + high) / 2:g}"
        if stated == task.main:
            return
    if not np.nanmin(replicates) - _EXACT <= task.main <= np.nanmax(replicates) + _EXACT:
        yield f"main is {task.main:g}, outside of all its replicates"


def _votes(task: TaskEntry, arrays: Arrays) -> Iterator[str]:
    if task.evidence == "votes" and not (arrays and are_votes(arrays[VALUE], task.main)):
        yield "its evidence is votes, but the score is not the share of items that are right"


def _determined(task: TaskEntry, arrays: Arrays) -> tuple[float, Interval] | None:
    """A stated score, and the range in which the items, rounded as they are, put it."""
    if evidence_of(task, arrays[VALUE]) == "means":
        return task.main, _exactly(arrays[VALUE].mean(dtype=np.float64))
    for metric, names, scored in (
        ("Spearman", {"similarity", "gold"}, _of_ranks),
        ("Pearson", {"predicted", "gold"}, _of_values),
        ("AP", {"similarity", "gold"}, _of_pairs),
        ("V-measure", {"clusters", "gold"}, _of_clusters),
    ):
        if task.metric == metric:
            return scored(task, arrays) if names <= arrays.keys() else None
    return _of_labels(task, arrays) if {"predicted", "gold"} <= arrays.keys() else None


def _exactly(score: Any) -> Interval:
    return float(score), float(score)


def _once(task: TaskEntry) -> NDArray[np.int16]:
    return np.ones((1, task.items), dtype=np.int16)


def _float(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.astype(np.float64)


def _of_ranks(task: TaskEntry, arrays: Arrays) -> tuple[float, Interval]:
    similarity, gold = _float(arrays["similarity"]), _float(arrays["gold"])
    score = float(spearman_replicates(similarity, gold, _once(task))[0])
    # The most that ties can have changed, if rounding made them.
    sizes = np.unique(similarity, return_counts=True)[1].astype(np.float64)
    n = float(task.items)
    slack = float(np.sqrt((sizes**3 - sizes).sum() / max(n**3 - n, 1)))
    # Of subsets, where there are any, the items do not tell.
    return task.metrics.get("spearman_all", task.main), (score - slack, score + slack)


def _of_values(task: TaskEntry, arrays: Arrays) -> tuple[float, Interval]:
    predicted, gold = _float(arrays["predicted"]), _float(arrays["gold"])
    return task.main, _exactly(pearson_replicates(predicted, gold, _once(task))[0])


def _of_pairs(task: TaskEntry, arrays: Arrays) -> tuple[float, Interval]:
    similarity, gold = _float(arrays["similarity"]), arrays["gold"].astype(bool)
    tied = float(average_precision_replicates(similarity, gold, _once(task))[0])
    best, worst = (
        average_precision(similarity, gold, ties) for ties in ("optimistic", "pessimistic")
    )
    return task.main, (min(tied, worst), max(tied, best))


def _of_labels(task: TaskEntry, arrays: Arrays) -> tuple[float, Interval] | None:
    predicted, gold = arrays["predicted"], arrays["gold"]
    if predicted.ndim != 2 or gold.ndim != 1:
        return None
    right = (predicted == gold[:, None]).mean(axis=1)
    if np.abs(right - arrays[VALUE]).max() > _ROUNDED:
        # Whatever the main score is, it is not of these predictions.
        return task.main, _exactly(math.nan)
    if task.metric == "F1":
        by_run = [f1_replicates(labels == 1, gold == 1, _once(task))[0] for labels in predicted.T]
        return task.main, _exactly(np.mean(by_run))
    if task.metric == "macro F1":
        highest = max(int(predicted.max()), int(gold.max()))
        if highest >= task.items or min(int(predicted.min()), int(gold.min())) < 0:
            return task.main, _exactly(math.nan)
        macro = [label_replicates(labels, gold, highest + 1, _once(task)) for labels in predicted.T]
        return task.main, _exactly(np.mean([measures["f1_macro"][0] for measures in macro]))
    # The mean over folds weighs the rows of each, which the items do not tell.
    whole = "train" in ((task.protocol or {}).get("parts") or ())
    return (task.main, _exactly(right.mean())) if whole and task.metric == "accuracy" else None


def _of_clusters(task: TaskEntry, arrays: Arrays) -> tuple[float, Interval]:
    # Imported late, as it brings SciPy, which other tables do not need.
    from bench.metrics.clusters import v_measures

    gold, clusters = arrays["gold"].astype(np.intp), arrays["clusters"].astype(np.intp)
    numbered = all(
        numbers.min() >= 0 and numbers.max() < task.items for numbers in (gold, clusters)
    )
    if not numbered or clusters.ndim != 2:
        return task.main, _exactly(math.nan)
    by_run = [v_measures(gold, run, _once(task))[0] for run in clusters.T]
    return task.main, _exactly(np.mean(by_run))
