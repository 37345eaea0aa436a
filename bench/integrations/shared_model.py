"""The one model that records are exported or uploaded of: its records, and where it is kept."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.cache import Cache, default_root
from bench.core.compute import FULL
from bench.core.errors import DataError, UsageError
from bench.core.sealed import damage
from bench.core.spec import is_called
from bench.records.entries import Record
from bench.records.files import StoredRecord, find_records, read_verified
from bench.report.table import Table, row_id, tables_of

_SHOWN = 8


@dataclass(frozen=True)
class SharedModel:
    """A model, and what is known of it.

    Attributes:
        stored: Its records and their paths, one a suite or more.
        tables: Tables of these suites, of all records that were looked through.
    """

    stored: tuple[StoredRecord, ...]
    tables: tuple[Table, ...]

    @property
    def first(self) -> Record:
        """One of its records: spec, profile and seed are those of all."""
        return self.stored[0][1]

    @property
    def name(self) -> str:
        """What it is called: the user's label, or the spec."""
        return self.first.method.label or self.first.method.spec

    def table_of(self, record: Record) -> Table:
        """The table of a record's suite, without the rows of other methods."""
        table = next(table for table in self.tables if table.suite == record.suite)
        wanted = row_id(record.suite, record)
        rows = tuple(row for row in table.rows if row.id == wanted)
        return Table(**{**vars(table), "rows": rows})

    def commands(self) -> list[str]:
        """Commands that make its records, and the model where it is not there."""
        lines = []
        for _, record in self.stored:
            limit = [] if record.limit is None else ["--limit", str(record.limit)]
            words = ["bench", "run", "--suite", record.suite, "--profile", record.profile]
            words += _precision(record)
            words += ["--seeds", str(record.seed + 1), *limit, "--methods", record.method.spec]
            lines.append(shlex.join(words))
        return list(dict.fromkeys(lines))


def find_model(
    folders: Sequence[Path],
    *,
    method: str | None = None,
    profile: str | None = None,
    seed: int | None = None,
    trained: bool = True,
) -> SharedModel:
    """Find the records of one model.

    Args:
        folders: Folders of records, ``results/runs`` where none is named.
        method: Spec, label or name of the method, or None for the only one.
        profile: Profile of its training, or None for the only one.
        seed: Seed of its training, or None for the only one.
        trained: Only models that were trained here.

    Raises:
        DataError: A record is damaged.
        UsageError: There is no such model, or more than one.
    """
    stored = [(path, read_verified(path)) for path in find_records(folders)]
    models: dict[str, list[StoredRecord]] = {}
    for path, record in stored:
        fits = profile in (None, record.profile) and seed in (None, record.seed)
        named = method is None or is_called(method, record.method.spec, record.method.label)
        if fits and named and (record.method.trained or not trained):
            models.setdefault(record.model_fingerprint, []).append((path, record))
    if len(models) != 1:
        raise UsageError(_not_one([of_model[0][1] for of_model in models.values()], method))
    (chosen,) = models.values()
    suites = {record.suite for _, record in chosen}
    tables = tables_of(entry for entry in stored if entry[1].suite in suites)
    return SharedModel(tuple(chosen), tuple(tables))


def _precision(record: Record) -> list[str]:
    precision = None if record.compute is None else record.compute.train_precision
    return [] if precision in (None, FULL) else ["--train-precision", str(precision)]


def _not_one(records: Sequence[Record], method: str | None) -> str:
    if not records:
        called = f" of {method}" if method else ""
        return f"no records{called} of a model that was trained here; 'bench run' makes them"
    named = [f"{one.method.spec} (profile {one.profile}, seed {one.seed})" for one in records]
    more = f", and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return (
        f"records of {len(named)} models: {'; '.join(named[:_SHOWN])}{more}; name one with "
        "--method, --profile and --seed"
    )


def kept_folder(model: SharedModel) -> Path:
    """Folder in which a trained model is kept.

    Raises:
        DataError: It is not in the cache any more, or damaged there.
    """
    folder = Cache(default_root()).models / model.first.model_fingerprint
    wrong = damage(folder) if folder.is_dir() else "it is not there"
    if wrong is not None:
        raise DataError(
            f"the model of {model.first.method.spec} cannot be taken from {folder}, as {wrong}; "
            f"where its method keeps one, this trains it again: {model.commands()[0]} --rerun all"
        )
    return folder
