"""Scores of a model at every layer, and at several lengths of its vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from bench.core.files import temporary_folder
from bench.encoding.encode import Encoded, encode_columns
from bench.encoding.encoder import Columns
from bench.execution.cells import Cell
from bench.execution.settings import Settings
from bench.method import Built
from bench.models.layers import count_layers, layer_vectors
from bench.records.entries import GridEntry
from bench.suite import Suite
from bench.tasks.base import GridTask, Task


def score_grid(
    cell: Cell, built: Built, tasks: Sequence[Task[Any]], columns: Columns, settings: Settings
) -> tuple[GridEntry, ...]:
    """Score a transformer cut to each number of layers and to each length of the method's grid.

    Nothing is scored where a task of the suite is too costly to be scored that often. All layers
    come from one encoding, whose vectors are not kept: they are as many times larger as there
    are layers.

    Raises:
        UsageError: The encoder is not a transformer with layers.
        CellError: The vectors give no score.
    """
    cheap = {task.spec.name: task for task in tasks if isinstance(task, GridTask)}
    model = built.encoder
    if len(cheap) < len(tasks) or not isinstance(model, SentenceTransformer):
        return ()
    layers, width = count_layers(model), int(model.get_embedding_dimension() or 0)
    settings.cache.root.mkdir(parents=True, exist_ok=True)
    with temporary_folder(settings.cache.root, "grid") as folder:
        encoded = encode_columns(
            EveryLayer(model),
            columns,
            model_fingerprint=f"{built.fingerprint} at every layer",
            folder=folder,
            progress=settings.progress,
            batch_size=settings.batch_size,
        )
    cuts = [(layer, dim) for layer in range(1, layers + 1) for dim in cell.method.grid]
    settings.progress.start("score the grid", len(cuts))
    return tuple(_scored(cuts, width, cheap, cell.suite, encoded, settings))


# To mypy the library's classes are Any where it is not installed, which strict mode refuses.
class EveryLayer(SentenceTransformer):  # type: ignore[misc, unused-ignore]
    """A model whose vectors are those of all its layers, one after the other.

    Args:
        model: Model with L layers and vectors of size H; the new one shares its modules, and its
            vectors have the size L · H.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__(
            modules=list(model),
            device=str(model.device),
            prompts={name: text or "" for name, text in model.prompts.items()},
            default_prompt_name=model.default_prompt_name,
        )

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Vectors of a batch of tokens (B, T), (B, L · H)."""
        return {"sentence_embedding": torch.cat(layer_vectors(self, input)[1:], dim=1)}


def _scored(
    cuts: Sequence[tuple[int, int]],
    width: int,
    tasks: Mapping[str, GridTask],
    suite: Suite,
    encoded: Encoded,
    settings: Settings,
) -> Iterator[GridEntry]:
    for done, (layer, dim) in enumerate(cuts, 1):
        start = (layer - 1) * width
        scores = {}
        for name, task in tasks.items():
            vectors = {
                column: array[:, start : start + dim]
                for (owner, column), array in encoded.vectors.items()
                if owner == name
            }
            scores[name] = task.main(vectors)
        average = float(np.mean([scores[name] for name in suite.average]))
        settings.progress.advance(done)
        yield GridEntry(layers=layer, dim=dim, tasks=scores, average=average)
