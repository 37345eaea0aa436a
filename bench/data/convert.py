"""A user's own table as a split of a data folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import DataError, UsageError
from bench.data.catalog import SplitRef, catalog
from bench.data.places import rows_summary
from bench.data.rows import Row, read_rows, read_table, renamed, rows_sha256, write_rows
from bench.data.values import checked, refuse_blank, refuse_unwritable, typed

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(rf"({_PART}/{_PART}):({_PART})")


@dataclass(frozen=True)
class OwnTable:
    """Rows of a user's own table where a suite can name them.

    Attributes:
        file: Path.
        rows: Number of rows.
        sha256: Checksum over the canonical rows.
    """

    file: str
    rows: int
    sha256: str


def parse_own(text: str) -> SplitRef:
    """Parse ``family/set:split``, in the catalog or not.

    Raises:
        UsageError: It has another form.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not of the form family/set:split (letters, digits and '_.-')"
        )
    return SplitRef(match[1], match[2])


def convert(
    source: Path, ref: SplitRef, columns: Sequence[str], rename: Mapping[str, str], to: Path
) -> OwnTable:
    """Write the rows of a table as ``<family>/<set>/<split>.jsonl.gz``.

    Args:
        source: JSON lines, CSV, TSV or Parquet.
        ref: Where they go.
        columns: Columns that every row must have.
        rename: Column to the name that it has in the table, where they differ.
        to: Data folder.

    Raises:
        DataError: The table is damaged or empty, lacks a column, has a value that no task can
            read, or is not what the catalog knows by that name.
        UsageError: There are other rows by that name.
    """
    rows = _table(source, columns, rename)
    _refuse_unlike_catalog(source, ref, rows)
    path = (to / ref.filename).resolve()
    if not path.is_file():
        write_rows(path, rows)
    elif not _holds(path, rows):
        raise UsageError(f"{path} exists with other rows; remove it, or choose another --as")
    count, _, sha256 = rows_summary(path, columns).partition(":")
    return OwnTable(file=str(path), rows=int(count), sha256=sha256)


def _table(source: Path, columns: Sequence[str], rename: Mapping[str, str]) -> list[Row]:
    dropped = set(rename.values()) - set(columns)
    rows = [
        {column: value for column, value in row.items() if column not in dropped}
        for row in renamed(read_table(source), columns, rename, str(source))
    ]
    valid = checked(typed(rows, columns), columns, str(source), names=rename)
    refuse_blank(valid, columns, str(source), names=rename)
    beside = [column for column in valid[0] if column not in columns]
    whole = [{**dict.fromkeys(beside), **row} for row in valid]
    refuse_unwritable(whole, beside, str(source), {})
    return valid


def _refuse_unlike_catalog(source: Path, ref: SplitRef, rows: list[Row]) -> None:
    known = catalog().get(ref.dataset)
    if known is None or ref.split not in known.splits:
        return
    sha256 = rows_sha256(renamed(rows, known.columns, {}, str(source)), known.columns)
    if wrong := known.splits[ref.split].mismatch(len(rows), sha256):
        raise DataError(f"{source} differs from the known {ref}: {wrong}; choose another --as")


def _holds(path: Path, rows: list[Row]) -> bool:
    try:
        return read_rows(path) == rows
    except DataError:
        return False
