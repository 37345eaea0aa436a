"""What a probe is: a classifier with one knob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FeatureMatrix = NDArray[np.floating]
ClassNumbers = NDArray[np.int64]
# Places of the rows to fit on, and of those held out.
FoldRows = tuple[NDArray[np.intp], NDArray[np.intp]]


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


@runtime_checkable
class FoldsProbe(Protocol):
    """A probe that fits all folds of the same rows at once."""

    def paths(
        self, rows: ProbeRows, splits: Sequence[FoldRows], grid: Sequence[float]
    ) -> NDArray[np.float64]:
        """Accuracy on the held-out rows of each of S splits for each of G values, (S, G)."""

    def predictions(
        self, rows: ProbeRows, splits: Sequence[FoldRows], values: Sequence[float]
    ) -> Sequence[ClassNumbers]:
        """Fit each split with a value of its own, and predict its held-out rows."""
