"""Logistic regression of scikit-learn, the probe of ``senteval-sk``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from bench.tasks.probes.base import ClassNumbers, FeatureMatrix, ProbeRows

MAX_ITER = 1000


class Logistic:
    """Multinomial logistic regression with SentEval's grids of C (its scikit-learn mode)."""

    grid = tuple(2.0**t for t in range(-2, 4))
    grid_cross_validated = tuple(2.0**t for t in range(-1, 6))

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Fit from the strongest regularisation on, each fit starting at the one before."""
        model = LogisticRegression(max_iter=MAX_ITER, warm_start=True)
        order = np.argsort(grid, kind="stable")
        accuracies = np.empty(len(grid))
        for place in order:
            model.set_params(C=grid[place]).fit(train.x, train.y)
            accuracies[place] = np.mean(model.predict(dev.x) == dev.y)
        return accuracies

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit on the training rows alone; the optimum needs no stopping."""
        model = LogisticRegression(C=value, max_iter=MAX_ITER).fit(train.x, train.y)
        return np.asarray(model.predict(x), dtype=np.int64)
