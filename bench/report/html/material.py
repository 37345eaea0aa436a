"""What a page shows of a suite: its table, and the records behind each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.records.entries import Record
from bench.records.files import StoredRecord
from bench.report.names import row_names
from bench.report.table import RowKey, Table, TableRow, group_rows, make_table, row_key
from bench.report.views.page import Names
from bench.suite import AVERAGE
from bench.verdicts.history import History, histories, last_commits
from bench.verdicts.side import Side


@dataclass(frozen=True)
class Shown:
    """A row of the table, with the records it was made of.

    Attributes:
        id: Id of the row within its suite: m0, m1, … in the order of the table.
        name: What it is called, as the table calls it.
        row: The row.
        stored: Its records by seed, with their paths.
        side: The same with their items.
    """

    id: str
    name: str
    row: TableRow
    stored: tuple[StoredRecord, ...]
    side: Side


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
    def names(self) -> Names:
        """What its rows are called, by what their records have in common."""
        return {row_key(shown.side.first): shown.name for shown in self.shown}

    @property
    def of_one_machine(self) -> Table:
        """The rows that the machine of most of them computed, as no others compare in time."""
        machines = {shown.row.id: machine_of(shown) for shown in self.shown}
        ((usual, _),) = Counter(machines.values()).most_common(1)
        rows = tuple(row for row in self.table.rows if machines[row.id] == usual)
        return replace(self.table, rows=rows)

    @property
    def paths(self) -> list[Path]:
        """Where the records are."""
        return [path for path, _ in self.stored]


def machine_of(shown: Shown) -> str:
    """What computed a row, in words."""
    machines = {
        " ".join(value for _, value in sorted(record.machine.items()))
        for record in shown.side.records
    }
    return " and ".join(sorted(machines))


def gather(suite: str, stored: Sequence[StoredRecord]) -> Material:
    """Make the table of a suite, and find the records of its rows again.

    Of a method with records at several commits the table has the last one.

    Raises:
        DataError: Records do not fit one table, or items are not those of theirs.
    """
    over_commits = [one for one in histories(stored, {AVERAGE: 0.0}) if len(one.points) > 1]
    stored = last_commits(stored)
    table = make_table(suite, stored)
    names = row_names(table.rows)
    groups = group_rows(suite, stored)
    shown = []
    for number, row in enumerate(table.rows):
        group = groups.pop(_key_of(row, groups))
        shown.append(Shown(f"m{number}", names[row.id], row, tuple(group), Side(group)))
    return Material(table, tuple(stored), tuple(shown), tuple(over_commits))


def _key_of(row: TableRow, groups: Mapping[RowKey, Sequence[StoredRecord]]) -> RowKey:
    """The group that a row was made of; of two that are called alike that of its average."""
    return next(
        key
        for key, group in groups.items()
        if (key[0], *key[2:]) == (row.spec, row.limit, row.setup, row.revision)
        and row.profile in (None, key[1])
        and float(np.mean([record.average for _, record in group])) == row.average
    )
