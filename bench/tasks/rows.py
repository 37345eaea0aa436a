"""The rows of a task, wherever its suite says they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import DataError
from bench.data.access import DataAccess
from bench.data.rows import Row, renamed, rows_sha256
from bench.data.sources import FilesSource, HubSource
from bench.data.values import checked, refuse_blank
from bench.suite import Data, FileData, HubData, MtebData, MtebSpec, Suite, TaskSpec

OtherData = FileData | FilesSource | HubData | MtebData


def available_parts(task: TaskSpec, access: DataAccess) -> dict[str, Data]:
    """Parts of a task that we read; those of mteb's own tasks only where they are here."""
    parts = task.parts()
    if isinstance(task, MtebSpec) and not all(access.has(str(data)) for data in parts.values()):
        return {}
    return parts


def part_rows(suite: Suite, task: TaskSpec, part: str, access: DataAccess) -> list[Row]:
    """Read the rows of one part of a task, under the kind's own column names.

    Raises:
        DataError: They are missing, changed, or lack a column; or a value in a user's own file is
            not what its column holds.
    """
    data, columns = task.parts()[part], task.row_columns(part)
    names, optional = task.names(part), task.optional_columns(part)
    wanted = (*columns, *task.renamed_beside(part))
    if isinstance(data, str):
        where = f"task {task.name}: {data}"
        rows = renamed(access.rows(data), wanted, names, where, optional)
    else:
        path = _path(data, suite.path.parent, task, access)
        rows = access.table(path, wanted, names, optional)
        where = str(path)
    if isinstance(data, FileData | FilesSource):
        rows = checked(rows, columns, where, names=names, optional=optional)
    if not task.scores_blank_texts(suite.convention):
        refuse_blank(rows, columns, where, names=names)
    return rows


def part_sha256(suite: Suite, task: TaskSpec, part: str, access: DataAccess) -> str:
    """Identify the rows of one part of a task, and check them.

    Raises:
        DataError: They are missing, changed, or lack a column.
    """
    data = task.parts()[part]
    if isinstance(data, str):
        return access.sha256(data)
    return _table_sha256(data, suite.path.parent, task, part, access)


def task_sha256(suite: Suite, task: TaskSpec, access: DataAccess) -> str:
    """Identify all rows that a task reads.

    Raises:
        DataError: As ``part_sha256``.
    """
    sums = [part_sha256(suite, task, part, access) for part in available_parts(task, access)]
    if isinstance(task, MtebSpec):
        sums.append(f"{task.name}@{task.revision}")
    return ",".join(sums)


def subsets_sha256(task: TaskSpec, rows: Sequence[Row]) -> str:
    """Identify the subset of each row, which the checksum of the rows does not tell.

    Args:
        task: A task that is scored over subsets.
        rows: Its rows.
    """
    named = [{**row, "subset": str(row.get("subset"))} for row in rows]
    return rows_sha256(named, [*task.row_columns(), "subset"])


def ask_for_rows(suite: Suite, task: TaskSpec, access: DataAccess) -> None:
    """Ask for all rows that a task reads, wherever they are, without reading them."""
    for data in available_parts(task, access).values():
        if isinstance(data, str):
            access.sha256(data)
        else:
            _path(data, suite.path.parent, task, access)


def _table_sha256(
    data: OtherData,
    folder: Path,
    task: TaskSpec,
    part: str,
    access: DataAccess,
) -> str:
    path = _path(data, folder, task, access)
    count_and_sha256 = access.table_sha256(
        path, task.row_columns(part), task.names(part), task.optional_columns(part)
    )
    count, _, sha256 = count_and_sha256.partition(":")
    if isinstance(data, FileData):
        if data.rows is not None and data.rows != int(count):
            raise DataError(f"{path} has {count} rows, the suite expects {data.rows}")
        if data.sha256 is not None and data.sha256 != sha256:
            raise DataError(
                f"{path} has checksum {sha256[:12]}…, the suite expects {data.sha256[:12]}…; "
                "its rows were changed"
            )
    return sha256


def _path(data: OtherData, folder: Path, task: TaskSpec, access: DataAccess) -> Path:
    if isinstance(data, FileData):
        return folder / data.file
    if isinstance(data, MtebData):
        return access.mteb_file(data.mteb, data.revision, data.named_split, _load_by_mteb)
    if isinstance(data, FilesSource):
        return access.files_table(data, f"task {task.name}: {data.address}")
    hub = HubSource(hub=data.hub, revision=data.revision, config=data.config)
    return access.hub_file(hub, data.split)


def _load_by_mteb(task: str, revision: str, split: str) -> list[Row]:
    # Imported late: mteb takes seconds, and only such data needs it.
    from bench.tasks.mteb_rows import load_rows

    return load_rows(task, revision, split)
