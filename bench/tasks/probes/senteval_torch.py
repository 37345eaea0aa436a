"""SentEval's own classifier loop in torch, the probe of ``senteval-torch``.

Linear layer, cross-entropy, Adam with coupled weight decay. Training goes on until the dev
accuracy has failed to improve ``tenacity + 1`` times in total, not in a row, and the best copy
is kept (Conneau and Kiela, LREC 2018; setting "full" of SimCSE's evaluation).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
    ) -> None:
        self.grid = self.grid_cross_validated = tuple(grid)
        self._classes = classes
        self._batch_size = batch_size
        self._tenacity = tenacity
        self._epoch_size = epoch_size
        self._max_epoch = max_epoch

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Leave rows as they are: where its training stops depends on how they are turned."""
        return parts

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Best dev accuracy for each weight decay."""
        return np.array([self._fit(train, dev, value)[1] for value in grid])

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit, stopping on the dev rows, or on a random 5% of the training rows, and predict."""
        rng = np.random.RandomState(SEED)
        if dev is None:
            order = rng.permutation(len(train))
            held_out = int(DEV_SHARE * len(train))
            train, dev = train.take(order[held_out:]), train.take(order[:held_out])
        model, _ = self._fit(train, dev, value, rng)
        return _predict(model, x)

    def _fit(
        self,
        train: ProbeRows,
        dev: ProbeRows,
        weight_decay: float,
        rng: np.random.RandomState | None = None,
    ) -> tuple[nn.Module, float]:
        rng = rng or np.random.RandomState(SEED)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = nn.Linear(train.x.shape[1], self._classes)
        optimizer = torch.optim.Adam(model.parameters(), weight_decay=weight_decay)
        x, y = torch.from_numpy(np.asarray(train.x, np.float32)), torch.from_numpy(train.y)
        best, best_model, failures, epoch = -1.0, model, 0, 0
        while epoch <= self._max_epoch:
            for _ in range(self._epoch_size):
                self._epoch(model, optimizer, x, y, rng.permutation(len(train)))
            epoch += self._epoch_size
            accuracy = float(np.mean(_predict(model, dev.x) == dev.y))
            if accuracy > best:
                best, best_model = accuracy, deepcopy(model)
                continue
            if failures >= self._tenacity:
                break
            failures += 1
        return best_model, best

    def _epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        x: torch.Tensor,
        y: torch.Tensor,
        order: NDArray[np.intp],
    ) -> None:
        for batch in torch.split(torch.from_numpy(order), self._batch_size):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            optimizer.step()


def _predict(model: nn.Module, x: FeatureMatrix) -> ClassNumbers:
    with torch.no_grad():
        logits = model(torch.from_numpy(np.asarray(x, np.float32)))
    return np.asarray(logits.argmax(1).numpy(), dtype=np.int64)
