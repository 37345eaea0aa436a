"""Any published cross-encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UsageError
from bench.data.access import DataAccess
from bench.method import BuildContext, Method, MethodConfig, MethodInfo, ModelAccess, PairScorer

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Cross(Method):
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

    class Config(MethodConfig):
        """Settings of a checkpoint.

        Attributes:
            revision: Branch, tag or commit of a hub checkpoint.
        """

        revision: str | None = None

    config: Config

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the checkpoint."""
        return {"checkpoint": models.fingerprint(self._source())}

    def build(self, ctx: BuildContext) -> PairScorer:
        """Load the checkpoint.

        Raises:
            DataError: There is none, it is damaged, or no cross-encoder.
            UsageError: It gives several numbers a pair.
        """
        return CrossScorer(ctx.models.cross_encoder(self._source()))

    def _source(self) -> str:
        if self.checkpoint is None:
            raise UsageError("cross needs a checkpoint: cross@FOLDER or cross@org/name")
        revision = self.config.revision
        return f"{self.checkpoint}@{revision}" if revision else self.checkpoint


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
