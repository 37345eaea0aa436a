"""Reading rows, and the checksum that a local and a hub copy share."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.fingerprint import canonical_json

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Read JSON lines, gzipped where the name ends in ``.gz``; texts are kept as they are.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object.
    """
    try:
        return list(_lines(path))
    except (OSError, EOFError, UnicodeDecodeError) as error:
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
