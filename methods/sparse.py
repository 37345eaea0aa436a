"""Any published sparse encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import UsageError
from bench.method import BuildContext, MethodInfo, SparseScorer
from bench.methods.parts.checkpoint import CheckpointMethod

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from sentence_transformers import SparseEncoder


class Sparse(CheckpointMethod):
    """A sparse encoder, such as SPLADE, as it is: a number for each word of its vocabulary."""

    info = MethodInfo(
        name="sparse",
        title="Any sparse encoder of sentence-transformers",
        kind="supervised",
        paper="SPLADE: Sparse Lexical and Expansion Model for First Stage Ranking",
        arxiv="2107.05720",
        year=2021,
        sources=("bench.models.scorers",),
        loads_checkpoints=True,
        output="sparse",
    )

    def build(self, ctx: BuildContext) -> SparseScorer:
        """Load the checkpoint.

        Raises:
            DataError: There is none, it is damaged, or no sparse encoder.
            UsageError: It compares vectors by a distance.
        """
        return SparseVectors(ctx.models.sparse_encoder(self.source))


class SparseVectors(SparseScorer):
    """Vectors of ``SparseEncoder``, compared as the checkpoint says.

    Args:
        model: The sparse encoder.

    Raises:
        UsageError: It compares vectors by a distance.
    """

    def __init__(self, model: SparseEncoder) -> None:
        similarity = model.similarity_fn_name
        if similarity not in ("dot", "cosine"):
            raise UsageError(
                f"sparse compares vectors by dot product or cosine, and the checkpoint says "
                f"{similarity}; correct similarity_fn_name in config_sentence_transformers.json"
            )
        super().__init__("sparse", cosine=similarity == "cosine")
        self._model = model

    def encode_sparse(self, texts: Sequence[str], role: str | None) -> csr_array:
        """Encode n texts to float32 of shape (n, V), with the prompt that the role has."""
        from scipy.sparse import csr_array

        encode: Any = {
            "query": self._model.encode_query,
            "document": self._model.encode_document,
        }.get(str(role), self._model.encode)
        vectors = encode([*texts], show_progress_bar=False, save_to_cpu=True).coalesce()
        rows, columns = vectors.indices().numpy()
        values = vectors.values().float().numpy()
        return csr_array(
            (values, (rows.astype(np.int32), columns.astype(np.int32))), shape=tuple(vectors.shape)
        )

    def parameters(self) -> Iterator[Any]:
        """Weights of the model."""
        yield from self._model.parameters()
