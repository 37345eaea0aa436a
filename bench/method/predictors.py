"""Methods that label rows themselves: what they are asked, and what they answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError

Label = str | int | float | bool


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, or pairs of texts, with their labels."""

    texts: Sequence[tuple[str, ...]]
    labels: Sequence[Label]

    def classes(self) -> tuple[Label, ...]:
        """The distinct labels, numbers before texts and each in order.

        Raises:
            CellError: The labels are scores, or all the same.
        """
        found = set(self.labels)
        if any(isinstance(label, float) for label in found):
            raise CellError("the labels are scores, and this method tells classes apart")
        if len(found) < 2:
            raise CellError(
                f"all {len(self.labels)} training rows have the label {self.labels[0]!r}; "
                "a classifier needs two"
            )
        return tuple(sorted(found, key=lambda label: (isinstance(label, str), label)))


@runtime_checkable
class Predictor(Protocol):
    """An encoder that also predicts in its own way: what a supervised track scores."""

    def predict(
        self,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> Sequence[Label]:
        """Learn from labelled texts, and label or score others.

        Args:
            texts: What to label: tuples of one text, or of two where the task is on pairs.
            train: What to learn from.
            dev: What to choose settings on, where the task has such rows.
            seed: Seed of everything random.

        Returns:
            A label of ``train``, or on a task of scores any finite number, for each of the texts,
            in order.
        """


@dataclass(frozen=True)
class Probabilities:
    """How probable labels are.

    Attributes:
        labels: The K labels, none twice.
        values: Float64 of shape (n, K), not negative; each row sums to 1.
    """

    labels: Sequence[Label]
    values: NDArray[np.float64]

    def best(self) -> list[Label]:
        """The most probable label of each row, the first one of several."""
        return [self.labels[column] for column in self.values.argmax(axis=1)]


@runtime_checkable
class ProbabilityPredictor(Predictor, Protocol):
    """A predictor of labels that also says how probable they are.

    A task asks for the probabilities alone, and takes the most probable label of each row.
    """

    def predict_proba(
        self,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> Probabilities:
        """Learn as ``predict`` does, and tell the probability of every label for each text."""


class MostProbable(ABC):
    """A predictor whose label of a text is the most probable one."""

    @abstractmethod
    def predict_proba(
        self,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> Probabilities:
        """Learn from labelled texts, see ``ProbabilityPredictor``."""

    def predict(
        self,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> list[Label]:
        """Learn from labelled texts, and label others."""
        return self.predict_proba(texts, train, dev, seed=seed).best()
