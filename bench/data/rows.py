"""Reading rows, and the checksum that a local and a hub copy share."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files import write_atomic
from bench.fingerprint import canonical_json

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Read JSON lines, gzipped where the name ends in ``.gz``; texts are kept as they are.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object.
    """
    try:
        return list(_lines(path))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _lines(path: Path) -> Iterator[Row]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    # Texts may hold other line separators of Unicode: only a newline ends a row.
    for number, line in enumerate(content.decode("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number} is not a JSON object")
        yield row


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write gzipped JSON lines, the same bytes for the same rows."""
    content = "".join(canonical_json(row) + "\n" for row in rows).encode()
    write_atomic(path, gzip.compress(content, mtime=0))


def read_table(path: Path) -> list[Row]:
    """Read rows of JSON lines, CSV, TSV or Parquet, by the end of the file's name.

    Values of CSV and TSV stay texts, apart from columns that hold numbers only.

    Raises:
        DataError: The file is missing, of another kind, or damaged.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return read_rows(path)
    import pandas as pd

    try:
        if name.endswith((".csv", ".tsv")):
            separator = "," if name.endswith(".csv") else "\t"
            frame = pd.read_csv(path, sep=separator, keep_default_na=False, encoding="utf-8")
        elif name.endswith(".parquet"):
            frame = pd.read_parquet(path)
        else:
            raise DataError(f"{path}: not a table; use .jsonl, .csv, .tsv or .parquet")
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    # A round trip leaves plain Python values, as JSON lines give them.
    rows: list[Row] = json.loads(frame.to_json(orient="records", force_ascii=False))
    return rows


def renamed(
    rows: Iterable[Row],
    columns: Sequence[str],
    rename: Mapping[str, str],
    label: str,
    optional: Sequence[str] = (),
) -> list[Row]:
    """Give columns the names that a task knows them by; all other columns stay.

    Args:
        rows: Rows.
        columns: Columns that every row must have in the end.
        rename: Column to the name that it has in the rows, where they differ.
        label: What the rows are called in an error.
        optional: Those of the columns that become None where a row has none.

    Raises:
        DataError: A row lacks a column.
    """
    found = []
    absent = {rename.get(column, column): None for column in optional}
    for number, given in enumerate(rows, 1):
        row = {**absent, **given}
        names = {column: rename.get(column, column) for column in columns}
        missing = [name for name in names.values() if name not in row]
        if missing:
            raise DataError(
                f"{label}: row {number} has no column {missing[0]!r}; it has: {', '.join(row)}"
            )
        found.append({**row, **{column: row[name] for column, name in names.items()}})
    return found


def text_digest(text: str) -> str:
    """SHA-256 of a text in hexadecimal: an order, and parts, that favour nobody."""
    return hashlib.sha256(text.encode()).hexdigest()


def row_digest(row: Row, columns: Sequence[str]) -> str:
    """SHA-256 of a row's columns; integers count as the equal float."""
    values = [row[column] for column in columns]
    return hashlib.sha256(
        canonical_json([_canonical(value) for value in values]).encode()
    ).hexdigest()


def _canonical(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def rows_sha256(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """SHA-256 over the sorted digests of all rows: independent of their order.

    Raises:
        KeyError: A row lacks a column.
    """
    digests = sorted(row_digest(row, columns) for row in rows)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
