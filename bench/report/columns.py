"""The columns of a table, each declared once: ``COLUMNS``.

A new column is one entry there. It comes out in text, Markdown, LaTeX, JSON and CSV.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from bench.records.entries import Interval
from bench.report.marks import row_marks, score_marks
from bench.report.table import Table, TableRow
from bench.verdicts.rank import MOST as MOST_RANKED

# What is shown of a value that there is not.
DASH = "–"
# Digits of a score in points, after the decimal point.
DIGITS = 2


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    Attributes:
        name: Its heading.
        value: What it says of a row, unrounded; None where there is nothing to say.
        show: The value as text; empty where it says nothing either.
        field: Name of the value in JSON and CSV, with dots within a nested field.
        kind: A ``fact`` of the method, which moves to the caption where it is the same in all
            rows; the score of a ``task``, whose name is text from elsewhere; or another ``result``.
        optional: Whether it is left out where no row has anything, and its cells may stay empty;
            a dash stands in those of other columns.
        relative: Whether it compares rows, and is left out where there is a single one.
        expendable: Where a page is too narrow, columns go in this order; None stays.
        points: Whether it is in points, × 100, shown by ``show(value, digits=…)``.
        descending: Whether rows that are sorted by it begin with the largest value.
        of_some: Whether rows of which it says nothing share what it says of all others.
        left: Whether it is aligned to the left.
        code: Whether its texts are names from elsewhere, which Markdown shows as code.
        marks: Marks of a row that follow its text.
        note: A sentence below the table that explains it.
    """

    name: str
    value: Callable[[TableRow], Any]
    show: Callable[..., str]
    field: str
    kind: Literal["fact", "task", "result"] = "result"
    optional: bool = False
    relative: bool = False
    expendable: int | None = None
    points: bool = False
    descending: bool = False
    of_some: bool = False
    left: bool = False
    code: bool = False
    marks: Callable[[TableRow], str] | None = None
    note: Callable[[Table], str] | None = None

    def text(self, row: TableRow) -> str:
        """The value of a row as text, without marks; empty where there is nothing to say."""
        value = self.value(row)
        return "" if value is None else self.show(value)

    def says_something(self, table: Table) -> bool:
        """Whether it belongs into a table."""
        if self.relative and len(table.rows) == 1:
            return False
        return not self.optional or any(map(self.text, table.rows))

    def shared(self, table: Table) -> str | None:
        """The text of a fact that all rows share, else None."""
        texts = set(map(self.text, table.rows)) if self.kind == "fact" else set()
        if self.of_some and len(texts) > 1:
            texts.discard("")
        return texts.pop() if len(texts) == 1 else None


def columns_of(table: Table, digits: int = DIGITS) -> list[TableColumn]:
    """The columns that say something of a table; those of the tasks come before their average.

    Args:
        table: The table.
        digits: Digits of scores after the decimal point.
    """
    place = COLUMNS.index(AVERAGE)
    tasks = [_task_column(task) for task in table.metrics]
    columns = [*COLUMNS[:place], *tasks, *COLUMNS[place:]]
    return [
        replace(column, show=partial(column.show, digits=digits)) if column.points else column
        for column in columns
        if column.says_something(table)
    ]


def _task_column(task: str) -> TableColumn:
    return TableColumn(
        task,
        lambda row: row.tasks.get(task),
        _hundredfold,
        field=f"scores.{task}",
        kind="task",
        points=True,
        descending=True,
        marks=lambda row: score_marks(row, task),
    )


def _hundredfold(fraction: float, digits: int = DIGITS) -> str:
    return f"{100 * fraction:.{digits}f}"


def _range(interval: Interval, digits: int = DIGITS) -> str:
    return f"{_hundredfold(interval[0], digits)}–{_hundredfold(interval[1], digits)}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _megabytes(size: float) -> str:
    return f"{_whole(size / 1e6)} MB"


def _parameters(count: int) -> str:
    if not count:
        return ""
    return f"{count / 1e6:.1f}M" if count >= 1e5 else f"{count / 1e3:.1f}k"


def _published(row: TableRow) -> float | None:
    return None if row.published is None else row.published.average


def _rank_note(_: Table) -> str:
    return (
        "Rank is 1 + the number of rows of the same base whose average is significantly better "
        "(paired over items and seeds, false discovery rate 5%)."
    )


def unranked_note(table: Table) -> str | None:
    """That rows have no rank as their base has too many of them, where it has."""
    if max(Counter(row.base for row in table.rows).values(), default=0) <= MOST_RANKED:
        return None
    return f"There are no ranks among more than {MOST_RANKED:,} rows of one base."


def _setup_note(table: Table) -> str:
    if all(row.setup for row in table.rows):
        return ""
    return "The others were computed in fp32 by torch or by themselves."


def _bytes_note(_: Table) -> str:
    return "Bytes of a vector are told where it is quantised; others take 4 a dimension."


def _published_note(table: Table) -> str:
    specs: dict[str, list[str]] = {}
    for row in table.rows:
        if row.published is not None and row.published.average is not None:
            specs.setdefault(row.published.source, []).append(row.spec)
    sources = [f"{', '.join(those)} from {source}" for source, those in specs.items()]
    return f"Published: {'; '.join(sources)}."


METHOD = TableColumn(
    "Method", lambda row: row.spec, str, "spec", left=True, code=True, marks=row_marks
)
BASE = TableColumn("Base", lambda row: row.base, str, "base", kind="fact", left=True, code=True)
AVERAGE = TableColumn(
    "Avg", lambda row: row.average, _hundredfold, "average", points=True, descending=True
)
DEVIATION = TableColumn("±", lambda row: row.sd, _hundredfold, "sd", optional=True, points=True)
INTERVAL = TableColumn(
    "95% CI", lambda row: row.ci95, _range, "ci95", optional=True, points=True, descending=True
)
COLUMNS = [
    TableColumn(
        "Rank",
        lambda row: row.rank,
        str,
        "rank",
        optional=True,
        relative=True,
        note=_rank_note,
    ),
    METHOD,
    BASE,
    TableColumn(
        "Profile",
        lambda row: row.profile if row.trained else None,
        str,
        "profile",
        kind="fact",
        of_some=True,
        left=True,
    ),
    TableColumn(
        "Computed by",
        lambda row: row.setup,
        str,
        "setup",
        kind="fact",
        optional=True,
        left=True,
        note=_setup_note,
    ),
    TableColumn(
        "Device",
        lambda row: row.device,
        lambda device: "" if device == "cpu" else device,
        "device",
        kind="fact",
        optional=True,
        left=True,
    ),
    TableColumn("Dim", lambda row: row.dimension, str, "dimension", kind="fact", expendable=6),
    TableColumn(
        "Bytes",
        lambda row: row.vector_bytes,
        str,
        "vector_bytes",
        kind="fact",
        optional=True,
        note=_bytes_note,
    ),
    TableColumn(
        "Params",
        lambda row: row.parameters,
        _parameters,
        "parameters",
        kind="fact",
        expendable=4,
    ),
    TableColumn("Seeds", lambda row: row.seeds, str, "seeds", kind="fact", expendable=5),
    AVERAGE,
    DEVIATION,
    INTERVAL,
    TableColumn(
        "Published",
        _published,
        _hundredfold,
        "published.average",
        optional=True,
        points=True,
        descending=True,
        note=_published_note,
    ),
    TableColumn(
        "Train s",
        lambda row: row.costs.train_seconds,
        _whole,
        "costs.train_seconds",
        optional=True,
        expendable=3,
    ),
    TableColumn(
        "Texts/s",
        lambda row: row.costs.texts_per_second,
        _whole,
        "costs.texts_per_second",
        optional=True,
        descending=True,
        expendable=2,
    ),
    TableColumn(
        "Memory",
        lambda row: row.costs.peak_memory_bytes,
        _megabytes,
        "costs.peak_memory_bytes",
        optional=True,
        expendable=1,
    ),
]
