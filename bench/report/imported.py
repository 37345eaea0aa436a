"""Models known from mteb's result files, as rows beside our own.

The files are read as plain JSON, so that a table needs no mteb.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.report.model import Row, Table, order_rows


@dataclass
class ImportedModel:
    """Scores of one model and revision, as fractions by mteb's task names."""

    name: str
    revision: str
    scores: dict[str, float] = field(default_factory=dict)


def read_models(folders: Iterable[Path]) -> list[ImportedModel]:
    """Read all result files below some folders, sorted by model and revision.

    Where a file has a split ``test``, only that one counts, else the mean of all; a split's
    score is the mean of the main scores of its subsets.

    Raises:
        DataError: A folder does not exist or holds no result files.
    """
    found: dict[tuple[str, str], ImportedModel] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of mteb result files")
        before = len(found)
        for path in sorted(folder.rglob("*.json")):
            result = _result(path)
            if result is not None:
                name, revision = _identity(path)
                model = found.setdefault((name, revision), ImportedModel(name, revision))
                model.scores[str(result["task_name"])] = _main_score(path, result["scores"])
        if len(found) == before:
            raise DataError(f"{folder}: holds no result file of mteb (<Task>.json with its scores)")
    return [found[key] for key in sorted(found)]


def with_models(table: Table, models: Sequence[ImportedModel]) -> Table:
    """Add a row for each model that has any of the table's tasks; MTEB's convention only."""
    if table.convention != "mteb":
        return table
    rows = [row for model in models if (row := _row(table, model)) is not None]
    return replace(table, rows=order_rows([*table.rows, *rows]))


def _row(table: Table, model: ImportedModel) -> Row | None:
    tasks = {task: model.scores[name] for task, name in table.mteb.items() if name in model.scores}
    if not tasks:
        return None
    complete = all(task in tasks for task in table.averaged_tasks)
    return Row(
        spec=model.name,
        base="–",
        trained=False,
        profile="–",
        limit=None,
        dimension=None,
        parameters=None,
        seeds=1,
        tasks=tasks,
        average=float(np.mean([tasks[task] for task in table.averaged_tasks]))
        if complete
        else None,
        sd=None,
        ci95=None,
        below_base=False,
        imported=True,
    )


def _result(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if isinstance(content, dict) and {"task_name", "scores", "mteb_version"} <= content.keys():
        return content
    return None


def _identity(path: Path) -> tuple[str, str]:
    try:
        meta = json.loads((path.parent / "model_meta.json").read_bytes())
        return str(meta["name"]), str(meta["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return path.parent.parent.name.replace("__", "/"), path.parent.name


def _main_score(path: Path, scores: Any) -> float:
    try:
        splits = [scores["test"]] if "test" in scores else list(scores.values())
        return float(np.mean([np.mean([one["main_score"] for one in split]) for split in splits]))
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{path}: its scores have no main_score; write it with mteb 1.11+"
        ) from None
