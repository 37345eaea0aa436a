"""The contract of methods that learn from texts without labels, and tell what they made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.method.predictors import Label, LabelledTexts, Probabilities

Item = tuple[str, ...]


@dataclass(frozen=True)
class PseudoLabels:
    """Labels that a method gave to texts of a pool, so that they can be compared with the truth.

    A text is there once for each model that labelled it.

    Attributes:
        rows: Rows of the pool, (p,).
        outputs: Probabilities by class (p, classes), or scores (p, 1).
        kept: Whether the method learnt from them, (p,).
        tolerance: What an error was allowed to be, (p,).
    """

    rows: NDArray[np.intp]
    outputs: NDArray[np.float64]
    kept: NDArray[np.bool_]
    tolerance: NDArray[np.float64]


@dataclass(frozen=True)
class PoolAnswer:
    """What a method predicts, and what it is made of.

    All outputs are probabilities by class (n, classes), or scores (n, 1).

    Attributes:
        labels: A label or score for each of the n texts, in order.
        classes: The labels, in the order of the outputs; none where scores are predicted.
        chosen: Which of ``combined`` the labels are from.
        members: Outputs of the parts of the method by name.
        combined: Outputs of ways to combine them by name.
        baselines: Outputs of other models to compare them with, by name.
        pseudo: What it made of the pool; None where it labelled nothing.
        report: Facts about the training, JSON values.
    """

    labels: Sequence[Label]
    classes: tuple[Label, ...]
    chosen: str
    members: Mapping[str, NDArray[np.float64]]
    combined: Mapping[str, NDArray[np.float64]]
    baselines: Mapping[str, NDArray[np.float64]]
    pseudo: PseudoLabels | None
    report: Mapping[str, Any]

    def probabilities(self) -> Probabilities:
        """How probable the labels are.

        Raises:
            CellError: The labels are scores.
        """
        if not self.classes:
            raise CellError("scores have no probabilities")
        return Probabilities(self.classes, self.combined[self.chosen])


@runtime_checkable
class PoolPredictor(Protocol):
    """A predictor that also learns from a pool of texts, whose labels it is never shown."""

    def predict_with_pool(
        self,
        texts: Sequence[Item],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        pool: Sequence[Item],
        *,
        seed: int,
    ) -> PoolAnswer:
        """Learn from labelled texts and a pool, and label or score others.

        Args:
            texts: What to label: tuples of one text, or of two where the task is on pairs.
            train: What to learn from.
            dev: What to choose settings on, where the task has such rows.
            pool: Tuples of texts without labels.
            seed: Seed of everything random.
        """


class PoolReader:
    """A method that learns from a task's pool, as any other predictor of the task.

    Args:
        predictor: The method.
        pool: Texts of the pool.

    Attributes:
        answer: What the method answered last, or None.
    """

    def __init__(self, predictor: PoolPredictor, pool: Sequence[Item]) -> None:
        self._predictor, self._pool = predictor, pool
        self.answer: PoolAnswer | None = None

    def predict(
        self,
        texts: Sequence[Item],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> Sequence[Label]:
        """Learn, and label or score texts."""
        self.answer = self._predictor.predict_with_pool(texts, train, dev, self._pool, seed=seed)
        return self.answer.labels

    def predict_proba(
        self,
        texts: Sequence[Item],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> Probabilities:
        """Learn, and tell how probable the labels of texts are."""
        self.answer = self._predictor.predict_with_pool(texts, train, dev, self._pool, seed=seed)
        return self.answer.probabilities()
