"""Rows of a table, from records: seeds averaged, bases compared, differences ranked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.records.entries import GroupKey, Interval, Record
from bench.records.files import StoredRecord, read_record, without_repeats
from bench.report.published import Published, find_published
from bench.suite import AVERAGE
from bench.verdicts.protocol import differing_protocols, most_common
from bench.verdicts.rank import ranks_by_average
from bench.verdicts.side import Side

# What seeds of a row share: the group of its records, and the revision of their checkpoint.
RowKey = tuple[*GroupKey, str]
T = TypeVar("T")
_ID = 12
_SHORT = 8


@dataclass(frozen=True)
class Costs:
    """What a row took, mean over seeds; None where it was not measured.

    Attributes:
        train_seconds: Seconds of one training.
        texts_per_second: Distinct texts encoded in a second, over cells that encoded all.
        peak_memory_bytes: Largest resident memory of a cell.
    """

    train_seconds: float | None = None
    texts_per_second: float | None = None
    peak_memory_bytes: float | None = None


@dataclass(frozen=True)
class TableRow:
    """One method of one suite and profile, over all its seeds; scores are fractions.

    Attributes:
        spec: Method spec.
        base: Model it was trained from; the method itself where it is a base of other rows; else
            None.
        trained: Whether it was trained here.
        profile: Scale of the trainings of its run; None where it is not known.
        limit: Rows of each task, or None for all.
        setup: What computed vectors and training, empty for torch in fp32.
        device: Where they were computed; several are joined by commas.
        dimension: Size of the vectors, or None where it is unknown.
        parameters: Number of parameters, or None where there are none.
        seeds: Number of seeds.
        tasks: Mean main score by task.
        average: Mean over seeds of the suite's average, or None where tasks are missing.
        sd: Standard deviation of the average over seeds, or None for a single seed.
        ci95: Bootstrap interval of ``average`` over items, or None where nothing is known of items.
        below_base: Whether a trained row stays below its untrained base.
        rank: Rank among the rows of its base, see ``bench.verdicts.rank``, or None.
        vector_bytes: Bytes of a vector that is kept otherwise than in float32, else None.
        costs: Time and memory.
        published: What a paper prints for the same method on the same suite.
        imported: Whether the scores come from result files of mteb.
        contaminated: Share of a task's test texts that were in the training text, by task, where
            there are any.
        in_domain: Tasks of data sets that the training drew on.
        other_rows: Whether all rows of its data were scored, but other ones than in most rows of
            the table, as where the data were changed since.
        other_protocol: Tasks that were scored by another protocol than in most rows of the table,
            each with a field that differs.
        id: Name for programs, which follows from suite, spec, profile where it was trained, limit,
            setup and revision, and is no other row's.
        label: What the user calls it in place of the spec, or None.
        revision: Start of the checksum of a checkpoint that was loaded, else empty.
        fingerprint: Identity of its records: model, rows and code; None where it is not known.
    """

    spec: str
    base: str | None
    trained: bool
    profile: str | None
    limit: int | None
    setup: str
    device: str | None
    dimension: int | None
    parameters: int | None
    seeds: int
    tasks: dict[str, float]
    average: float | None
    sd: float | None
    ci95: Interval | None
    below_base: bool
    rank: int | None = None
    vector_bytes: int | None = None
    costs: Costs = Costs()
    published: Published | None = None
    imported: bool = False
    contaminated: dict[str, float] = field(default_factory=dict)
    in_domain: tuple[str, ...] = ()
    other_rows: bool = False
    other_protocol: dict[str, str] = field(default_factory=dict)
    id: str = ""
    label: str | None = None
    revision: str = ""
    fingerprint: str | None = None


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
        rows_in_all: Number of rows that there are, where ``rows`` are some of them.
    """

    suite: str
    convention: str
    averaged_tasks: tuple[str, ...]
    metrics: dict[str, str]
    mteb: dict[str, str]
    rows: tuple[TableRow, ...]
    rows_in_all: int | None = None


def load_tables(paths: Iterable[Path]) -> list[Table]:
    """Make one table a suite from the records at some paths.

    Raises:
        DataError: A record is damaged, or two records of a suite do not fit one table.
    """
    return tables_of((path, read_record(path)) for path in paths)


def tables_of(stored: Iterable[StoredRecord]) -> list[Table]:
    """Make one table a suite from records and their paths.

    Raises:
        DataError: Two records of a suite do not fit one table, or items are not those of theirs.
    """
    return [make_table(suite, of_suite) for suite, of_suite in by_suite(stored).items()]


def read_suites(paths: Iterable[Path]) -> dict[str, list[StoredRecord]]:
    """Read the records at some paths, by suite.

    Raises:
        DataError: A record is damaged.
    """
    return by_suite((path, read_record(path)) for path in paths)


def by_suite(stored: Iterable[StoredRecord]) -> dict[str, list[StoredRecord]]:
    """Sort records and their paths by suite."""
    suites: dict[str, list[StoredRecord]] = {}
    for path, record in without_repeats(stored):
        suites.setdefault(record.suite, []).append((path, record))
    return suites


def only_suites(
    known: Mapping[str, T], suites: Sequence[str] | None, note: Callable[[str], None]
) -> dict[str, T]:
    """What there is of the suites that are asked for.

    Args:
        known: What there is, by suite.
        suites: Those asked for, or None for all.
        note: Told of which of them there is nothing, where there is something of others; where
            nothing is left, whoever asked says so.
    """
    if suites is None:
        return dict(known)
    left = {name: one for name, one in known.items() if name in suites}
    for name in suites if left else ():
        if name not in left:
            note(f"no records of suite {name}")
    return left


def make_table(suite: str, stored: Sequence[StoredRecord]) -> Table:
    """Make the table of a suite from its records.

    Raises:
        DataError: Two of them do not fit one table.
    """
    groups = group_rows(suite, stored)
    usual = most_common([record for _, record in stored])
    sides = {key: Side(group) for key, group in groups.items()}
    bases = {record.method.base for _, record in stored if record.method.trained}
    others = _on_other_rows(sides)
    rows = {
        key: replace(
            _row(group, bases),
            below_base=_is_below_base(group, groups),
            other_rows=key in others,
            other_protocol=differing_protocols(usual, group[0][1]),
        )
        for key, group in groups.items()
    }
    return Table(
        suite=suite,
        convention=usual.convention,
        averaged_tasks=usual.averaged_tasks,
        metrics={name: entry.metric for name, entry in usual.tasks.items()},
        mteb={name: entry.mteb for name, entry in usual.tasks.items() if entry.mteb},
        rows=order_rows(_ranked(rows, sides)),
    )


def order_rows(rows: Iterable[TableRow]) -> tuple[TableRow, ...]:
    """Group rows by base, the best base and the best row of a base first."""
    best: dict[str | None, float] = {}
    for row in (unordered := list(rows)):
        best[row.base] = max(best.get(row.base, -np.inf), _order(row))

    def place(row: TableRow) -> tuple[float, bool, str, float]:
        return best[row.base], row.base is None, row.base or "", _order(row)

    return tuple(sorted(unordered, key=place, reverse=True))


def group_rows(suite: str, stored: Sequence[StoredRecord]) -> dict[RowKey, list[StoredRecord]]:
    """Put the records of each row of a suite's table together: seeds of one method.

    Raises:
        DataError: Two of them do not fit one table.
    """
    first_path, first = stored[0]
    groups: dict[RowKey, list[StoredRecord]] = {}
    for path, record in stored:
        if (record.convention, record.averaged_tasks) != (first.convention, first.averaged_tasks):
            raise DataError(f"{path} and {first_path} score {suite} differently; keep them apart")
        groups.setdefault(row_key(record), []).append((path, record))
    return groups


def row_key(record: Record) -> RowKey:
    """What the records of a row have in common: their group, and the revision of a checkpoint."""
    return *record.group, _revision(record)


def row_id(suite: str, record: Record) -> str:
    """The ``id`` of the row that a record belongs to."""
    profile = record.profile if record.method.trained else None
    spec, _, limit, setup = record.group
    return fingerprint([suite, spec, profile, limit, setup, _revision(record)])[:_ID]


def _revision(record: Record) -> str:
    """Start of the checksum of the checkpoint that a record was made of; empty where none was."""
    return record.model_fingerprint[:_SHORT] if record.method.checkpoint else ""


def _on_other_rows(sides: Mapping[RowKey, Side]) -> set[RowKey]:
    scored = {
        key: side.first.scored_rows for key, side in sides.items() if side.first.limit is None
    }
    most = Counter(scored.values()).most_common(1)
    return {key for key, rows in scored.items() if rows != most[0][0]}


def _order(row: TableRow) -> float:
    return -np.inf if row.average is None else row.average


def _mean_average(group: Sequence[StoredRecord]) -> float:
    return float(np.mean([record.average for _, record in group]))


def base_of(
    first: Record, groups: Mapping[RowKey, Sequence[StoredRecord]]
) -> Sequence[StoredRecord] | None:
    """Records of the base that a row was trained from.

    Profiles count for a base that was trained itself; of one that was not, that of the row comes
    first where there are several.

    Args:
        first: A record of the row.
        groups: Records by row.

    Returns:
        The records; None where none was encoded and limited alike, or where there are several
        revisions, of which no record tells which one it was.
    """
    if not first.method.trained:
        return None
    encoding = "" if first.compute is None else first.compute.encoding
    alike = [
        group
        for (spec, _, limit, setup, _), group in groups.items()
        if (spec, limit, setup) == (first.method.base, first.limit, encoding)
    ]
    bases = [group for group in alike if group[0][1].profile == first.profile]
    bases = bases or [group for group in alike if not group[0][1].method.trained]
    return bases[0] if len(bases) == 1 else None


def _is_below_base(
    group: Sequence[StoredRecord], groups: Mapping[RowKey, Sequence[StoredRecord]]
) -> bool:
    first = group[0][1]
    base = base_of(first, groups)
    if base is None:
        return False
    base_record = base[0][1]
    alike = first.scored_rows == base_record.scored_rows and not differing_protocols(
        first, base_record
    )
    return alike and _mean_average(group) < _mean_average(base)


def _row(group: Sequence[StoredRecord], bases: set[str | None]) -> TableRow:
    records = [record for _, record in group]
    first = records[0]
    spec, profile, limit, setup = first.group
    cells = sorted(record.cell_fingerprint for record in records)
    scores = [record.average for record in records]
    return TableRow(
        spec=spec,
        base=_base(first, bases),
        trained=first.method.trained,
        profile=profile,
        limit=limit,
        setup=setup,
        device=", ".join(sorted({record.machine.get("device", "cpu") for record in records})),
        dimension=first.dimension,
        parameters=first.parameters,
        seeds=len(records),
        tasks={
            task: float(np.mean([record.tasks[task].main for record in records]))
            for task in first.tasks
        },
        average=_mean_average(group),
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        ci95=None,
        below_base=False,
        vector_bytes=first.vector_bytes,
        costs=_costs(records),
        published=find_published(first.suite, first.averaged_tasks, spec, first.method.base),
        contaminated={
            task: entry.contamination.normalised / entry.contamination.texts
            for task, entry in first.tasks.items()
            if entry.contamination and entry.contamination.normalised
        },
        in_domain=tuple(task for task, entry in first.tasks.items() if entry.in_domain),
        id=row_id(first.suite, first),
        label=next((record.method.label for record in records if record.method.label), None),
        revision=_revision(first),
        fingerprint=cells[0] if len(cells) == 1 else fingerprint(cells),
    )


def _base(record: Record, bases: set[str | None]) -> str | None:
    if record.method.trained:
        return record.method.base or None
    return record.method.spec if record.method.spec in bases else None


def _costs(records: Sequence[Record]) -> Costs:
    told = [(record.training or {}).get("seconds") for record in records]
    # What a method tells of its training has no form of its own.
    trainings = [seconds for seconds in told if isinstance(seconds, int | float)]
    speeds = [speed for record in records if (speed := record.texts_per_second)]
    return Costs(
        train_seconds=float(np.mean(trainings)) if trainings else None,
        texts_per_second=float(np.mean(speeds)) if speeds else None,
        peak_memory_bytes=max(record.peak_memory_bytes for record in records) or None,
    )


def _ranked(rows: Mapping[RowKey, TableRow], sides: Mapping[RowKey, Side]) -> list[TableRow]:
    by_base: dict[str | None, list[RowKey]] = {}
    for key, row in rows.items():
        by_base.setdefault(row.base, []).append(key)
    ranked = {}
    for keys in by_base.values():
        for key, rank in zip(keys, ranks_by_average([sides[key] for key in keys]), strict=True):
            ranked[key] = replace(rows[key], rank=rank, ci95=sides[key].interval(AVERAGE))
    return list(ranked.values())
