"""What a page shows of a suite: its table, and the records behind each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.records.entries import GroupKey, Record
from bench.records.files import StoredRecord
from bench.report.table import Table, TableRow, make_table
from bench.suite import AVERAGE
from bench.verdicts.history import History, histories, last_commits
from bench.verdicts.side import Side


@dataclass(frozen=True)
class Shown:
    """A row of the table, with the records it was made of.

    Attributes:
        id: Name of the row within its suite: m0, m1, … in the order of the table.
        row: The row.
        stored: Its records by seed, with their paths.
        side: The same with their items.
    """

    id: str
    row: TableRow
    stored: tuple[StoredRecord, ...]
    side: Side

    @property
    def name(self) -> str:
        """What it is called where nothing else tells rows apart."""
        limit = "" if self.row.limit is None else f" first {self.row.limit}"
        return self.side.name + limit


@dataclass(frozen=True)
class Material:
    """All that a page shows of a suite.

    Attributes:
        table: Its table.
        stored: Its records, with their paths.
        shown: The rows of the table, in their order.
        histories: Averages of methods that have records at several commits.
    """

    table: Table
    stored: tuple[StoredRecord, ...]
    shown: tuple[Shown, ...]
    histories: tuple[History, ...] = ()

    @property
    def records(self) -> list[Record]:
        """The records."""
        return [record for _, record in self.stored]

    @property
    def paths(self) -> list[Path]:
        """Where the records are."""
        return [path for path, _ in self.stored]


def gather(suite: str, stored: Sequence[StoredRecord]) -> Material:
    """Make the table of a suite, and find the records of its rows again.

    Of a method with records at several commits the table has the last one.

    Raises:
        DataError: Records do not fit one table, or items are not those of theirs.
    """
    over_commits = [one for one in histories(stored, {AVERAGE: 0.0}) if len(one.points) > 1]
    stored = last_commits(stored)
    table = make_table(suite, stored)
    groups: dict[GroupKey, list[StoredRecord]] = {}
    for path, record in stored:
        groups.setdefault(record.group, []).append((path, record))
    shown = []
    for number, row in enumerate(table.rows):
        group = groups.pop(_key_of(row, groups))
        shown.append(Shown(f"m{number}", row, tuple(group), Side(group)))
    return Material(table, tuple(stored), tuple(shown), tuple(over_commits))


def _key_of(row: TableRow, groups: dict[GroupKey, list[StoredRecord]]) -> GroupKey:
    """The group that a row was made of; of two that are called alike that of its average."""
    return next(
        key
        for key, group in groups.items()
        if (key[0], key[2], key[3]) == (row.spec, row.limit, row.setup)
        and row.profile in (None, key[1])
        and float(np.mean([record.average for _, record in group])) == row.average
    )
