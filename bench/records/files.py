"""Files of records: paths, write, read, find.

A cell is ``<output>/<suite>/<cell>.json`` with ``<cell>.items.safetensors`` beside it. The
items are written first and the JSON is renamed into place last, so a cell is complete or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.core.errors import DataError, first_problem
from bench.core.files import write_atomic
from bench.core.fingerprint import canonical_json
from bench.core.regular import read_regular
from bench.records.entries import Record, RecordEntry, Whole
from bench.records.verification import Arrays, check_figures, check_items

DEFAULT_OUTPUT = Path("results/runs")
# Hundreds of times what the records of the largest suites take.
JSON_LIMIT = 16 * 2**20
ITEMS_LIMIT = 2**30
# Checksums of records whose figures followed from their items, which they hold the checksum of.
_verified: set[str] = set()
# A record, and the path of its JSON.
StoredRecord = tuple[Path, Record]


class Failure(RecordEntry):
    """Why a cell is absent; kept beside the records until the cell succeeds."""

    suite: str
    spec: str
    seed: Whole
    message: str
    exit_code: Whole
    traceback: str | None


def record_path(output: Path, suite: str, cell: str) -> Path:
    """Path of a cell's JSON."""
    return output / suite / f"{cell}.json"


def write_record(path: Path, record: Record, packed_items: bytes) -> None:
    """Write a cell: items, then JSON with its checksum; removes the note of an earlier failure."""
    write_atomic(_items_path(path), packed_items)
    rewrite_record(path, record)
    _failure_path(path).unlink(missing_ok=True)
    _old_failure_path(path).unlink(missing_ok=True)


def rewrite_record(path: Path, record: Record) -> Record:
    """Write the JSON of a cell whose items are there, and return it with its checksum."""
    summed = record.model_copy(update={"record_sha256": content_sha256(record)})
    write_atomic(path, (summed.model_dump_json(indent=1) + "\n").encode())
    return summed


def pack_items(items: Arrays) -> bytes:
    """Serialise arrays, the same bytes for equal arrays."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(items[name]) for name in sorted(items)})


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def content_sha256(record: Record) -> str:
    """SHA-256 over all fields of a record but the checksum itself, in canonical JSON."""
    fields = record.model_dump(mode="json", exclude={"record_sha256"})
    return sha256(canonical_json(fields).encode())


def read_record(path: Path) -> Record:
    """Read a cell's JSON.

    Raises:
        DataError: It cannot be read, is not a record of this schema, its figures contradict each
            other, or it was changed after it was written.
    """
    try:
        record = Record.model_validate_json(read_regular(path, JSON_LIMIT))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        problem = ": ".join(filter(None, first_problem(error)))
        raise DataError(f"{path}: not a record: {problem}") from None
    check_figures(path, record)
    if record.record_sha256 not in (None, content_sha256(record)):
        raise DataError(f"{path}: was changed after it was written; run that cell again")
    return record


def read_items(path: Path, record: Record | None = None) -> dict[str, NDArray[Any]]:
    """Read the per-item arrays of a record.

    Args:
        path: Path of the record.
        record: The record, whose figures are to follow from them, or None to read any.

    Raises:
        DataError: The file is missing or damaged, of another run than the record, or its arrays do
            not give the figures of the record.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    place = _items_path(path)
    try:
        content = read_regular(place, ITEMS_LIMIT)
        if record is not None and sha256(content) != record.items_sha256:
            raise DataError(f"{place}: not the items of {path.name}; run that cell again")
        items = dict(load(content))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{place}: cannot be read: {reason}; run that cell again") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        # The library has no words of its own for types that NumPy lacks.
        raise DataError(f"{place}: cannot be read: {error}; run that cell again") from None
    if record is not None and record.record_sha256 not in _verified:
        check_items(path, record, items)
        _verified.update(filter(None, [record.record_sha256]))
    return items


def read_verified(path: Path) -> Record:
    """Read a record whose figures follow from its items.

    Raises:
        DataError: See ``read_record`` and ``read_items``.
    """
    record = read_record(path)
    read_items(path, record)
    return record


def write_failure(path: Path, failure: Failure) -> None:
    """Note beside the records why a cell is absent."""
    write_atomic(_failure_path(path), (failure.model_dump_json(indent=1) + "\n").encode())


def failed_line(path: Path, failure: Failure) -> str:
    """Why a cell is absent, and the file that has the traceback, where there is one.

    Args:
        path: Path of the record that there is not.
        failure: Why.
    """
    if failure.traceback is None or not _failure_path(path).exists():
        return failure.message
    return f"{failure.message}; its traceback is in {_failure_path(path)}"


def has_failed(path: Path) -> bool:
    """Whether the last attempt at a cell failed."""
    return _failure_path(path).exists() or _old_failure_path(path).exists()


def find_records(folders: Sequence[Path]) -> list[Path]:
    """Paths of all records below some folders, ``results/runs`` where none is named, sorted.

    Raises:
        DataError: A folder does not exist, or a file cannot be read.
    """
    paths: set[Path] = set()
    for folder in folders or (DEFAULT_OUTPUT,):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; 'bench run' writes records there")
        paths |= {path for path in folder.rglob("*.json") if _is_record(path)}
    return sorted(paths)


def _is_record(path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(".failed.json") or path.is_dir():
        return False
    if os.path.lexists(_items_path(path)):
        # A damaged record is one still: left out in silence, its method would not be judged.
        return True
    if not path.is_file() or path.stat().st_size > JSON_LIMIT:
        return False
    try:
        content = json.loads(read_regular(path, JSON_LIMIT))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "cell_fingerprint" in content


def without_repeats(stored: Iterable[StoredRecord]) -> list[StoredRecord]:
    """Leave out what an untrained method did under one more profile, which changes nothing."""
    profiles: dict[str, str] = {}
    return [
        (path, record)
        for path, record in stored
        if record.method.trained
        or profiles.setdefault(record.cell_fingerprint, record.profile) == record.profile
    ]


def _items_path(path: Path) -> Path:
    return path.with_suffix(".items.safetensors")


def _failure_path(path: Path) -> Path:
    return path.with_suffix(".failed")


def _old_failure_path(path: Path) -> Path:
    """Where versions before noted it, under a name that tools took for that of a record."""
    return path.with_suffix(".failed.json")
