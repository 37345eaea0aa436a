"""Denoising and cosines of pairs on one encoder, as one loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class JointLoss(nn.Module):
    """w₁·L_denoising + w₂·L_pairs (EMNLP 2023 main 124, variant "Joint").

    A row holds a text with words deleted, the whole text, and both texts of a pair. A term of
    weight 0 is not computed at all, so that the other sees the random numbers that it would see
    without it.

    Args:
        denoising: Called with the first two columns.
        pairs: Called with the last two columns and the labels of the pairs, on the same encoder.
        weights: Weights of the terms.
    """

    def __init__(
        self, denoising: nn.Module, pairs: nn.Module, weights: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        super().__init__()
        self.denoising = denoising
        self.pairs = pairs
        self.weights = weights

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Compute the weighted sum of the means over a batch, a scalar.

        Args:
            features: Tokens (B, L) of the four columns.
            labels: Labels of the pairs (B,).
        """
        noisy, whole, left, right = features
        total = torch.zeros((), device=labels.device)
        for weight, term, columns in (
            (self.weights[0], self.denoising, [noisy, whole]),
            (self.weights[1], self.pairs, [left, right]),
        ):
            if weight:
                total = total + weight * term(columns, labels)
        return total
