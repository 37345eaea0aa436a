"""In-batch contrastive loss of SimCSE (Gao et al., EMNLP 2021, arXiv 2104.08821)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim
from torch import Tensor, nn

from bench.training.gather import gather_rows
from bench.training.heads import fresh_linear


class InBatchLoss(nn.Module):
    """InfoNCE over cosine / τ, with the other rows as negatives (equations 1 and 5).

    It is -log(e^{s(h_i, h_i⁺)} / Σ_j (e^{s(h_i, h_j⁺)} + e^{s(h_i, h_j⁻)})), mean over i; the
    second sum only where there is a column of hard negatives. There a row's own hard negative
    counts α times, by ln α on its logit. In several processes rows are those of all of them, see
    ``gather_rows``.

    Args:
        model: Sentence transformer with vectors of size u.
        temperature: Temperature τ.
        hard_negative_weight: Weight α of a row's own hard negative.
        head: Put a fresh Linear(u, u) and tanh between pooling and loss, in training only.
        seed: Seed of the head.
        fixed_mask: Positives are the anchors under the same dropout mask, which makes the same
            vectors of them (ablation, table 3): the second column is not encoded.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        temperature: float,
        hard_negative_weight: float = 1.0,
        head: bool,
        seed: int,
        fixed_mask: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        width = int(model.get_embedding_dimension() or 0)
        self.head = (
            nn.Sequential(fresh_linear(width, width, seed), nn.Tanh()) if head else nn.Identity()
        )
        self._fixed_mask = fixed_mask
        # The library multiplies by 1 / τ what is added here.
        self._bonus = temperature * math.log(hard_negative_weight)
        self._ranking = MultipleNegativesRankingLoss(
            model, scale=1 / temperature, similarity_fct=self._similarity
        )

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode the columns and compute the loss.

        Each column has its own forward pass, so that equal texts get different dropout masks,
        unless the mask is fixed.

        Args:
            features: Tokens (B, L) of anchors, positives and, if given, hard negatives.
            labels: Ignored; row i belongs to row i.
        """
        views = list(features)
        if self._fixed_mask:
            del views[1]
        columns = [self.head(self.model(dict(view))["sentence_embedding"]) for view in views]
        if self._fixed_mask:
            columns.insert(1, columns[0])
        return self.from_vectors(columns, labels)

    def from_vectors(self, columns: list[Tensor], labels: Tensor) -> Tensor:
        """Compute the loss of vectors, (B, u) a column, over the rows of all processes."""
        # Half precision would round the logits, which reach 1 / τ.
        with torch.autocast(columns[0].device.type, enabled=False):
            vectors = [gather_rows(column.float()) for column in columns]
            loss: Tensor = self._ranking.compute_loss_from_embeddings(vectors, labels)
        return loss

    def _similarity(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        scores = cos_sim(anchors, candidates)
        if self._bonus and len(candidates) > len(anchors):
            own = torch.zeros_like(scores)
            own.diagonal(len(anchors)).fill_(self._bonus)
            scores = scores + own
        return scores
