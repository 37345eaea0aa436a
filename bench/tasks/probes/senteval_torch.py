"""SentEval's own classifier loop in torch, the probe of ``senteval-torch``.

Linear layer, cross-entropy, Adam with coupled weight decay. Training goes on until the dev
accuracy has failed to improve ``tenacity + 1`` times in total, not in a row, and the best copy
is kept (Conneau and Kiela, LREC 2018; setting "full" of SimCSE's evaluation).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.tasks.probes.adam import LinearModels, with_ones
from bench.tasks.probes.base import ClassNumbers, FeatureMatrix, ProbeRows

SEED = 1111
DEV_SHARE = 0.05


class SentEvalTorch:
    """Multinomial logistic regression stopped early on dev rows.

    Args:
        classes: Number of classes.
        batch_size: Rows in a batch.
        tenacity: Checks without a new best that are allowed in total.
        epoch_size: Epochs between two checks.
        max_epoch: Most epochs.
        grid: Weight decays to choose from.
        device: Torch device.
    """

    def __init__(
        self,
        classes: int,
        *,
        batch_size: int = 64,
        tenacity: int = 5,
        epoch_size: int = 4,
        max_epoch: int = 200,
        grid: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2),
        device: str = "cpu",
    ) -> None:
        self.grid = self.grid_cross_validated = tuple(grid)
        self._classes = classes
        self._batch_size = batch_size
        self._tenacity = tenacity
        self._epoch_size = epoch_size
        self._max_epoch = max_epoch
        self._device = device

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Leave rows as they are: where its training stops depends on how they are turned."""
        return parts

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Best dev accuracy for each weight decay."""
        return self._fit(train, dev, grid, np.random.RandomState(SEED))[1]

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit, stopping on the dev rows, or on a random 5% of the training rows, and predict."""
        rng = np.random.RandomState(SEED)
        if dev is None:
            order = rng.permutation(len(train))
            held_out = int(DEV_SHARE * len(train))
            train, dev = train.take(order[held_out:]), train.take(order[:held_out])
        weights, _ = self._fit(train, dev, [value], rng)
        return np.asarray(_predict(weights, with_ones(x, self._device))[0])

    def _fit(
        self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float], rng: np.random.RandomState
    ) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """Weights of the best copy for each weight decay, (G, K, d + 1), and its accuracy (G,)."""
        features, decays = train.x.shape[1], torch.tensor(grid)
        models = LinearModels(features, self._classes, decays, SEED, self._device)
        x, dev_x = (with_ones(rows.x, self._device) for rows in (train, dev))
        gold = torch.from_numpy(train.y).to(self._device)
        y = torch.nn.functional.one_hot(gold, self._classes).float()
        kept, best = models.weights.clone(), np.full(len(grid), -1.0)
        failures, running, epoch = np.zeros(len(grid), int), np.arange(len(grid)), 0
        while epoch <= self._max_epoch and len(running):
            for _ in range(self._epoch_size):
                self._epoch(models, x, y, rng.permutation(len(train)))
            epoch += self._epoch_size
            accuracy = np.mean(_predict(models.weights, dev_x) == dev.y, axis=1)
            better = accuracy > best[running]
            # Without dev rows no copy is ever better, and the last one stays.
            copied = better | (best[running] < 0)
            kept[running[copied]] = models.weights[copied]
            best[running[better]] = accuracy[better]
            goes_on = better | (failures[running] < self._tenacity)
            failures[running[~better]] += 1
            running = running[goes_on]
            models.keep(torch.from_numpy(goes_on))
        return kept, best

    def _epoch(
        self, models: LinearModels, x: torch.Tensor, y: torch.Tensor, order: NDArray[np.intp]
    ) -> None:
        index, size = torch.from_numpy(order).to(x.device), self._batch_size
        batches = zip(torch.split(x[index], size), torch.split(y[index], size), strict=True)
        for features, gold in batches:
            error = models.logits(features).softmax(-1).sub_(gold[:, None])
            models.step(features, error.div_(len(gold)))


def _predict(weights: torch.Tensor, x: torch.Tensor) -> ClassNumbers:
    """Classes (G, n) that models (G, K, d + 1) give to rows with a one (n, d + 1)."""
    return np.asarray((weights @ x.T).argmax(1).cpu().numpy(), dtype=np.int64)
