"""Suites: TOML files that name tasks, their data, and how the table averages them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.errors import UsageError
from bench.registry import suite_path

Convention = Literal["simcse", "senteval", "mteb", "useb"]
Aggregation = Literal["all", "mean", "wmean"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EmbeddedData(_Table):
    """Rows in a file beside the suite.

    Attributes:
        file: Path relative to the suite's TOML, JSON lines.
        sha256: Checksum over the canonical rows.
        rows: Number of rows.
    """

    file: str
    sha256: str
    rows: Annotated[int, Field(gt=0)]


class TaskSpec(_Table):
    """One task of a suite.

    Attributes:
        name: Name and column of the task.
        kind: Registered kind, e.g. ``sts``.
        data: ``family/set:split`` of datasets.toml (splits joined by ``+``), or embedded data.
        aggregation: How subsets are combined.
    """

    name: str
    kind: Literal["sts"]
    data: str | EmbeddedData
    aggregation: Aggregation = "all"


class Suite(_Table):
    """A suite.

    Attributes:
        name: Name of the suite.
        title: One line for lists.
        convention: Whose protocol the scores follow.
        tasks: Tasks in the order of the columns.
        average: Names of the tasks in the average.
        path: TOML file the suite was read from.
    """

    name: str
    title: str
    convention: Convention
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    average: Annotated[tuple[str, ...], Field(min_length=1)]
    path: Path

    @model_validator(mode="after")
    def _names_agree(self) -> Suite:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError("two tasks have the same name")
        if unknown := set(self.average) - set(names):
            raise ValueError(f"average names no task: {', '.join(sorted(unknown))}")
        return self

    def definition(self) -> dict[str, Any]:
        """All that decides the scores besides code and rows, as JSON values."""
        return self.model_dump(mode="json", exclude={"path", "title"})


def load_suite(name: str) -> Suite:
    """Read a suite by registered name or path.

    Raises:
        UsageError: Unknown name, or TOML that is malformed (the file and key are named).
    """
    path = suite_path(name)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    try:
        return Suite.model_validate({**content, "path": path})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "suite"
        raise UsageError(f"{path}: key {key!r}: {first['msg'].lower()}") from None
