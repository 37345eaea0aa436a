"""AnglE's objective: differences of angles in the complex plane, and in-batch negatives.

Li and Li, "AoE: Angle-optimized Embeddings for Semantic Textual Similarity", ACL 2024
(arXiv 2309.12871), as in ``angle_emb/loss.py`` of SeanLee97/AnglE.
"""

from __future__ import annotations

import torch
from sentence_transformers.util import pairwise_angle_sim
from torch import Tensor

from bench.methods.losses.graded import cosent_loss
from bench.methods.losses.matryoshka import VectorLoss
from bench.training.gather import gather_rows


def angle_loss(first: Tensor, second: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    """Compute log(1 + Σ exp(τ(s_i − s_j))) over all pairs i, j of texts with y_i < y_j.

    The halves of a vector are the real and the imaginary parts of u / 2 complex numbers. With
    x = (a, b) and y = (c, d) of a pair, s = |Σ (ac + bd) + Σ (bc − ad)| / (‖x‖ ‖y‖): the real and
    imaginary parts of Σ (a + ib)(c − id), the quotient of the numbers up to its length, added up.
    It is no angle, and not symmetric in x and y. Equation 3 of the paper has the pairs in the other
    order, by which dissimilar texts would be drawn together; this is the authors' code. Of an odd
    size u the last number is a real part without an imaginary one.

    In several processes the pairs are those of all of them, see ``gather_rows``.

    Args:
        first: Vectors x (n, u).
        second: Vectors y (n, u).
        labels: Similarities y (n,), on any scale.
        scale: Factor τ.
    """
    scores = pairwise_angle_sim(first.float(), second.float())
    pairs = torch.stack([scores, labels.to(scores)], dim=1)
    scores, grades = gather_rows(pairs).unbind(dim=1)
    return cosent_loss(scores, grades, scale=scale)


class AngleObjective:
    """AnglE's objective on triplets: w_ibn · contrast + w_angle · angle loss.

    The angle loss takes a text with its positive as similar and a text with its hard negative as
    not. The authors also leave out rows of a batch with a text that another one has, which is not
    done here.

    Args:
        contrast: Loss of anchors, positives and hard negatives; with the authors in-batch negatives
            over cosine · 20.
        in_batch_weight: Weight w_ibn.
        angle_weight: Weight w_angle.
        angle_scale: Factor τ of the angle loss.
    """

    def __init__(
        self,
        contrast: VectorLoss,
        *,
        in_batch_weight: float,
        angle_weight: float,
        angle_scale: float,
    ) -> None:
        self._contrast = contrast
        self._in_batch_weight = in_batch_weight
        self._angle_weight = angle_weight
        self._angle_scale = angle_scale

    def from_vectors(self, columns: list[Tensor], labels: Tensor) -> Tensor:
        """Compute the objective.

        Args:
            columns: Vectors (B, u) of anchors, positives and hard negatives.
            labels: What the contrast gets.
        """
        anchors, positives, negatives = columns
        # Half precision would round the differences, which are multiplied by τ.
        with torch.autocast(anchors.device.type, enabled=False):
            similar = torch.cat([torch.ones(len(positives)), torch.zeros(len(negatives))])
            angle = angle_loss(
                torch.cat([anchors, anchors]),
                torch.cat([positives, negatives]),
                similar.to(anchors.device),
                scale=self._angle_scale,
            )
        contrast = self._contrast(columns, labels)
        return self._in_batch_weight * contrast + self._angle_weight * angle
