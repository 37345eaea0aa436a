"""Checkpoints of models that are made to be cut, chosen by the mean over what they are cut to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.rows import Row
from bench.metrics.cosine import cosine_float64
from bench.metrics.spearman import spearman
from bench.models.every_layer import EveryLayer
from bench.training.watching import DevEvaluator

# The name that the library's evaluator has for the score of a whole model, by which checkpoints are
# chosen, and another one for that.
MEAN, WHOLE = "spearman_cosine", "spearman_cosine_whole"


@dataclass(frozen=True)
class SubModels:
    """What a model may be cut to.

    Attributes:
        dims: Lengths of its vectors, each at most their size.
        every_layer: Whether it is cut to each number of layers too.
    """

    dims: tuple[int, ...]
    every_layer: bool


class SubModelEvaluator(DevEvaluator):
    """Scores the dev rows by every sub-model; the mean of these is the score of a checkpoint.

    Args:
        dev: Rows with ``sentence1``, ``sentence2`` and ``score``.
        batch_size: Texts that are encoded at a time.
        max_seq_length: Tokens that they are cut to.
        cuts: The sub-models.
    """

    def __init__(
        self, dev: list[Row], batch_size: int, max_seq_length: int | None, cuts: SubModels
    ) -> None:
        super().__init__(dev, batch_size, max_seq_length)
        self._cuts = cuts

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Spearman of cosines and scores: the mean over the sub-models, and that of the model.

        One whose cosines are all equal ranks nothing, and counts as 0.

        Args:
            model: Sentence transformer.
            output_path: Ignored, as nothing is written.
            epoch: Ignored.
            steps: Ignored.
        """
        encoder = EveryLayer(model) if self._cuts.every_layer else model
        first, second = (
            self.embed_inputs(encoder, texts) for texts in (self.sentences1, self.sentences2)
        )
        gold = np.asarray(self.scores, dtype=np.float64)
        width = int(model.get_embedding_dimension() or 0)
        cuts = [*self._columns(first, width), slice(-width, None)]
        scores = np.nan_to_num(
            [spearman(cosine_float64(first[:, cut], second[:, cut]), gold) for cut in cuts]
        )
        return {MEAN: float(scores[:-1].mean()), WHOLE: float(scores[-1])}

    def _columns(self, vectors: NDArray[np.float32], width: int) -> Iterator[slice]:
        """Where the vectors of each sub-model are in those of all layers, side by side."""
        for start in range(0, vectors.shape[1], width):
            yield from (slice(start, start + dim) for dim in self._cuts.dims)
