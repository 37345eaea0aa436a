"""Records made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.spec import parse_method_spec
from bench.records.entries import (
    EncodingEntry,
    GeometryEntry,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
)
from bench.records.files import pack_items, record_path, sha256, write_record

KINDS = {"S1": "sts", "S2": "sts", "C": "clustering"}
Items = Mapping[str, NDArray[np.float64]]


def record_of(
    spec: str,
    tasks: Mapping[str, TaskEntry],
    *,
    items: Items | None = None,
    method: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """A record of some tasks, whose average is their mean and without interval unless changed.

    Args:
        spec: Spec of the method.
        tasks: The tasks, by name.
        items: What is kept of each item.
        method: Changes to what the record says of the method.
        changes: Changes to the record.
    """
    mean = float(np.mean([task.main for task in tasks.values()]))
    rounded = float(np.mean([round(100 * task.main, 2) for task in tasks.values()])) / 100
    entry: dict[str, Any] = {
        "name": parse_method_spec(spec).name,
        "spec": spec,
        "title": "x",
        "kind": "static",
        "checkpoint": None,
        "config": {},
        "trained": False,
        "base": None,
    }
    fields: dict[str, Any] = {
        "suite": "small",
        "convention": "senteval",
        "method": MethodEntry(**entry | dict(method or {})),
        "profile": "local",
        "seed": 0,
        "limit": None,
        "cell_fingerprint": f"{spec}{changes.get('seed', 0)}",
        "model_fingerprint": spec,
        "dimension": 8,
        "parameters": None,
        "tasks": dict(tasks),
        "average": mean,
        "average_ci95": None,
        "average_of_rounded": rounded,
        "averaged_tasks": tuple(tasks),
        "encoding": EncodingEntry(texts=9, distinct=9, encoded=9, tokens=None),
        "timings": Timings(build=0, encode=0, score=0),
        "peak_memory_bytes": 0,
        "training": None,
        "versions": {},
        "machine": {},
        "created": "2026-01-01T00:00:00Z",
        "items_sha256": sha256(pack_items(items or {})),
    }
    return Record(**fields | changes)


def items_of(
    tasks: Mapping[str, TaskEntry], replicates: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[Any]]:
    """Items that give the scores of tasks without further arrays, and the average of all tasks.

    Args:
        tasks: The tasks, by name.
        replicates: Replicates of each of them, (R,).
    """
    found: dict[str, NDArray[Any]] = {}
    for name, task in tasks.items():
        found[f"{name}/value"] = np.full(task.items, task.main, dtype=np.float32)
        found[f"{name}/replicates"] = replicates[name]
    found["average/replicates"] = np.mean([replicates[name] for name in tasks], axis=0)
    return found


def task_of(kind: str, main: float, **changes: Any) -> TaskEntry:
    """What a record says of a task."""
    fields: dict[str, Any] = {
        "metric": "x",
        "mteb": None,
        "ci95": None,
        "metrics": {},
        "items": 0,
        "data_sha256": "0",
    }
    return TaskEntry(kind=kind, main=main, **fields | changes)


def write_in(folder: Path, name: str, record: Record, items: Items) -> Path:
    """Write a record and its items, and return the record's path."""
    path = record_path(folder, record.suite, name)
    write_record(path, record, pack_items(items))
    return path


def make_record(
    spec: str,
    scores: Mapping[str, float],
    *,
    trained: bool = False,
    geometry: Mapping[str, GeometryEntry] | None = None,
    **changes: Any,
) -> Record:
    """A record of a suite of the tasks S1, S2 and C, of a method with these options."""
    options = dict(parse_method_spec(spec).options)
    kind = "transform" if "of" in options else "static"
    tasks = {name: task_of(KINDS[name], main) for name, main in scores.items()}
    method = {"kind": kind, "config": options, "trained": trained}
    fixed = {"suite": "cuts", "geometry": dict(geometry or {})}
    return record_of(spec, tasks, method=method, **fixed | changes)


def write_edited(path: Path, content: Mapping[str, Any]) -> None:
    """Write the fields of a record that somebody changed, who keeps no checksum."""
    path.write_text(json.dumps({**content, "record_sha256": None}))


def edit(path: Path, old: str, new: str) -> None:
    """Replace text in a record, as ``write_edited`` does."""
    write_edited(path, json.loads(path.read_text().replace(old, new)))
