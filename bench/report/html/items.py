"""Items of a suite for the page's script: texts, gold, and what each method answered."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.rows import Row
from bench.records.entries import Record
from bench.records.files import read_items
from bench.records.items import items_key
from bench.report.changes import TEXTS
from bench.report.html.licences import licences
from bench.report.html.material import Material, Shown

# Rows of tasks by name; what is missing is not shown.
RowsByTask = Mapping[str, Sequence[Row]]
# Bytes of all items of a page, above which they are served by 'bench view' in its place.
BUDGET = 1_000_000
_NUMBER = 16 / 3
_TEXT = 160
_ANSWERS = ("similarity", "predicted", "reciprocal_rank")
_NO_DATA = "the rows are not here"


def usual(material: Material) -> Record:
    """A record of the rows that most methods were scored on, whose items are shown."""
    whole = (
        shown for shown in material.shown if shown.row.limit is None and not shown.row.other_rows
    )
    return next(whole, material.shown[0]).side.first


def expected_bytes(material: Material) -> float:
    """About what the items of a suite take in a page: two numbers a method, and texts."""
    items = sum(entry.items for entry in usual(material).tasks.values())
    return items * (2 * _NUMBER * len(material.shown) + _TEXT)


def shown_tasks(suite: str, *, with_texts: bool) -> set[str]:
    """Tasks of a suite whose texts a page may show."""
    return {task for task, licence in licences(suite).items() if with_texts or licence.free}


def content(material: Material, rows: RowsByTask, *, with_texts: bool) -> dict[str, Any]:
    """Items of all tasks.

    Args:
        material: The suite.
        rows: Rows that the items belong to, by task.
        with_texts: Whether texts are shown whatever their licence.
    """
    suite = material.table.suite
    may_show, licence_of = shown_tasks(suite, with_texts=with_texts), licences(suite)
    tasks = []
    for task, entry in usual(material).tasks.items():
        of_task = rows.get(task, ()) if task in may_show else ()
        fitting = of_task if len(of_task) == entry.items else ()
        licence = licence_of[task].text if task in licence_of else "not known here"
        why = _NO_DATA if task in may_show else f"licence: {licence}; see --with-texts"
        methods = [shown for shown in material.shown if _has(shown, task, entry.data_sha256)]
        labels = _labels(methods, task, fitting)
        tasks.append(
            {
                "name": task,
                "count": entry.items,
                "why": "" if fitting else why,
                "texts": [_texts(row) for row in fitting],
                "gold": _gold(methods, task, fitting, labels),
                "labels": labels,
                "methods": {shown.id: _answers(shown, task) for shown in methods},
            }
        )
    return {"names": {shown.id: shown.name for shown in material.shown}, "tasks": tasks}


def _has(shown: Shown, task: str, rows: str) -> bool:
    """Whether a method was scored on all of these rows."""
    entry = shown.side.first.tasks.get(task)
    return entry is not None and (entry.data_sha256, shown.row.limit) == (rows, None)


def _arrays(shown: Shown) -> Mapping[str, NDArray[Any]]:
    return read_items(shown.stored[0][0])


def _answers(shown: Shown, task: str) -> dict[str, Any]:
    """Values, mean over seeds, and the answers of the first seed."""
    arrays = _arrays(shown)
    name = next((part for part in _ANSWERS if items_key(task, part) in arrays), None)
    answers = {"values": _packed(shown.side.values(task)), "seeds": len(shown.stored)}
    if name is None:
        return answers
    array = np.asarray(arrays[items_key(task, name)])
    return {**answers, "kind": name, "answers": _packed(array.reshape(len(array), -1)[:, 0])}


def _packed(array: NDArray[Any]) -> str:
    """Numbers as base64 of little-endian float32, which is what records keep."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _labels(methods: Sequence[Shown], task: str, rows: Sequence[Row]) -> dict[str, str]:
    """Names of the numbers that stand for labels, as far as rows tell them."""
    gold = _gold_array(methods, task)
    if gold is None or not np.issubdtype(gold.dtype, np.integer):
        return {}
    return {
        str(number): str(row["label"])
        for number, row in zip(gold.tolist(), rows, strict=False)
        if "label" in row
    }


def _gold_array(methods: Sequence[Shown], task: str) -> NDArray[Any] | None:
    return _arrays(methods[0]).get(items_key(task, "gold")) if methods else None


def _gold(
    methods: Sequence[Shown], task: str, rows: Sequence[Row], labels: Mapping[str, str]
) -> list[str]:
    gold = _gold_array(methods, task)
    if gold is None or gold.ndim != 1:
        return [str(row.get("label", row.get("score", ""))) for row in rows]
    return [labels.get(str(value), f"{value:g}") for value in gold.tolist()]


def _texts(row: Row) -> list[str]:
    texts = [" ".join(str(row[column]).split()) for column in TEXTS if column in row]
    return texts + [f"{len(row[name])} {name}" for name in ("positive", "negative") if name in row]
