"""Losses on prefixes of vectors and on earlier layers: Matryoshka, 2D Matryoshka, Espresso.

Sources: Kusupati et al., 2022 (arXiv 2205.13147); Li et al., 2024 (arXiv 2402.14776, whose first
and third version are 2D Matryoshka and whose second is Espresso); the losses of
sentence-transformers, from which the first 2D one here is distinguished below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Literal

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, mse_loss, softmax

from bench.models.layers import layer_vectors

VectorLoss = Callable[[list[Tensor], Tensor], Tensor]
LayerWeighting = Literal["uniform", "log", "linear"]
ColumnFeatures = Iterable[Mapping[str, Any]]
# Keeps the draws of (seed, step) and (seed + 1, step - 1) apart.
_SEED_STRIDE = 1_000_003


class Draws(nn.Module):
    """Random draws that follow from seed and step alone.

    The step is a buffer, so a resumed training draws what an uninterrupted one does, and several
    processes draw the same.

    Args:
        seed: Seed of the draws.
    """

    step: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def next(self) -> Random:
        """Generator of this step; the next call is the next step."""
        chance = Random(self._seed * _SEED_STRIDE + int(self.step))
        self.step += 1
        return chance


def prefix_loss(
    base: VectorLoss, columns: Sequence[Tensor], labels: Tensor, dims: Iterable[int]
) -> Tensor:
    """Sum of a loss B over prefixes, Σ_d B(e[:d]), each of weight 1 (MRL, equation 1).

    Args:
        base: Loss of vectors; one on cosines normalises each prefix by itself.
        columns: Vectors (B, H) a column.
        labels: What the base gets.
        dims: Lengths d of the prefixes, at most H.
    """
    terms = [base([column[:, :dim] for column in columns], labels) for dim in dims]
    return torch.stack(terms).sum()


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(t/T) ‖ softmax(s/T)) over the H numbers of each vector, mean over the n vectors.

    Args:
        student: Vectors s (n, H).
        teacher: Vectors t (n, H).
        temperature: Temperature T.
    """
    return kl_div(
        log_softmax(student / temperature, dim=-1),
        log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )


class MatryoshkaLoss(nn.Module):
    """A loss summed over prefixes of the vectors.

    Args:
        model: Sentence transformer with vectors of size H.
        base: Loss of columns of vectors.
        dims: Lengths of the prefixes.
        dims_per_step: How many of them a step takes, at random, or -1 for all.
        seed: Seed of what is taken.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        base: VectorLoss,
        dims: Sequence[int],
        *,
        dims_per_step: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self._base = base
        self._dims = tuple(dims)
        self._dims_per_step = dims_per_step
        self.draws = Draws(seed)

    def forward(self, features: ColumnFeatures, labels: Tensor) -> Tensor:
        """Encode the columns and compute the loss.

        Args:
            features: Tokens (B, T) of each column.
            labels: What the base gets.
        """
        columns = [self.model(dict(view))["sentence_embedding"] for view in features]
        return self._prefixes(columns, labels, self.draws.next())

    def _prefixes(self, columns: list[Tensor], labels: Tensor, chance: Random) -> Tensor:
        dims = drawn(self._dims, self._dims_per_step, chance)
        return prefix_loss(self._base, columns, labels, dims)


class Matryoshka2dLoss(MatryoshkaLoss):
    """2D Matryoshka as sentence-transformers trains it, on layers alone.

    With M the sum over prefixes, S some of the layers 1 to L - 1, and ω a weight of the layer:
    M(e_L) + Σ_{l∈S} [ω_l M(e_l) / |S| + T KL(softmax(e_L/T) ‖ softmax(e_l/T))]. Prefixes are drawn
    again for each M; the divergence is of whole vectors.

    The library's class counts the embedding output as a layer since 5.2.0, which this one leaves
    out. ``linear`` with ``detached=False`` is the library up to 5.1.2, which the reproduction
    (arXiv 2411.17299) used by its date; ``uniform`` and ``detached=True`` are the defaults since
    5.7.0.

    Args:
        model: Sentence transformer with L layers and vectors of size H.
        base: Loss of columns of vectors.
        dims: Lengths of the prefixes.
        dims_per_step: How many of them each M takes, at random, or -1 for all.
        layers_per_step: Size of S, or -1 for all of the layers 1 to L - 1.
        layer_weighting: ω_l is 1, 1 / (1 + ln l) or 1 / l.
        temperature: Temperature T.
        detached: Whether the divergence leaves the last layer alone.
        seed: Seed of what is drawn.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        base: VectorLoss,
        dims: Sequence[int],
        *,
        dims_per_step: int,
        layers_per_step: int,
        layer_weighting: LayerWeighting,
        temperature: float,
        detached: bool,
        seed: int,
    ) -> None:
        super().__init__(model, base, dims, dims_per_step=dims_per_step, seed=seed)
        self._layers_per_step = layers_per_step
        self._layer_weighting = layer_weighting
        self._temperature = temperature
        self._detached = detached

    def forward(self, features: ColumnFeatures, labels: Tensor) -> Tensor:
        """Encode the columns once, and compute the loss of the last layer and some others.

        Args:
            features: Tokens (B, T) of each column.
            labels: What the base gets.
        """
        layers = _columns_by_layer(self.model, features)
        chance = self.draws.next()
        loss = self._prefixes(layers[-1], labels, chance)
        chosen = drawn(range(1, len(layers) - 1), self._layers_per_step, chance)
        teacher = torch.cat(layers[-1])
        if self._detached:
            teacher = teacher.detach()
        for layer in chosen:
            weight = layer_weight(self._layer_weighting, layer) / len(chosen)
            loss = loss + weight * self._prefixes(layers[layer], labels, chance)
            aligned = divergence(torch.cat(layers[layer]), teacher, self._temperature)
            loss = loss + self._temperature * aligned
        return loss


def layer_weight(weighting: LayerWeighting, layer: int) -> float:
    """Weight of a layer, 1 the first: 1, 1 / (1 + ln l), or 1 / l."""
    if weighting == "log":
        return 1 / (1 + math.log(layer))
    return 1 / layer if weighting == "linear" else 1.0


class EspressoLoss(nn.Module):
    """Espresso: the first k numbers of every layer learn to be its compression.

    With B the base, u the vectors of a layer: B(e_L) + B(e_L[:k]) + align(e_L[:k], pca(e_L)) +
    (1 / |S|) Σ_{i∈S} [B(u_i[:k]) + align(u_i[:k], pca(u_i))] / (1 + ln(1 + i)), over some or all of
    the layers i from 1 to L - 1. The authors' code runs i from 0, the embedding output, to L - 2,
    and so never trains layer L - 1; that is ``embedding_layer=True``. Without S it is their
    one-dimensional training.

    Args:
        model: Sentence transformer with L layers and vectors of size H.
        base: Loss of columns of vectors.
        size: Numbers k.
        layers_per_step: Size of S, at random; -1 for all of the layers, as with the authors.
        temperature: Temperature of ``align``.
        embedding_layer: Whether i runs as in the authors' code.
        seed: Seed of what is drawn.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        base: VectorLoss,
        *,
        size: int,
        layers_per_step: int,
        temperature: float,
        embedding_layer: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self._base = base
        self._size = size
        self._layers_per_step = layers_per_step
        self._temperature = temperature
        self._first = 0 if embedding_layer else 1
        self.draws = Draws(seed)

    def forward(self, features: ColumnFeatures, labels: Tensor) -> Tensor:
        """Encode the columns once, and compute the loss of all layers.

        Args:
            features: Tokens (B, T) of each column.
            labels: What the base gets.
        """
        layers = _columns_by_layer(self.model, features)
        blocks = len(layers) - 1
        loss = self._base(layers[-1], labels) + self._compressed(layers[-1], labels)
        indices = range(self._first, self._first + blocks - 1)
        chosen = drawn(indices, self._layers_per_step, self.draws.next())
        for i in chosen:
            weight = 1 / (1 + math.log(1 + i)) / len(chosen)
            loss = loss + weight * self._compressed(layers[i], labels)
        return loss

    def _compressed(self, columns: list[Tensor], labels: Tensor) -> Tensor:
        vectors = torch.cat(columns)
        prefix = vectors[:, : self._size]
        loss = prefix_loss(self._base, columns, labels, [self._size])
        return loss + align(prefix, compressed(vectors, self._size), self._temperature)


@torch.no_grad()
def compressed(vectors: Tensor, size: int) -> Tensor:
    """Target of the compression, m U diag(s) with A = U diag(s) Vᵀ, without gradient.

    A = rowsoftmax(mᵀm / √H), of which the k largest singular values are taken. The sign of a
    column of U, which the decomposition leaves open, makes its largest number positive, so that
    the target of one step is that of the next; the authors leave it open.

    Args:
        vectors: Vectors m (n, H).
        size: Numbers k.

    Returns:
        Float32 of shape (n, k).
    """
    with torch.autocast(vectors.device.type, enabled=False):
        m = vectors.float()
        attention = softmax(m.T @ m / math.sqrt(m.shape[1]), dim=-1)
        left, values, _ = torch.linalg.svd(attention)
        left = left[:, :size]
        largest = left.gather(0, left.abs().argmax(0, keepdim=True))
        target: Tensor = m @ (left * largest.sign() * values[:size])
    return target


def align(student: Tensor, target: Tensor, temperature: float) -> Tensor:
    """MSE(a, b) + T KL(softmax(b/T) ‖ softmax(a/T)), mean over vectors.

    Args:
        student: Vectors a (n, k).
        target: Vectors b (n, k).
        temperature: Temperature T.
    """
    student = student.float()
    near: Tensor = mse_loss(student, target)
    return near + temperature * divergence(student, target, temperature)


def _columns_by_layer(model: SentenceTransformer, features: ColumnFeatures) -> list[list[Tensor]]:
    """Vectors of each layer, the embedding output first, as one tensor a column."""
    columns = [layer_vectors(model, view) for view in features]
    return [list(layer) for layer in zip(*columns, strict=True)]


def drawn(choices: Sequence[int], count: int, chance: Random) -> Sequence[int]:
    """Some of the choices at random, in their order; all where the count is -1 or too large."""
    return choices if count < 0 or count >= len(choices) else sorted(chance.sample(choices, count))
