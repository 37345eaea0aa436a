"""Any published cross-encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.method import BuildContext, MethodInfo, PairScorer
from bench.methods.parts.checkpoint import CheckpointMethod

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Cross(CheckpointMethod):
    """A cross-encoder, which reads both texts of a pair at once, as it is."""

    info = MethodInfo(
        name="cross",
        title="Any cross-encoder of sentence-transformers",
        kind="supervised",
        paper="Passage Re-ranking with BERT",
        arxiv="1901.04085",
        year=2019,
        sources=("bench.models.scorers",),
        loads_checkpoints=True,
        output="pairs",
    )

    def build(self, ctx: BuildContext) -> PairScorer:
        """Load the checkpoint.

        Raises:
            DataError: There is none, it is damaged, or no cross-encoder.
            UsageError: It gives several numbers a pair.
        """
        return CrossScorer(ctx.models.cross_encoder(self.source))


class CrossScorer(PairScorer):
    """Scores of ``CrossEncoder.predict``, with the activation and prompt of the checkpoint.

    Args:
        model: The cross-encoder.
    """

    def __init__(self, model: CrossEncoder) -> None:
        super().__init__("cross")
        self._model = model
        self.device = model.device

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Score n pairs, (n,)."""
        scores = self._model.predict([*pairs], show_progress_bar=False)
        return np.asarray(scores, dtype=np.float32)

    def parameters(self) -> Iterator[Any]:
        """Weights of the model."""
        yield from self._model.parameters()
