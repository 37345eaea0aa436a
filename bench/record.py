"""Records: what a finished cell leaves on disk, and the only thing reports read.

A cell is ``<output>/<suite>/<cell>.json`` with ``<cell>.items.safetensors`` beside it. The
items are written first and the JSON is renamed into place last, so a cell is complete or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import DataError
from bench.files import write_atomic
from bench.fingerprint import canonical_json
from bench.regular import read_regular
from bench.verification import check_figures, check_items

DEFAULT_OUTPUT = Path("results/runs")
# Hundreds of times what the records of the largest suites take.
JSON_LIMIT = 16 * 2**20
ITEMS_LIMIT = 2**30
Interval = tuple[float, float]
Group = tuple[str, str, int | None]
# A stranger's record may hold any number of digits.
Whole = Annotated[int, Field(gt=-(2**63), lt=2**63)]
Arrays = Mapping[str, NDArray[Any]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MethodEntry(_Part):
    """The method of a cell: spec as resolved, and whether it was trained."""

    name: str
    spec: str
    title: str
    kind: str
    checkpoint: str | None
    config: dict[str, Any]
    trained: bool
    base: str | None


class GroupEntry(_Part):
    """Mean item value, between 0 and 1, over some items of a task."""

    value: float
    items: Whole


class ContaminationEntry(_Part):
    """Distinct texts of a test set, and how many of them were in the training text.

    ``normalised`` compares letters and digits in lower case.
    """

    texts: Whole
    exact: Whole
    normalised: Whole


class FitEntry(_Part):
    """What a map of a task's vectors was fitted on.

    ``source`` is the text of a corpus, the training rows of the task, those of each fold (the
    figures are the first fold's), or all rows of the task, the scored ones too. ``rank`` is that
    of the covariance of these vectors of size ``dimension``.
    """

    method: str
    source: Literal["corpus", "train", "folds", "test"]
    vectors: Whole
    rank: Whole
    dimension: Whole


class TaskEntry(_Part):
    """Scores of one task, as fractions.

    ``metric`` names the main score, ``ci95`` is a percentile bootstrap over items, where there
    are any, and ``metrics_ci95`` the same of further scores, where a task has them. ``mteb`` names
    the task of mteb that this one equals. ``phenomena`` groups the items
    by what they probe, where the rows say so. ``contamination`` is None where nothing was
    trained here; ``in_domain`` says whether the training read other rows of the same data set.
    ``fits`` tells what the maps of a transform were fitted on, in their order. ``protocol`` is what
    decides the score besides the rows, see ``bench.protocol``; None in records from before it.
    """

    kind: str
    metric: str
    mteb: str | None
    main: float
    ci95: Interval | None
    metrics: dict[str, float]
    metrics_ci95: dict[str, Interval] = {}
    items: Whole
    data_sha256: str
    phenomena: dict[str, GroupEntry] = {}
    contamination: ContaminationEntry | None = None
    in_domain: bool = False
    fits: tuple[FitEntry, ...] = ()
    protocol: dict[str, Any] | None = None


class GridEntry(_Part):
    """Main scores of a model cut to its first layers and the first numbers of its vectors.

    ``average`` is over the averaged tasks of the suite.
    """

    layers: Whole
    dim: Whole
    tasks: dict[str, float]
    average: float


class GeometryEntry(_Part):
    """How the vectors of a task's texts lie, see ``bench.geometry``; None where it is undefined.

    ``texts`` counts the texts that were drawn and ``vectors`` the different vectors among theirs,
    on which all is measured but ``alignment``, which is over ``pairs`` of texts that mean the same.
    """

    texts: Whole
    vectors: Whole
    pairs: Whole
    isoscore: float | None = None
    mean_cosine: float | None = None
    mean_cosine_centred: float | None = None
    top_share: float | None = None
    partition: float | None = None
    twonn: float | None = None
    twonn_fit: float | None = None
    mle: float | None = None
    pca_dimension: Whole | None = None
    participation_ratio: float | None = None
    alignment: float | None = None
    uniformity: float | None = None


class EncodingEntry(_Part):
    """How much was encoded: texts in all columns, distinct ones, and those not in the store."""

    texts: Whole
    distinct: Whole
    encoded: Whole
    tokens: Whole | None


class Timings(_Part):
    """Seconds of each phase; building is 0 where a cached model was loaded."""

    build: float
    encode: float
    score: float


class Record(_Part):
    """One finished cell.

    ``peak_memory_bytes`` is the largest resident memory of the process while the cell was made,
    where the system can tell (Linux), else of the process so far. ``diagnostics`` has what a method
    that learns from a pool is made of, by task, see ``bench.tasks.diagnostics``. ``revisions`` has
    the commit of each data set on the hub that was trained on, by its id. ``record_sha256`` is that
    of all other fields, see ``content_sha256``; records from before it was kept have none.
    """

    model_config = ConfigDict(protected_namespaces=(), frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    suite: str
    convention: str
    method: MethodEntry
    profile: str
    seed: Whole
    limit: Whole | None
    cell_fingerprint: str
    model_fingerprint: str
    dimension: Whole | None
    parameters: Whole | None
    tasks: dict[str, TaskEntry]
    average: float
    average_ci95: Interval | None
    average_of_rounded: float
    averaged_tasks: tuple[str, ...]
    grid: tuple[GridEntry, ...] = ()
    geometry: dict[str, GeometryEntry] = {}
    diagnostics: dict[str, dict[str, Any]] = {}
    encoding: EncodingEntry
    timings: Timings
    peak_memory_bytes: Whole
    training: dict[str, Any] | None
    revisions: dict[str, str] = {}
    versions: dict[str, str]
    machine: dict[str, str]
    created: str
    items_sha256: str
    record_sha256: str | None = None

    @property
    def group(self) -> Group:
        """What seeds of one method on one suite share: spec, profile and limit."""
        return self.method.spec, self.profile, self.limit

    @property
    def scored_rows(self) -> tuple[str, ...]:
        """Checksum of the rows of each task."""
        return tuple(task.data_sha256 for task in self.tasks.values())

    @property
    def texts_per_second(self) -> float | None:
        """Distinct texts encoded in a second, or None where the store held some of them."""
        encoded, seconds = self.encoding.encoded, self.timings.encode
        return encoded / seconds if encoded == self.encoding.distinct > 0 < seconds else None


class Failure(_Part):
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
    summed = record.model_copy(update={"record_sha256": content_sha256(record)})
    write_atomic(path, (summed.model_dump_json(indent=1) + "\n").encode())
    _failure_path(path).unlink(missing_ok=True)


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
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: not a record: {place} {first['msg'].lower()}") from None
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
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        # The library has no words of its own for types that NumPy lacks.
        raise DataError(f"{place}: cannot be read: {error}; run that cell again") from None
    if record is not None:
        check_items(path, record, items)
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


def has_failed(path: Path) -> bool:
    """Whether the last attempt at a cell failed."""
    return _failure_path(path).exists()


def find_records(folders: Sequence[Path]) -> list[Path]:
    """Paths of all records below some folders, ``results/runs`` where none is named, sorted.

    Raises:
        DataError: A folder does not exist, or a file cannot be read.
    """
    found: set[Path] = set()
    for folder in folders or (DEFAULT_OUTPUT,):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; 'bench run' writes records there")
        found |= {path for path in folder.rglob("*.json") if _is_record(path)}
    return sorted(found)


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


def without_repeats(found: Iterable[tuple[Path, Record]]) -> list[tuple[Path, Record]]:
    """Leave out what an untrained method did under one more profile, which changes nothing."""
    profiles: dict[str, str] = {}
    return [
        (path, record)
        for path, record in found
        if record.method.trained
        or profiles.setdefault(record.cell_fingerprint, record.profile) == record.profile
    ]


def _items_path(path: Path) -> Path:
    return path.with_suffix(".items.safetensors")


def _failure_path(path: Path) -> Path:
    return path.with_suffix(".failed.json")
