"""What a probe is: a classifier with one knob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FeatureMatrix = NDArray[np.floating]
ClassNumbers = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeRows:
    """Features of shape (n, d) and classes of shape (n,), numbered from 0."""

    x: FeatureMatrix
    y: ClassNumbers

    def take(self, index: NDArray[np.intp]) -> ProbeRows:
        """Some of the rows, in the order of the index."""
        return ProbeRows(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.y)


class Probe(Protocol):
    """A classifier with a regularisation to choose."""

    @property
    def grid(self) -> Sequence[float]:
        """Values to choose from."""

    @property
    def grid_cross_validated(self) -> Sequence[float]:
        """Values to choose from by folds of the training rows."""

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Bring rows of several parts to a form in which fits on the first are quick.

        What the probe predicts for them stays the same.
        """

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Accuracy on the dev rows for each value of a grid."""

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit with one value and predict, using dev rows, if any, to stop."""
