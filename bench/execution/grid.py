"""Scores of a model at every layer, and at several lengths of its vectors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from bench.core.files import temporary_folder
from bench.core.progress import Progress
from bench.encoding.encode import Encoded, encode_columns
from bench.encoding.encoder import Columns
from bench.encoding.stored import StoredColumn
from bench.execution.cells import Cell
from bench.execution.settings import Settings
from bench.method import Built
from bench.models.every_layer import EveryLayer
from bench.models.layers import count_layers
from bench.records.entries import GridEntry
from bench.tasks.base import GridTask, Task


def score_grid(
    cell: Cell, built: Built, tasks: Sequence[Task[Any]], columns: Columns, settings: Settings
) -> tuple[GridEntry, ...]:
    """Score a transformer cut to each number of layers and to each length of the method's grid.

    Nothing is scored where a task of the suite is too costly to be scored that often. All layers
    come from one encoding, whose vectors are not kept: they are as many times larger as there
    are layers. Where a method has ``fixed_documents``, texts of that role keep all layers.

    Raises:
        UsageError: The encoder is not a transformer with layers.
        CellError: The vectors give no score.
    """
    cheap = {task.spec.name: task for task in tasks if isinstance(task, GridTask)}
    model = built.encoder
    if len(cheap) < len(tasks) or not isinstance(model, SentenceTransformer):
        return ()
    layers, width = count_layers(model), int(model.get_embedding_dimension() or 0)
    fixed = cell.method.fixed_documents
    whole = {key for key, column in columns.items() if fixed and column.role == "document"}
    cuts = [(layer, dim) for layer in range(1, layers + 1) for dim in cell.method.grid]
    settings.cache.root.mkdir(parents=True, exist_ok=True)
    # Columns that are too large for memory are read from there while they are scored.
    with temporary_folder(settings.cache.root, "grid") as folder:
        encoded = encode_columns(
            EveryLayer(model),
            columns,
            model_fingerprint=f"{built.fingerprint} at every layer",
            folder=folder,
            progress=settings.progress,
            batch_size=settings.batch_size,
        )
        settings.progress.start("score the grid", len(cuts))
        return tuple(_scored(cuts, width, cheap, cell, encoded, settings.progress, whole))


def _scored(
    cuts: Sequence[tuple[int, int]],
    width: int,
    tasks: Mapping[str, GridTask],
    cell: Cell,
    encoded: Encoded,
    progress: Progress,
    whole: Collection[tuple[str, str]],
) -> Iterator[GridEntry]:
    last = max(layer for layer, _ in cuts)
    for done, (layer, dim) in enumerate(cuts, 1):
        scores = {}
        for name, task in tasks.items():
            vectors = {
                key[1]: _cut(array, (last if key in whole else layer) * width - width, dim)
                for key, array in encoded.vectors.items()
                if key[0] == name
            }
            scores[name] = task.main(vectors)
        average = float(np.mean([scores[name] for name in cell.suite.average]))
        progress.advance(done)
        yield GridEntry(layers=layer, dim=dim, tasks=scores, average=average)


def _cut(vectors: NDArray[np.float32], start: int, dim: int) -> NDArray[np.float32]:
    """Some of the numbers of all vectors (n, d), to (n, dim)."""
    if isinstance(vectors, StoredColumn):
        # To the task that takes slices of it, and to nobody else, it is an array.
        return cast("NDArray[np.float32]", _CutColumn(vectors, slice(start, start + dim)))
    return vectors[:, start : start + dim]


class _CutColumn:
    """Some of the numbers of vectors that stay on disk."""

    def __init__(self, column: StoredColumn, numbers: slice) -> None:
        self._column, self._numbers = column, numbers

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._column), self._numbers.stop - self._numbers.start

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        return self._column[rows][..., self._numbers]
