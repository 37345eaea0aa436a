"""Combining the outputs of several models by weights learned on out-of-fold outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench.core.errors import CellError
from bench.methods.ensemble.targets import Floats

Combination = Literal["ridge", "mean", "best_single", "logistic"]
GRID = (0.01, 0.1, 1.0, 10.0)
LEAST = 1e-6


@dataclass(frozen=True)
class Stack:
    """Models to combine, and the rows that weights are learned on.

    Attributes:
        outputs: Out-of-fold outputs of each model by name: probabilities (n, o) or scores (n, 1).
        targets: Gold labels of these rows, (n, o).
        classes: Whether the targets are classes.
        penalty: λ of the ridge regression, or None to choose it from ``GRID`` by leaving out one
            row at a time.
    """

    outputs: Mapping[str, Floats]
    targets: Floats
    classes: bool
    penalty: float | None = 1.0

    @property
    def binary(self) -> bool:
        """Whether the second of two probabilities says it all."""
        return self.classes and self.targets.shape[1] == 2

    def features(self, outputs: Mapping[str, Floats]) -> Floats:
        """Columns of the regression: a number, or where there are more classes, one for each."""
        return np.hstack([self._narrow(outputs[name]) for name in self.outputs])

    def _narrow(self, values: Floats) -> Floats:
        return values[:, 1:] if self.binary else values

    def ridge(self, penalty: float | None = None) -> Any:
        """Fit min ‖y − F w − b‖² + λ‖w‖² (arXiv 2501.15876, eq. 7).

        Args:
            penalty: λ, by default that of the stack.

        Returns:
            Ridge regression of scikit-learn.
        """
        from sklearn.linear_model import Ridge, RidgeCV

        penalty = self.penalty if penalty is None else penalty
        model = RidgeCV(GRID) if penalty is None else Ridge(penalty)
        return model.fit(self.features(self.outputs), self._narrow(self.targets))

    def combine(self, combination: Combination, outputs: Mapping[str, Floats]) -> Floats:
        """Combine outputs of m other rows to (m, o): probabilities of sum 1, or scores.

        Args:
            combination: How; ``best_single`` is the model of the least squared error out of fold.
            outputs: Outputs of each model by name.

        Raises:
            CellError: ``logistic`` is asked for where there are no classes.
        """
        if combination == "best_single":
            return self._proper(outputs[self.best()])
        if combination == "mean":
            return self._proper(np.mean([outputs[name] for name in self.outputs], axis=0))
        if combination == "logistic":
            return self._logistic(outputs)
        combined = self.ridge().predict(self.features(outputs)).reshape(-1, self._width)
        return self._proper(np.hstack([1 - combined, combined]) if self.binary else combined)

    @property
    def _width(self) -> int:
        return 1 if self.binary else self.targets.shape[1]

    def _proper(self, outputs: Floats) -> Floats:
        if not self.classes:
            return outputs
        positive = outputs.clip(LEAST, 1)
        return np.asarray(positive / positive.sum(axis=1, keepdims=True))

    def _logistic(self, outputs: Mapping[str, Floats]) -> Floats:
        from sklearn.linear_model import LogisticRegression

        if not self.classes:
            raise CellError("ensemble=logistic is for classes, and this task has scores")
        model = LogisticRegression(max_iter=1000)
        model.fit(self.features(self.outputs), self.targets.argmax(axis=1))
        values = np.zeros((len(next(iter(outputs.values()))), self.targets.shape[1]))
        values[:, model.classes_] = model.predict_proba(self.features(outputs))
        return self._proper(values)

    def losses(self) -> dict[str, float]:
        """Mean squared error of each model out of fold."""
        return {
            name: float(np.square(values - self.targets).sum(axis=1).mean())
            for name, values in self.outputs.items()
        }

    def best(self) -> str:
        """Model of the least squared error out of fold, the first of equal ones."""
        losses = self.losses()
        return min(losses, key=lambda name: losses[name])

    def summary(self) -> dict[str, Any]:
        """Weights of the ridge regression, their shares, and how they depend on λ."""
        model = self.ridge()
        weights = self._weights(model)
        return {
            "lambda": float(model.alpha_ if self.penalty is None else self.penalty),
            "weights": {name: weight for name, (weight, _) in weights.items()},
            "shares": _shares({name: size for name, (_, size) in weights.items()}),
            "path": {
                str(penalty): {
                    name: weight for name, (weight, _) in self._weights(self.ridge(penalty)).items()
                }
                for penalty in GRID
            },
        }

    def _weights(self, model: Any) -> dict[str, tuple[float, float]]:
        """Weight of each model, of several classes the mean on their own; and sum of the sizes."""
        table = np.asarray(model.coef_).reshape(self._width, len(self.outputs), self._width)
        return {
            name: (float(np.trace(table[:, i]) / self._width), float(np.abs(table[:, i]).sum()))
            for i, name in enumerate(self.outputs)
        }


def _shares(sizes: Mapping[str, float]) -> dict[str, float]:
    whole = sum(sizes.values())
    return {name: size / whole if whole else 0.0 for name, size in sizes.items()}


def combinations(classes: bool) -> Sequence[Combination]:
    """Ways to combine outputs that are defined for the kind of target."""
    always: tuple[Combination, ...] = ("ridge", "mean", "best_single")
    return (*always, "logistic") if classes else always
