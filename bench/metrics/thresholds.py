"""Best threshold of a score that tells two classes apart, chosen on the scored pairs themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BestThresholds:
    """Upper bounds over all thresholds, as fractions.

    Attributes:
        accuracy: Best accuracy.
        f1: Best F1 of the positive class.
        precision: Precision at the threshold of the best F1.
        recall: Recall at the threshold of the best F1.
    """

    accuracy: float
    f1: float
    precision: float
    recall: float


def best_thresholds(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> BestThresholds:
    """Try every threshold between distinct scores; equal scores are never told apart.

    Args:
        scores: Scores of shape (n,), high ones for positives.
        labels: Which of the n are positive.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    hits = np.cumsum(labels[order])[last]
    taken = last + 1
    positives, n = int(labels.sum()), len(labels)
    accuracy = (hits + (n - positives) - (taken - hits)) / n
    f1 = 2 * hits / (taken + positives)
    best = int(np.argmax(f1))
    return BestThresholds(
        accuracy=max(float(accuracy.max()), 1 - positives / n),
        f1=float(f1[best]),
        precision=float(hits[best] / taken[best]),
        recall=float(hits[best] / positives) if positives else 0.0,
    )
