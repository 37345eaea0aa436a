"""2D Matryoshka on queries and passages, as the reproduction study trains it (arXiv 2411.17299).

Its formulas are those of ``dense_2d_matryoshka_v2.py`` of ielab/2DMSE-Reproduce.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from bench.methods.losses.columns import TokenFeatures, length_of_no_text, present_rows
from bench.methods.losses.matryoshka import Draws, divergence, drawn
from bench.models.layers import layer_vectors
from bench.training.gather import gather_rows

Similarity = Literal["dot", "cosine"]


def scores_of(queries: Tensor, passages: Tensor, dim: int, similarity: Similarity) -> Tensor:
    """Score every passage for every query by the first numbers of their vectors.

    Args:
        queries: Vectors (Q, H).
        passages: Vectors (N, H).
        dim: Numbers d that count.
        similarity: Dot product, or cosine of the prefixes.

    Returns:
        Scores (Q, N).
    """
    queries, passages = queries[:, :dim], passages[:, :dim]
    if similarity == "cosine":
        queries, passages = normalize(queries, dim=1), normalize(passages, dim=1)
    return queries @ passages.T


def score_alignment(scores: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Compute (MSE(s, t) + KL(softmax(t/T) ‖ softmax(s/T))) / (Q · N), without gradient to t.

    Both terms are means already, over scores and over queries; that they are divided again by the
    size of the batch, which leaves little of them, is the reproduction's.

    Args:
        scores: Scores s (Q, N) of prefixes.
        target: Scores t (Q, N) of whole vectors.
        temperature: Temperature T.
    """
    target = target.detach()
    near = mse_loss(scores, target) + divergence(scores, target, temperature)
    return near / scores.numel()


class PassageLoss(nn.Module):
    """Cross-entropy of a query's passage over all of the batch, at every layer and some prefixes.

    With CE_l(d) that of the first d numbers of layer l, H the whole vectors and ω_l = 1/(1 + ln l):
    CE_L(H) + Σ_d CE_L(d) + Σ_{l<L} ω_l Σ_d CE_l(d). Options add to it:

    - ``score_align``: to each CE_l(d) the alignment of its scores with those of the whole vectors
      of the same layer, or with ``compare_to_last_layer`` of the last one;
    - ``sub_layer_full_dim``: ω_l CE_l(H) of the layers below the last;
    - ``passage_to_last_layer``: queries of a layer are compared with passages of the last one.

    With ``score_align`` and ``sub_layer_full_dim`` the authors' code reads scores of a layer before
    it has them, and ends with an error; here they are those of the layer.

    In several processes rows are those of all of them, see ``gather_rows``.

    Args:
        model: Sentence transformer with L layers and vectors of size H.
        dims: Lengths d; those of H numbers add nothing at the last layer, and are for training
            without prefixes.
        layers_per_step: Layers below the last in a step, at random; -1 for all, 0 for none.
        similarity: Dot product or cosine, of which the loss is taken over temperature.
        temperature: Temperature T of cross-entropy and alignment.
        score_align: See above.
        compare_to_last_layer: See above.
        sub_layer_full_dim: See above.
        passage_to_last_layer: See above.
        seed: Seed of the layers that are drawn.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        dims: Sequence[int],
        *,
        layers_per_step: int,
        similarity: Similarity,
        temperature: float,
        score_align: bool,
        compare_to_last_layer: bool,
        sub_layer_full_dim: bool,
        passage_to_last_layer: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self._dims = tuple(dims)
        self._layers_per_step = layers_per_step
        self._similarity = similarity
        self._temperature = temperature
        self._score_align = score_align
        self._compare_to_last_layer = compare_to_last_layer
        self._sub_layer_full_dim = sub_layer_full_dim
        self._passage_to_last_layer = passage_to_last_layer
        self._empty = length_of_no_text(model)
        self.draws = Draws(seed)

    def forward(self, features: Iterable[TokenFeatures], labels: Tensor | None) -> Tensor:
        """Encode queries and passages once, and compute the loss.

        Args:
            features: Tokens (B, T) of queries, of a passage that answers each, and of columns of
                hard negatives, where an empty text is none.
            labels: Ignored; row i belongs to row i.
        """
        queries, positives, *negatives = features
        kept = (present_rows(column, self._empty) for column in negatives)
        passages = [positives, *filter(None, kept)]
        vectors = [self._layers(queries), *map(self._layers, passages)]
        # Without negatives these are no rows, but part of the graph like those of others.
        hard = torch.cat([vectors[0][:0], *vectors[2:]])
        with torch.autocast(hard.device.type, enabled=False):
            joined = [gather_rows(rows.float()) for rows in (*vectors[:2], hard)]
            return self.from_vectors(joined[0], torch.cat(joined[1:]))

    def from_vectors(self, queries: Tensor, passages: Tensor) -> Tensor:
        """Compute the loss of vectors.

        Args:
            queries: Vectors (Q, L, H) of every layer, the last one last, or of the last alone.
            passages: Vectors (N, L, H), that of the passage which answers query i in row i.
        """
        last, width = queries.shape[1] - 1, queries.shape[2]
        whole = self._scores(queries, passages, last, width)
        loss = self._cross_entropy(whole)
        dims = [dim for dim in self._dims if dim < width]
        loss = loss + self._prefixes(queries, passages, last, dims, whole)
        chance = self.draws.next()
        for layer in drawn(range(last), self._layers_per_step, chance):
            weight = 1 / (1 + math.log(1 + layer))
            own = self._scores(queries, passages, layer, width)
            target = whole if self._compare_to_last_layer else own
            term = self._prefixes(queries, passages, layer, dims, target)
            if self._sub_layer_full_dim:
                term = term + self._cross_entropy(own)
            loss = loss + weight * term
        return loss

    def _prefixes(
        self, queries: Tensor, passages: Tensor, layer: int, dims: Sequence[int], target: Tensor
    ) -> Tensor:
        loss = target.new_zeros(())
        for dim in dims:
            scores = self._scores(queries, passages, layer, dim)
            loss = loss + self._cross_entropy(scores)
            if self._score_align:
                loss = loss + score_alignment(scores, target, self._temperature)
        return loss

    def _scores(self, queries: Tensor, passages: Tensor, layer: int, dim: int) -> Tensor:
        of_passages = -1 if self._passage_to_last_layer else layer
        return scores_of(queries[:, layer], passages[:, of_passages], dim, self._similarity)

    def _cross_entropy(self, scores: Tensor) -> Tensor:
        own = torch.arange(len(scores), device=scores.device)
        return cross_entropy(scores / self._temperature, own)

    def _layers(self, column: TokenFeatures) -> Tensor:
        """Vectors (B, L, H) of the layers above the embeddings, or (B, 1, H) of the last one."""
        if self._layers_per_step == 0:
            vectors: Tensor = self.model(dict(column))["sentence_embedding"]
            return vectors[:, None]
        return torch.stack(layer_vectors(self.model, column)[1:], dim=1)
