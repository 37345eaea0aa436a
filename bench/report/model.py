"""Rows of a table, from records: seeds averaged, bases compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.errors import DataError
from bench.record import Group, Interval, Record, read_items, read_record
from bench.stats.bootstrap import percentile_interval


@dataclass(frozen=True)
class Row:
    """One method of one suite and profile, over all its seeds; scores are fractions.

    Attributes:
        spec: Method spec.
        base: Model it was trained from; the method itself where it is a base of other rows.
        trained: Whether it was trained here.
        profile: Scale of the training.
        limit: Rows of each task, or None for all.
        dimension: Size of the vectors, or None where it is unknown.
        seeds: Number of seeds.
        tasks: Mean main score by task.
        average: Mean over seeds of the suite's average, or None where tasks are missing.
        sd: Standard deviation of the average over seeds, or None for a single seed.
        ci95: Bootstrap interval of ``average`` over items, or None where nothing is known of items.
        below_base: Whether a trained row stays below its untrained base.
        imported: Whether the scores come from result files of mteb.
        contaminated: Share of a task's test texts that were in the training text, by task, where
            there are any.
    """

    spec: str
    base: str
    trained: bool
    profile: str
    limit: int | None
    dimension: int | None
    seeds: int
    tasks: dict[str, float]
    average: float | None
    sd: float | None
    ci95: Interval | None
    below_base: bool
    imported: bool = False
    contaminated: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows of one suite.

    Attributes:
        suite: Name of the suite.
        convention: Protocol of the scores.
        averaged_tasks: Tasks in the average.
        metrics: Name of the main score by task.
        mteb: Name of the same task in mteb by task, where there is one.
        rows: Grouped by base, best average first within a base.
    """

    suite: str
    convention: str
    averaged_tasks: tuple[str, ...]
    metrics: dict[str, str]
    mteb: dict[str, str]
    rows: tuple[Row, ...]


def load_tables(paths: Iterable[Path]) -> list[Table]:
    """Make one table a suite from the records at some paths.

    Raises:
        DataError: A record is damaged, or two records of a suite do not fit one table.
    """
    by_suite: dict[str, list[tuple[Path, Record]]] = {}
    for path in paths:
        record = read_record(path)
        by_suite.setdefault(record.suite, []).append((path, record))
    return [_table(suite, found) for suite, found in by_suite.items()]


def _table(suite: str, found: Sequence[tuple[Path, Record]]) -> Table:
    first_path, first = found[0]
    for path, record in found:
        if (record.convention, record.averaged_tasks) != (first.convention, first.averaged_tasks):
            raise DataError(f"{path} and {first_path} score {suite} differently; keep them apart")
    groups: dict[Group, list[tuple[Path, Record]]] = {}
    for path, record in found:
        groups.setdefault(record.group, []).append((path, record))
    averages = {key: _mean_average(group) for key, group in groups.items()}
    bases = {record.method.base for _, record in found if record.method.trained}
    rows = [_row(key, group, averages, bases) for key, group in groups.items()]
    return Table(
        suite=suite,
        convention=first.convention,
        averaged_tasks=first.averaged_tasks,
        metrics={name: entry.metric for name, entry in first.tasks.items()},
        mteb={name: entry.mteb for name, entry in first.tasks.items() if entry.mteb},
        rows=order_rows(rows),
    )


def order_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Group rows by base, the best base and the best row of a base first."""
    best: dict[str, float] = {}
    for row in (found := list(rows)):
        best[row.base] = max(best.get(row.base, -np.inf), _order(row))
    return tuple(
        sorted(found, key=lambda row: (best[row.base], row.base, _order(row)), reverse=True)
    )


def _order(row: Row) -> float:
    return -np.inf if row.average is None else row.average


def _mean_average(group: Sequence[tuple[Path, Record]]) -> float:
    return float(np.mean([record.average for _, record in group]))


def _row(
    key: Group,
    group: Sequence[tuple[Path, Record]],
    averages: dict[Group, float],
    bases: set[str | None],
) -> Row:
    spec, profile, limit = key
    records = [record for _, record in group]
    first = records[0]
    base_average = averages.get((first.method.base or "", profile, limit))
    scores = [record.average for record in records]
    return Row(
        spec=spec,
        base=_base(first, bases),
        trained=first.method.trained,
        profile=profile if first.method.trained else "–",
        limit=limit,
        dimension=first.dimension,
        seeds=len(records),
        tasks={
            task: float(np.mean([record.tasks[task].main for record in records]))
            for task in first.tasks
        },
        average=averages[key],
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        ci95=_interval(group),
        below_base=first.method.trained
        and base_average is not None
        and averages[key] < base_average,
        contaminated={
            task: entry.contamination.normalised / entry.contamination.texts
            for task, entry in first.tasks.items()
            if entry.contamination and entry.contamination.normalised
        },
    )


def _base(record: Record, bases: set[str | None]) -> str:
    if record.method.trained:
        return record.method.base or "–"
    if record.method.spec in bases:
        return record.method.spec
    return record.method.checkpoint or "–"


def _interval(group: Sequence[tuple[Path, Record]]) -> Interval | None:
    if len(group) == 1 or group[0][1].average_ci95 is None:
        return group[0][1].average_ci95
    # Replicates of all seeds resample the same items, so their mean is a replicate too.
    replicates = [read_items(path)["average/replicates"] for path, _ in group]
    return percentile_interval(np.mean(replicates, axis=0))
