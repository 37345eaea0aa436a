"""Labels as numbers that models learn, and outputs as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.method import Label

Floats = NDArray[np.float64]
BINS = 20


@dataclass(frozen=True)
class Targets:
    """What is predicted: classes, or where there are none, scores.

    Attributes:
        classes: The labels in the order of the columns of outputs.
    """

    classes: tuple[Label, ...]

    @property
    def width(self) -> int:
        """Columns of targets and outputs: one for each class, or a single one of scores."""
        return len(self.classes) or 1

    def matrix(self, labels: Sequence[Label]) -> Floats:
        """One-hot rows (n, classes), or scores (n, 1)."""
        if not self.classes:
            return np.array(labels, dtype=np.float64)[:, None]
        column = {label: i for i, label in enumerate(self.classes)}
        return np.asarray(np.eye(self.width)[[column[label] for label in labels]])

    def labels(self, outputs: Floats) -> list[Label]:
        """The likeliest labels, or the scores."""
        if not self.classes:
            return [float(score) for score in outputs[:, 0]]
        return [self.classes[i] for i in outputs.argmax(axis=1)]

    def strata(self, matrix: Floats) -> NDArray[np.int64]:
        """What folds are balanced by: the class, or one of 20 bins of equal width of the scores."""
        if self.classes:
            return np.asarray(matrix.argmax(axis=1))
        scores = matrix[:, 0]
        edges = np.linspace(scores.min(), scores.max(), BINS + 1)[1:-1]
        return np.asarray(np.digitize(scores, edges))


def find_targets(labels: Sequence[Label]) -> Targets:
    """Decide what is predicted: scores where all labels are floats, else classes."""
    if all(isinstance(label, float) for label in labels):
        return Targets(())
    return Targets(tuple(sorted(set(labels), key=_key)))


def _key(label: Label) -> tuple[str, Any]:
    # Labels of several types have no order among themselves.
    return type(label).__name__, label
