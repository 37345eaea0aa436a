"""Adam for several linear models at once, which see the same batches in the same order.

A step of one such model takes less time than to call for it; the models of a grid share the calls.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

RATE, FIRST, SECOND, EPSILON = 1e-3, 0.9, 0.999, 1e-8


class LinearModels:
    """Linear models (G, K, d + 1), the intercept last, all begun alike and trained by Adam.

    Args:
        features: Features, d.
        classes: Outputs of a model, K.
        decays: Weight decay of each of G models, added to the gradient.
        seed: Seed of the weights that they begin with, those of ``torch.nn.Linear`` on the CPU.
        device: Torch device.
    """

    def __init__(
        self, features: int, classes: int, decays: torch.Tensor, seed: int, device: str
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        bound = features**-0.5
        weights = torch.empty(classes, features).uniform_(-bound, bound, generator=generator)
        intercept = torch.empty(classes, 1).uniform_(-bound, bound, generator=generator)
        one = torch.cat([weights, intercept], dim=1).to(device)
        self.weights = one.repeat(len(decays), 1, 1)
        self._decays = decays.view(-1, 1, 1).to(device)
        self._first = torch.zeros_like(self.weights)
        self._second = torch.zeros_like(self.weights)
        self._steps = 0

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, G, K) for features and a one (n, d + 1)."""
        return (x @ self.weights.flatten(0, 1).T).view(len(x), *self.weights.shape[:2])

    def step(self, x: torch.Tensor, error: torch.Tensor) -> None:
        """Take a step.

        Args:
            x: Features and a one, (n, d + 1).
            error: Gradient of the loss by the outputs, (n, G, K).
        """
        gradient = (error.flatten(1).T @ x).view_as(self.weights)
        gradient.addcmul_(self.weights, self._decays)
        self._steps += 1
        self._first.lerp_(gradient, 1 - FIRST)
        self._second.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        spread = self._second.sqrt().div_((1 - SECOND**self._steps) ** 0.5).add_(EPSILON)
        rate = RATE / (1 - FIRST**self._steps)
        self.weights.addcdiv_(self._first, spread, value=-rate)

    def keep(self, models: torch.Tensor) -> None:
        """Go on with some of the models, by a mask (G,)."""
        self.weights, self._decays = self.weights[models], self._decays[models]
        self._first, self._second = self._first[models], self._second[models]


def with_ones(x: NDArray[np.floating], device: str) -> torch.Tensor:
    """Features (n, d) and a one for the intercept, float32 of shape (n, d + 1)."""
    features = torch.from_numpy(np.asarray(x, np.float32)).to(device)
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)
