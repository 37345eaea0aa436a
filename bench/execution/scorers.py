"""Scores of tasks from something else than dense vectors: scores of pairs, and sparse vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import CellError
from bench.encoding.encode import Encoded
from bench.encoding.sparse import SparselyEncoded, similarities
from bench.method import PairScorer, SparseScorer
from bench.metrics.cosine import settled

if TYPE_CHECKING:
    from bench.tasks.base import PairTask, Task, TaskScore

# The column of what scores pairs itself.
PAIRS = "pairs"


def as_pairs(task: Task[Any]) -> PairTask:
    """The task as one of pairs.

    Raises:
        CellError: It is none.
    """
    from bench.tasks.base import PairTask

    if not isinstance(task, PairTask):
        raise CellError(f"task {task.spec.name} has no pairs of texts to score")
    return task


def scorer_of(
    task: Task[Any], scorer: PairScorer | SparseScorer, encoded: Encoded
) -> Callable[[int], TaskScore]:
    """What scores a task by a seed of its resamples.

    Args:
        task: The task.
        scorer: The method.
        encoded: What it made of the texts, see ``bench.execution.vectors.encode_tasks``.

    Raises:
        CellError: The task has neither pairs nor a search.
    """
    from bench.tasks.base import SearchTask
    from bench.tasks.search import nearest_sparse

    name = task.spec.name
    if isinstance(scorer, PairScorer):
        scores = encoded.vectors[name, PAIRS][:, 0].astype(np.float64)
        return partial(as_pairs(task).score_pairs, scores)
    if not isinstance(encoded, SparselyEncoded):
        raise TypeError(f"{scorer.name} has sparse vectors, and these are not")
    columns = {column: encoded.sparse[name, column] for column in task.texts()}
    if isinstance(task, SearchTask):
        query, document = columns["query"], columns["document"]
        return partial(
            task.score_search, partial(nearest_sparse, query, document, cosine=scorer.cosine)
        )
    pairs = as_pairs(task).pairs()
    first, second = (columns[column] for column in pairs)
    found = similarities(first, second, [*pairs.values()], cosine=scorer.cosine)
    return partial(as_pairs(task).score_pairs, settled(found))
