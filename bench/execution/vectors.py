"""Vectors of a built method, through the store of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.encoding.encode import Encoded, encode_columns
from bench.encoding.encoder import Column, Columns
from bench.encoding.maps import Mapped
from bench.encoding.pairs import PairEncoder, pair_column
from bench.encoding.sparse import encode_sparse
from bench.execution.scorers import PAIRS, as_pairs
from bench.execution.settings import Settings
from bench.method import Built, PairScorer, SparseScorer
from bench.suite import TaskSpec

if TYPE_CHECKING:
    from bench.tasks.base import Task

_ROWS = 65_536
AsColumn = Callable[[TaskSpec, Column], Column]


def _as_it_is(_: TaskSpec, column: Column) -> Column:
    return column


def encode(built: Built, columns: Columns, settings: Settings) -> Encoded:
    """Encode columns of texts with a built method, through the store of a run.

    Raises:
        UsageError: The method is fitted to each task, so that texts alone have no vectors.
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    if built.mapped is not None:
        built.mapped.refuse_per_task()
    return encode_unfitted(built, columns, settings)


def encode_tasks(
    built: Built, tasks: Sequence[Task[Any]], settings: Settings, of: AsColumn = _as_it_is
) -> Encoded:
    """Encode the texts of tasks up to the first map that is fitted to each task.

    Of a method that scores pairs itself there are their scores instead, of shape (p, 1), under the
    name ``PAIRS``; of one with sparse vectors, ``SparselyEncoded``.

    Args:
        built: The method.
        tasks: The tasks.
        settings: Settings of the run.
        of: Makes of a task's column the one that is encoded, see ``Cell.column``.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity, sparse ones too large for
            memory, or a task without pairs.
    """
    if not isinstance(built.encoder, PairScorer | SparseScorer):
        return encode_unfitted(built, text_columns(tasks, of), settings)
    scorer = settings.conversions.get(built.encoder, built.fingerprint).encoder
    if isinstance(scorer, SparseScorer):
        columns, progress = text_columns(tasks), settings.progress
        return encode_sparse(scorer.encode_sparse, columns, progress, settings.batch_size)
    return encode_columns(
        PairEncoder(scorer.score_pairs, scorer.device),
        {(task.spec.name, PAIRS): _pair_column(task) for task in tasks},
        model_fingerprint=built.fingerprint,
        folder=settings.cache.vectors,
        progress=settings.progress,
        batch_size=settings.batch_size,
    )


def text_columns(tasks: Sequence[Task[Any]], of: AsColumn = _as_it_is) -> Columns:
    """Columns of texts of some tasks, by task and column."""
    return {
        (task.spec.name, name): of(task.spec, column)
        for task in tasks
        for name, column in task.texts().items()
    }


def _pair_column(task: Task[Any]) -> Column:
    columns = task.texts()
    first, second = (
        [columns[name].texts[row] for row in rows] for name, rows in as_pairs(task).pairs().items()
    )
    return pair_column(first, second)


def encode_unfitted(built: Built, columns: Columns, settings: Settings) -> Encoded:
    """The same up to the first map that is fitted to each task, see ``bench.execution.fitting``.

    A method that maps the vectors of another one shares those with it.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    inner = built if built.mapped is None else built.mapped
    converted = settings.conversions.get(inner.encoder, inner.fingerprint)
    encoded = encode_columns(
        converted.encoder,
        columns,
        model_fingerprint=inner.fingerprint,
        folder=settings.cache.vectors,
        progress=settings.progress,
        batch_size=settings.batch_size,
        compute=converted.compute,
        copies=converted.copies,
    )
    if built.mapped is not None:
        for key, vectors in encoded.vectors.items():
            encoded.vectors[key] = _map_rows(built.mapped, vectors)
    return encoded


def _map_rows(mapped: Mapped, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map vectors (n, d) to float32 (n, k), a few of them in float64 at a time."""
    if not mapped.done:
        return np.asarray(vectors)
    rows = np.empty((len(vectors), mapped.done[-1].dim), dtype=np.float32)
    for start in range(0, len(rows), _ROWS):
        rows[start : start + _ROWS] = mapped.apply_done(vectors[start : start + _ROWS])
    return rows
