"""Logistic regression with an L2 penalty, the probe of ``senteval-sk``.

The optimum is that of scikit-learn's ``LogisticRegression``. It is found sooner, as the many fits
of a task share what they need: rows are turned to their principal axes once (the penalty is the
same in all directions, so that the optimum turns with them), where a feature's variance says how
far a step along it may go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from bench.tasks.probes.base import ClassNumbers, FeatureMatrix, ProbeRows

MAX_ITER = 1000
# Of the gradient of the mean loss where curvatures are about 1. Logits of sentence vectors are then
# five to fifty times nearer to the optimum than with scikit-learn's default, which is the same
# figure for features as they are.
TOLERANCE = 1e-4
# What p (1 - p), the curvature of a logit's loss, is on rows that are mostly told apart. Steps
# start from it; with the bound, 0.25, fits of few rows take a fifth more of them.
CURVATURE = 0.05
# Pairs of steps and gradients that L-BFGS keeps. With ten, keeping them costs more than they save.
MEMORY = 5


@dataclass(frozen=True)
class LogisticModel:
    """A fitted model.

    Attributes:
        classes: The K classes of the training rows, in order.
        weights: Float64 (K, d + 1), the intercept last; of two classes (1, d + 1), of the second.
    """

    classes: ClassNumbers
    weights: NDArray[np.float64]

    def probabilities(self, x: FeatureMatrix) -> NDArray[np.float64]:
        """Probability of each class, (n, K), for features (n, d)."""
        return np.asarray(softmax(_logits(self.weights, x), axis=0).T)

    def predict(self, x: FeatureMatrix) -> ClassNumbers:
        """The most probable class of each row, (n,), for features (n, d)."""
        return np.asarray(self.classes[_logits(self.weights, x).argmax(axis=0)])


class Logistic:
    """Multinomial logistic regression with SentEval's grids of C (its scikit-learn mode)."""

    grid = tuple(2.0**t for t in range(-2, 4))
    grid_cross_validated = tuple(2.0**t for t in range(-1, 6))

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Turn rows to the principal axes of the first part."""
        return principal_axes(parts)

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Fit from the strongest regularisation on, each fit starting at the one before."""
        accuracies = np.empty(len(grid))
        problem, model = LogisticProblem(train), None
        for place in np.argsort(grid, kind="stable"):
            model = problem.fit(grid[place], model)
            accuracies[place] = np.mean(model.predict(dev.x) == dev.y)
        return accuracies

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit on the training rows alone; the optimum needs no stopping."""
        return self.fit(train, value).predict(x)

    def fit(self, train: ProbeRows, value: float) -> LogisticModel:
        """Fit with one C."""
        return LogisticProblem(train).fit(value)


class LogisticProblem:
    """Rows to fit, and what all fits on them share.

    Raises:
        ValueError: The rows are of one class, or have features that are not finite.
    """

    def __init__(self, rows: ProbeRows) -> None:
        self._classes, self._y = np.unique(rows.y, return_inverse=True)
        if len(self._classes) < 2:
            raise ValueError("all rows that it is fitted on are of one class")
        self._x = np.asarray(rows.x, np.float32)
        # A mean over all rows, so that one that is not finite shows.
        self._variance = np.einsum("ij,ij->j", self._x, self._x, dtype=np.float64) / len(self._x)
        if not np.isfinite(self._variance).all():
            raise ValueError("features that it is fitted on are not finite")

    def fit(self, c: float, start: LogisticModel | None = None) -> LogisticModel:
        """Minimise the summed cross-entropy plus ``|w|² / 2 C``, the intercepts free of penalty.

        Args:
            c: Inverse of the regularisation, C.
            start: Model of the same rows to start from.
        """
        penalty = 1 / (c * len(self._x))
        scale = np.append((CURVATURE * self._variance + penalty) ** -0.5, CURVATURE**-0.5)
        shape = (1 if len(self._classes) == 2 else len(self._classes), len(scale))
        begin = np.zeros(shape) if start is None else start.weights / scale

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(shape) * scale
            loss, gradient = _cross_entropy(weights, self._x, self._y)
            gradient[:, :-1] += penalty * weights[:, :-1]
            norm = np.vdot(weights[:, :-1], weights[:, :-1])
            return loss + penalty / 2 * float(norm), (gradient * scale).ravel()

        found = minimize(
            objective,
            begin.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITER, "gtol": TOLERANCE, "ftol": 0.0, "maxcor": MEMORY},
        )
        return LogisticModel(self._classes, found.x.reshape(shape) * scale)


def principal_axes(parts: Sequence[FeatureMatrix]) -> list[NDArray[np.float32]]:
    """Turn rows to the principal axes of those of the first part, around its mean.

    What is at right angles to all of its rows is left out, as no fit on them gives it weight.

    Args:
        parts: Features, each (n, d).

    Returns:
        Float32, each (n, min(d, rows of the first part)).
    """
    mean = parts[0].mean(axis=0, dtype=np.float64)
    first, *others = ((part - mean).astype(np.float32) for part in parts)
    if len(first) < first.shape[1]:
        span = np.linalg.qr(first.T)[0]
        first, *others = (part @ span for part in (first, *others))
    covariance = (first.T @ first).astype(np.float64)
    axes = np.linalg.eigh(covariance)[1].astype(np.float32)
    return [part @ axes for part in (first, *others)]


def _logits(weights: NDArray[np.float64], x: FeatureMatrix) -> NDArray[np.float64]:
    """Logits of each class, (K, n); of two classes, those of the first are 0."""
    own = weights[:, :-1].astype(x.dtype) @ x.T + weights[:, -1:]
    return own if len(own) > 1 else np.vstack([np.zeros_like(own), own])


def _cross_entropy(
    weights: NDArray[np.float64], x: NDArray[np.float32], y: NDArray[np.intp]
) -> tuple[float, NDArray[np.float64]]:
    """Mean over rows, and its gradient, shaped as the weights are."""
    logits = _logits(weights, x)
    logits -= logits.max(axis=0)
    rows = np.arange(len(y))
    own = logits[y, rows]
    np.exp(logits, out=logits)
    total = logits.sum(axis=0)
    loss = float(np.mean(np.log(total) - own))
    logits /= total * len(y)
    logits[y, rows] -= 1 / len(y)
    error = logits[-len(weights) :]
    return loss, np.column_stack([error.astype(x.dtype) @ x, error.sum(axis=1)])
