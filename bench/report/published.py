"""Published figures that belong next to measured rows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.core.spec import parse_method_spec

_FRACTIONS = {"percent": 0.01, "fraction": 1.0}


@dataclass(frozen=True)
class Published:
    """What a source prints for a method on a suite, as fractions.

    Attributes:
        source: Paper and table.
        tasks: Scores by task.
        average: Printed average of the suite, or the mean of ``tasks`` where all of the suite's
            are there; None otherwise.
    """

    source: str
    tasks: Mapping[str, float]
    average: float | None


@dataclass(frozen=True)
class _Entry:
    file: str
    method: str
    spec: str
    base: str | None
    published: Published


def find_published(
    suite: str, averaged: tuple[str, ...], spec: str, base: str | None
) -> Published | None:
    """Find the published figures of a row.

    A checkpoint or a model that is not trained has those of its own spec; a method trained here,
    with no options changed, those of the same method and base.

    Args:
        suite: Name of the suite.
        averaged: Tasks in its average.
        spec: Spec of the row.
        base: Base that it was trained from, or None.
    """
    entries = [
        entry
        for entry in _entries(suite, averaged)
        if entry.spec == spec or (base is not None and (entry.method, entry.base) == (spec, base))
    ]
    # The paper of the method itself comes before those that quote it.
    entries.sort(key=lambda entry: entry.file != f"{entry.method}.toml")
    return entries[0].published if entries else None


@cache
def _entries(suite: str, averaged: tuple[str, ...]) -> tuple[_Entry, ...]:
    return tuple(
        _entry(name, content, table, row, averaged)
        for name, content in _papers().items()
        for table in content["tables"]
        if table.get("suite") == suite and "columns" not in table
        for row in table["rows"]
        if "spec" in row
    )


@cache
def _papers() -> Mapping[str, Mapping[str, Any]]:
    folder = Path(str(files("bench.suites") / "published"))
    return {
        path.name: tomllib.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.toml"))
    }


def _entry(
    file: str,
    content: Mapping[str, Any],
    table: Mapping[str, Any],
    row: Mapping[str, Any],
    averaged: tuple[str, ...],
) -> _Entry:
    unit = _FRACTIONS[table.get("unit", "percent")]
    tasks = {task: unit * score for task, score in zip(table["tasks"], row["scores"], strict=True)}
    average = None
    if "printed_average" in row and (not tasks or set(tasks) == set(averaged)):
        average = unit * row["printed_average"]
    elif set(tasks) == set(averaged):
        average = sum(tasks.values()) / len(tasks)
    paper = table.get("paper", content["paper"])
    source = f"{paper}, {row.get('source', table['source'])}"
    method = parse_method_spec(row["spec"]).name
    return _Entry(file, method, row["spec"], row.get("base"), Published(source, tasks, average))
