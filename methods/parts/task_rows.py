"""Rows of the three tasks that minBERT learns, from the catalog or a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import DataError, UsageError
from bench.data.access import DataAccess
from bench.data.build_inputs import TrainingSet
from bench.data.catalog import catalog, dataset_of, parse_refs
from bench.data.rows import Row, row_digest

PAIR = ("sentence1", "sentence2")


@dataclass(frozen=True)
class TrainedTask:
    """One of the three tasks.

    Attributes:
        name: Its name.
        ref: Rows to train on, those of suite ``minbert``.
        columns: Columns of text.
        label: Column of the label.
        classes: Number of classes, labelled from 0, or None where the labels are scores.
    """

    name: str
    ref: str
    columns: tuple[str, ...]
    label: str
    classes: int | None = None

    def texts(self, row: Row) -> tuple[str, ...]:
        """Texts of a row."""
        return tuple(str(row[column]) for column in self.columns)

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Columns of texts and label."""
        return (*self.columns, self.label)


SENTIMENT = TrainedTask("sentiment", "classification/sst5:train", ("text",), "label", 5)
PARAPHRASE = TrainedTask("paraphrase", "paraphrase/quora:dev#train", PAIR, "label", 2)
SIMILARITY = TrainedTask("similarity", "sts/stsb:train", PAIR, "score")


def refuse_other_rows(task: TrainedTask, ref: str) -> None:
    """Check that what is named could be rows of a task; whether a file is there is not looked at.

    Raises:
        UsageError: The catalog has no such splits, or they lack a column of the task.
    """
    if _is_file(ref):
        return
    parse_refs(ref)
    columns = catalog()[dataset_of(ref)].columns
    if missing := [name for name in task.all_columns if name not in columns]:
        raise UsageError(f"{ref} has no column {missing[0]!r}, which the {task.name} task needs")


def _is_file(ref: str) -> bool:
    return ":" not in ref


@dataclass(frozen=True)
class TaskRows(TrainingSet):
    """Rows of a task.

    Attributes:
        task: The task.
        ref: Splits of the catalog, ``family/set:split[+split][#part]``, or the path of a file.
        limit: Number of rows, the same ones for every seed, or None for all.
    """

    task: TrainedTask
    ref: str
    limit: int | None = None

    def load(self, data: DataAccess) -> list[Row]:
        """Read the rows.

        Raises:
            DataError: They are missing, differ from the catalog, or have a label that is none.
        """
        if _is_file(self.ref):
            rows = data.table(self._path, self.task.all_columns, {})
        else:
            rows = data.rows(self.ref)
        self._refuse_labels(rows)
        # Not those at the start of the file, which may hold one genre only.
        return sorted(rows, key=self._digest)[: self.limit] if self.limit else rows

    def _refuse_labels(self, rows: list[Row]) -> None:
        known = range(self.task.classes or 0)
        for number, row in enumerate(rows, 1):
            label = row[self.task.label]
            if self.task.classes is not None and label not in known:
                raise DataError(
                    f"{self.ref}: row {number} has the label {label!r}; the {self.task.name} task "
                    f"has {', '.join(map(str, known))}"
                )

    def _digest(self, row: Row) -> str:
        return row_digest(row, self.task.all_columns)

    @property
    def _path(self) -> Path:
        path = Path(self.ref)
        if not path.is_file():
            raise DataError(
                f"{self.ref}: no such file; the {self.task.name} task takes one, or splits of the "
                f"catalog such as {self.task.ref}"
            )
        return path

    def fingerprint(self, data: DataAccess) -> str:
        """Checksum of all rows."""
        return data.file_sha256(self._path) if _is_file(self.ref) else data.sha256(self.ref)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The one data set that they are of, or none for a file."""
        return () if _is_file(self.ref) else (dataset_of(self.ref),)

    def texts(self, data: DataAccess) -> Iterator[str]:
        """Texts of the rows."""
        for row in self.load(data):
            yield from self.task.texts(row)
