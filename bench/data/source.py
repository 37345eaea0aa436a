"""The rows of a task, wherever its suite says they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.access import DataAccess
from bench.data.catalog import HubSource
from bench.data.rows import Row, renamed
from bench.errors import DataError
from bench.suite import FileData, HubData, Suite, TaskSpec


def part_rows(suite: Suite, task: TaskSpec, part: str, access: DataAccess) -> list[Row]:
    """Read the rows of one part of a task, under the kind's own column names.

    Raises:
        DataError: They are missing, changed, or lack a column.
    """
    data, columns = task.parts()[part], task.row_columns()
    if isinstance(data, str):
        label = f"task {task.name}: {data}"
        return renamed(access.rows(data), columns, task.columns, label)
    return access.table(_path(data, suite.path.parent, access), columns, task.columns)


def part_sha256(suite: Suite, task: TaskSpec, part: str, access: DataAccess) -> str:
    """Identify the rows of one part of a task, and check them.

    Raises:
        DataError: They are missing, changed, or lack a column.
    """
    data = task.parts()[part]
    if isinstance(data, str):
        return access.sha256(data)
    return _table_sha256(data, suite.path.parent, task.row_columns(), task.columns, access)


def task_sha256(suite: Suite, task: TaskSpec, access: DataAccess) -> str:
    """Identify all rows that a task reads.

    Raises:
        DataError: As ``part_sha256``.
    """
    return ",".join(part_sha256(suite, task, part, access) for part in task.parts())


def _table_sha256(
    data: FileData | HubData,
    folder: Path,
    columns: Sequence[str],
    rename: Mapping[str, str],
    access: DataAccess,
) -> str:
    path = _path(data, folder, access)
    count, _, sha256 = access.table_sha256(path, columns, rename).partition(":")
    if isinstance(data, FileData):
        if data.rows is not None and data.rows != int(count):
            raise DataError(f"{path} has {count} rows, the suite expects {data.rows}")
        if data.sha256 is not None and data.sha256 != sha256:
            raise DataError(
                f"{path} has checksum {sha256[:12]}…, the suite expects {data.sha256[:12]}…; "
                "its rows were changed"
            )
    return sha256


def _path(data: FileData | HubData, folder: Path, access: DataAccess) -> Path:
    if isinstance(data, FileData):
        return folder / data.file
    hub = HubSource(path=data.hub, revision=data.revision)
    return access.hub_file(hub, data.split, data.config)
