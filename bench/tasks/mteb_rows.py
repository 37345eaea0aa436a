"""Rows of mteb's tasks, under the column names of our kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mteb

from bench.core.errors import DataError, UsageError, first_line
from bench.core.libraries import quiet_libraries
from bench.data.hub import refuse_unreachable
from bench.data.rows import Row
from bench.suite.retrieval import TABLES
from bench.tasks.collection import document_text


def load_rows(name: str, revision: str, split: str) -> list[Row]:
    """Load one split of a task with mteb's own loader.

    Args:
        name: Task of type STS, Classification, PairClassification, Reranking or Retrieval.
        revision: Commit that the installed mteb must name for its data.
        split: Split; of a retrieval task with one of its tables, as in ``test/corpus``.

    Raises:
        UsageError: mteb has no such task, or its rows are of no kind of ours.
        DataError: It names another revision, or the data cannot be loaded.
    """
    try:
        task = mteb.get_task(name)
    except KeyError:
        raise UsageError(f"unknown task of mteb {name!r}; mteb.get_tasks() lists them") from None
    installed = task.metadata.dataset["revision"]
    if installed != revision:
        raise DataError(
            f"{name}: the suite pins revision {revision[:12]}, the installed mteb names "
            f"{installed[:12]}; install the mteb of constraints.txt"
        )
    convert = _CONVERT.get(task.metadata.type)
    if convert is None:
        raise UsageError(f"{name}: tasks of type {task.metadata.type} have no kind here")
    quiet_libraries()
    try:
        if not task.data_loaded:
            refuse_unreachable(name)
            task.load_data()
        return convert(task, split)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"mteb cannot load {name}: {first_line(error)}; allow the hub once"
        ) from error


def _table(task: Any, split: str) -> list[Row]:
    return [dict(row) for row in task.dataset[split]]


def _pairs(task: Any, split: str) -> list[Row]:
    return [{**row, "label": row["labels"]} for row in _table(task, split)]


def _reranking(task: Any, split: str) -> list[Row]:
    data = task.dataset["default"][split]
    documents = {row["id"]: document_text(row) for row in data["corpus"]}
    rows = []
    for query in data["queries"]:
        relevant = data["relevant_docs"].get(query["id"], {})
        row: Row = {"query": query["text"], "positive": [], "negative": []}
        for document in data["top_ranked"][query["id"]]:
            side = "positive" if relevant.get(document, 0) > 0 else "negative"
            row[side].append(documents[document])
        rows.append(row)
    return rows


def _retrieval(task: Any, split_and_table: str) -> list[Row]:
    split, _, table = split_and_table.rpartition("/")
    if not split:
        raise DataError(f"a retrieval task has the tables {', '.join(TABLES)}, not rows alone")
    task.convert_v1_dataset_format_to_v2(num_proc=None)
    data = task.dataset["default"][split]
    if table != "qrels":
        wanted = TABLES[table]
        return [{name: row[name] for name in wanted if name in row} for row in data[table]]
    return [
        {"query_id": query, "document_id": document, "score": grade}
        for query, judgments in data["relevant_docs"].items()
        for document, grade in judgments.items()
    ]


_CONVERT: Mapping[str, Callable[[Any, str], list[Row]]] = {
    "STS": _table,
    "Classification": _table,
    "PairClassification": _pairs,
    "Reranking": _reranking,
    "Retrieval": _retrieval,
}
