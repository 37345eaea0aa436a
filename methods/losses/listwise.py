"""Losses of CoDiEmb over the order of a batch of graded pairs (arXiv 2508.11442).

Each maps scores ŷ and grades y, (B,) each, to a scalar in the dtype of the scores, with a gradient
for every score even where the loss is 0, as other processes may wait for a backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-8


def rank_kl_loss(scores: Tensor, labels: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Compute KL(softmax(t/T) ‖ softmax(ŷ/T)) / B, with t the ranks of the grades.

    The highest grade has t = 1 and the lowest t = 0; equal grades share the mean of their ranks.
    The division by B is that of the authors' code, for which their weight of this loss is meant.

    Args:
        scores: Predictions ŷ, (B,).
        labels: Grades y, (B,), of any scale.
        temperature: Temperature T.
    """
    above = (labels[None, :] > labels[:, None]).sum(dim=1)
    same = (labels[None, :] == labels[:, None]).sum(dim=1)
    ranks = above + (same - 1).to(scores) / 2
    last = len(scores) - 1
    targets = (last - ranks) / max(last, 1)
    wanted = (targets / temperature).log_softmax(dim=0)
    predicted = (scores / temperature).log_softmax(dim=0)
    return (wanted.exp() * (wanted - predicted)).mean()


def pro_loss(scores: Tensor, labels: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Compute the preference ranking loss: each pair against all pairs with a lower grade.

    With z = ŷ/T, w_j = y_k − y_j for the pairs j that are more than 1e-8 below k, and w_k the
    largest of these, it is the mean of −log(e^{w_k z_k} / (e^{w_k z_k} + Σ_j e^{w_j z_j})) over
    the k that have such j; 0 where none has.

    Args:
        scores: Predictions ŷ, (B,).
        labels: Grades y, (B,), between 0 and 1.
        temperature: Temperature T.
    """
    gaps = (labels[:, None] - labels[None, :]).to(scores)
    below = gaps > _EPSILON
    logits = scores / temperature
    own = gaps.max(dim=1).values * logits
    others = torch.where(below, gaps * logits[None, :], -torch.inf)
    losses = torch.cat([own[:, None], others], dim=1).logsumexp(dim=1) - own
    # A pair without lower ones costs log(1) = 0.
    return losses.sum() / below.any(dim=1).sum().clamp(min=1)
