"""Models known from mteb's result files, as rows next to our own.

The files are read as plain JSON, so that a table needs no mteb.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.core.regular import read_regular
from bench.report.table import Table, TableRow, order_rows

_LIMIT = 64 * 2**20
# Hexadecimal digits of a commit that mostly tell it.
_SHORT = 8
_ID = 12
# Main scores are fractions, and correlations may be negative.
_MOST = 1.0


@dataclass
class ImportedModel:
    """Scores of one model and revision, as fractions by mteb's task names.

    Attributes:
        name: Name of the model.
        revision: Its revision.
        scores: Scores by task.
        sources: File of each score.
    """

    name: str
    revision: str
    scores: dict[str, float] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)


def read_models(folders: Iterable[Path]) -> tuple[list[ImportedModel], list[str]]:
    """Read all result files below some folders, sorted by model and revision.

    Where a file has a split ``test``, only that one counts, else the mean of all; a split's
    score is the mean of the main scores of its subsets.

    Returns:
        The models, and a note for each file that has no score, as where one of its main scores is
        NaN or a split has no subsets: the model then lacks that task.

    Raises:
        DataError: A folder does not exist or holds no result files, or two files have different
            scores of one model, revision and task.
    """
    by_name: dict[tuple[str, str], ImportedModel] = {}
    notes: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of mteb result files")
        results = [
            (path, content) for path in sorted(folder.rglob("*.json")) if (content := _result(path))
        ]
        if not results:
            raise DataError(f"{folder}: holds no result file of mteb (<Task>.json with its scores)")
        for path, result in results:
            score, problem = _main_score(path, result["scores"])
            if problem:
                notes.append(f"{path}: left out: {problem}; run that task again with mteb")
                continue
            name, revision = _identity(path)
            model = by_name.setdefault((name, revision), ImportedModel(name, revision))
            _add(model, str(result["task_name"]), score, path)
    return [by_name[key] for key in sorted(by_name)], notes


def _add(model: ImportedModel, task: str, score: float, path: Path) -> None:
    if model.scores.setdefault(task, score) != score:
        raise DataError(
            f"{path} and {model.sources[task]} have different scores of {model.name} on {task}; "
            "name a folder that has it once"
        )
    model.sources.setdefault(task, path)


def with_models(table: Table, models: Sequence[ImportedModel]) -> Table:
    """Add a row for each model that has any of the table's tasks; MTEB's convention only."""
    if table.convention != "mteb":
        return table
    there = [model for model in models if not model.scores.keys().isdisjoint(table.mteb.values())]
    revisions: dict[str, list[str]] = {}
    for model in there:
        revisions.setdefault(model.name, []).append(model.revision)
    rows = [_row(table, model, _called(model, revisions[model.name])) for model in there]
    return replace(table, rows=order_rows([*table.rows, *rows]))


def _called(model: ImportedModel, revisions: Sequence[str]) -> str:
    """Name of a row: the model's, with as much of the revision as tells it from the others."""
    if len(revisions) == 1:
        return model.name
    length = next(
        length
        for length in range(_SHORT, max(map(len, revisions)) + _SHORT)
        if len({revision[:length] for revision in revisions}) == len(revisions)
    )
    return f"{model.name}@{model.revision[:length]}"


def _row(table: Table, model: ImportedModel, name: str) -> TableRow:
    tasks = {task: model.scores[name] for task, name in table.mteb.items() if name in model.scores}
    complete = all(task in tasks for task in table.averaged_tasks)
    return TableRow(
        spec=name,
        base=None,
        trained=False,
        profile=None,
        limit=None,
        setup="",
        device=None,
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
        id=fingerprint([table.suite, model.name, model.revision])[:_ID],
        revision=model.revision[:_SHORT],
    )


def _result(path: Path) -> Mapping[str, Any] | None:
    content = _json(path)
    if isinstance(content, dict) and {"task_name", "scores", "mteb_version"} <= content.keys():
        return content
    return None


def _json(path: Path) -> Any:
    try:
        return json.loads(read_regular(path, _LIMIT))
    except (OSError, ValueError, RecursionError):
        return None


def _identity(path: Path) -> tuple[str, str]:
    meta = _json(path.parent / "model_meta.json")
    if isinstance(meta, dict) and {"name", "revision"} <= meta.keys():
        return str(meta["name"]), str(meta["revision"])
    return path.parent.parent.name.replace("__", "/"), path.parent.name


def _main_score(path: Path, scores: Any) -> tuple[float, str | None]:
    """The score of a file, or why it has none."""
    try:
        splits = {"test": scores["test"]} if "test" in scores else dict(scores)
        values = {
            name: [subset["main_score"] for subset in split] for name, split in splits.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(
            f"{path}: its scores have no main_score; write it with mteb 1.11+"
        ) from None
    if not values:
        return math.nan, "it has no splits"
    for name, subsets in values.items():
        if not subsets:
            return math.nan, f"split {name} has no subsets"
        for value in subsets:
            # None of booleans, which are integers to Python.
            if type(value) not in {int, float} or not -_MOST <= value <= _MOST:
                return math.nan, f"a main_score of split {name} is {value!r}"
    return float(np.mean([np.mean(subsets) for subsets in values.values()])), None
