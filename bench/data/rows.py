"""Reading rows, and the checksum that a local and a hub copy share."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.files import write_atomic
from bench.core.fingerprint import canonical_json

Row = dict[str, Any]
# Those of the largest number of 64 bits.
_MOST_DIGITS = 20
# A float holds every whole number up to here.
_EXACT = 2**53
# A text may be longer than the library allows a cell to be.
csv.field_size_limit(2**31 - 1)


def read_rows(path: Path) -> list[Row]:
    """Read JSON lines, gzipped where the name ends in ``.gz``; texts are kept as they are.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object whose numbers are finite
            and whose texts are Unicode.
    """
    try:
        return list(_lines(path))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"{path}: cannot be read as UTF-8: {error.reason} at byte {error.start}")
    # What the system says ends in the path, in Python's own form.
    reason = getattr(error, "strerror", None) or error
    return DataError(f"{path}: cannot be read: {reason}")


def _lines(path: Path) -> Iterator[Row]:
    # Texts may hold other line separators of Unicode: only a newline ends a row.
    for number, line in enumerate(_content(path).decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield parse_row(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number} {error}") from None


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def parse_row(line: str) -> Row:
    """Read one line of JSON lines.

    Raises:
        ValueError: It is not a JSON object whose numbers are finite and whose texts are Unicode.
    """
    try:
        row = _DECODER.decode(line)
    except json.JSONDecodeError:
        raise ValueError("is not a JSON object") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    # Only an escape can make one, and searching for it costs nothing.
    if "\\ud" in line or "\\uD" in line:
        try:
            canonical_json(row).encode()
        except UnicodeEncodeError:
            raise ValueError("has half of a surrogate pair, which is not a character") from None
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    return row


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has the key {twice!r} twice")
    return row


def _refuse(name: str) -> float:
    raise ValueError(f"has {name}, which is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"has {text[:20]}, which is too large for a number")
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"has {text[:20]}…, which is too large for a number")
    return int(text)


# Made once: json.loads would make one for every row.
_DECODER = json.JSONDecoder(
    parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=_object
)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write gzipped JSON lines, the same bytes for the same rows."""
    content = "".join(canonical_json(row) + "\n" for row in rows).encode()
    write_atomic(path, gzip.compress(content, mtime=0))


def read_table(path: Path) -> list[Row]:
    """Read rows of JSON lines, CSV, TSV or Parquet, by the end of the file's name.

    Values of CSV and TSV are texts; what they mean is for a task to say, see
    ``bench.data.values``. In a TSV file no character is a quote.

    Raises:
        DataError: The file is missing, of another kind, or damaged, or a row has another number of
            values than the header.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return read_rows(path)
    readers = {".csv": _csv_rows, ".tsv": _tsv_rows, ".parquet": _parquet_rows}
    reader = readers.get(Path(name).suffix)
    if reader is None:
        raise DataError(f"{path}: not a table; use .jsonl, .csv, .tsv or .parquet")
    try:
        return reader(path)
    except (OSError, ValueError, EOFError, zlib.error, csv.Error) as error:
        raise _unreadable(path, error) from None


def _csv_rows(path: Path) -> list[Row]:
    # strict: a quote that never ends would swallow all rows after it.
    text = io.StringIO(_content(path).decode("utf-8-sig"), newline="")
    return _with_header((row for row in csv.reader(text, strict=True) if row), path)


def _tsv_rows(path: Path) -> list[Row]:
    text = _content(path).decode("utf-8-sig")
    # Lines end as the header does: a value may end in a carriage return of its own.
    end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    lines = text.removesuffix(end).split(end)
    return _with_header((line.split("\t") for line in lines if line), path)


def _with_header(rows: Iterator[list[str]], path: Path) -> list[Row]:
    header = next(rows, [])
    _refuse_twice(header, path)
    named = []
    for number, values in enumerate(rows, 1):
        if len(values) != len(header):
            raise DataError(
                f"{path}: row {number} has {len(values)} values, the header has {len(header)}"
            )
        named.append(dict(zip(header, values, strict=True)))
    return named


def _parquet_rows(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    # Not read_table, which makes columns of folders that are called name=value.
    with pq.ParquetFile(path) as file:
        table = file.read()
    _refuse_twice(table.column_names, path)
    rows: list[Row] = table.to_pylist()
    return rows


def _refuse_twice(header: Sequence[str], path: Path) -> None:
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}: two columns are called {twice[0]!r}")


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
    renamed_rows = []
    absent = {rename.get(column, column): None for column in optional}
    for number, given in enumerate(rows, 1):
        row = {**absent, **given}
        names = {column: rename.get(column, column) for column in columns}
        missing = [name for name in names.values() if name not in row]
        if missing:
            raise DataError(
                f"{label}: row {number} has no column {missing[0]!r}; it has: {', '.join(row)}"
            )
        renamed_rows.append({**row, **{column: row[name] for column, name in names.items()}})
    return renamed_rows


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
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT
    return float(value) if whole else value


def rows_sha256(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """SHA-256 over the sorted digests of all rows: independent of their order.

    Raises:
        KeyError: A row lacks a column.
    """
    digests = sorted(row_digest(row, columns) for row in rows)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
