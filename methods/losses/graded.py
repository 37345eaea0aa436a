"""Losses over pairs of texts with grades of similarity.

Zhang and Li, "Pcc-tuning", EMNLP 2024, arXiv 2406.09790; Zhang and Li, "Advancing STS Modeling",
EMNLP 2024, arXiv 2406.05326. A criterion maps scores and labels, (B,) each, to a scalar, in the
dtype of the scores; ``GradedLoss`` applies it to the cosines of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CoSENTLoss
from torch import Tensor, nn
from torch.nn import functional

from bench.training.gather import gather_rows

Criterion = Callable[[Tensor, Tensor], Tensor]
_EPSILON = 1e-8


class GradedLoss(nn.Module):
    """A criterion of the cosines of pairs and their labels, over the batch of all processes.

    Every process returns the loss of the joined batch, which for Pearson and CoSENT is not the
    mean of the losses of its shards. Under ``DistributedDataParallel`` a step follows the
    gradient of this loss as one process would compute it, see ``gather_rows``.

    Args:
        model: Sentence transformer.
        criterion: Scalar of cosines and labels, (B,) each and float32.
    """

    def __init__(self, model: SentenceTransformer, criterion: Criterion) -> None:
        super().__init__()
        self.model = model
        self._criterion = criterion

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode both columns and compute the loss.

        Args:
            features: Tokens (B, L) of the first and the second texts.
            labels: Grades (B,), on one scale for all rows: that of cosines, 0 to 1, for criteria
                that compare the two as numbers.

        Raises:
            ValueError: There are not two columns.
        """
        first, second = (self.model(dict(view))["sentence_embedding"] for view in features)
        return self.from_vectors([first, second], labels)

    def from_vectors(self, columns: list[Tensor], labels: Tensor) -> Tensor:
        """Compute the loss of two columns of vectors, (B, u) each."""
        first, second = columns
        # Half precision would round away the small differences of cosines that grades differ by.
        cosines = torch.cosine_similarity(first.float(), second.float())
        pairs = torch.stack([cosines, labels.to(cosines)], dim=1)
        scores, grades = gather_rows(pairs).unbind(dim=1)
        return self._criterion(scores, grades)


def pearson_loss(scores: Tensor, labels: Tensor, *, released: bool = False) -> Tensor:
    """Compute 1 − cov(x, y) / (sd(x) · sd(y)), the loss of Pcc-tuning's second stage.

    Each sd is √(variance + 1e-8), so that scores that are all the same give 1 and a large but
    finite gradient. Labels that are all the same, as those of a single pair, rank nothing: the
    loss is then 0, with a gradient of zeros.

    Args:
        scores: Predictions x, (B,).
        labels: Grades y, (B,), of any scale.
        released: Divide the covariance by B but the variances by B − 1, as the authors' code does
            (repository ZBWpro/Pcc-tuning): 1 − r·(B − 1)/B, whose least value is 1/B.
    """
    if labels.min() == labels.max():
        # Part of the graph, as other processes may wait for a backward pass.
        return 0 * scores.sum()
    x, y = scores - scores.mean(), labels - labels.mean()
    spreads = len(scores) - 1 if released else len(scores)
    variances = (x.square().sum() / spreads, y.square().sum() / spreads)
    deviations = [(variance + _EPSILON).sqrt() for variance in variances]
    return 1 - (x * y).mean() / (deviations[0] * deviations[1])


def cosine_mse(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of scores and labels, (B,) each.

    With cosines it is the ``CosineSimilarityLoss`` of sentence-transformers, which takes vectors
    only and would need them gathered.
    """
    return functional.mse_loss(scores, labels)


def translated_relu(scores: Tensor, labels: Tensor, *, k: float, t: float) -> Tensor:
    """Mean of k·max(d − t, 0) with d = |score − label| (arXiv 2406.05326).

    Args:
        scores: Predictions, (B,).
        labels: Grades, (B,), on the scale of the predictions.
        k: Slope.
        t: Difference that costs nothing, at most half the distance of two grades.
    """
    return k * functional.relu((scores - labels).abs() - t).mean()


def smooth_k2(scores: Tensor, labels: Tensor, *, k: float, t: float) -> Tensor:
    """Mean of k·max(d − t, 0)² with d = |score − label| (arXiv 2406.05326).

    Unlike that of ``translated_relu``, its derivative is continuous at d = t.

    Args:
        scores: Predictions, (B,).
        labels: Grades, (B,), on the scale of the predictions.
        k: Factor.
        t: Difference that costs nothing, at most half the distance of two grades.
    """
    return k * functional.relu((scores - labels).abs() - t).square().mean()


def cosent_loss(scores: Tensor, labels: Tensor, *, scale: float = 20.0) -> Tensor:
    """Compute log(1 + Σ exp(λ(x_j − x_i))) over all i, j with y_i > y_j.

    This is the ``CoSENTLoss`` of sentence-transformers (Huang et al., IEEE/ACM TASLP 2024), with
    given scores in the place of the cosines that it would take of vectors.

    Args:
        scores: Predictions x, (B,).
        labels: Grades y, (B,), of any scale.
        scale: Factor λ.
    """
    no_model: Any = None
    library = CoSENTLoss(no_model, scale=scale, similarity_fct=lambda given, _: given)
    loss: Tensor = library.compute_loss_from_embeddings([scores, scores], labels)
    return loss
