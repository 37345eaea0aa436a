"""Methods that label rows themselves: what they are asked, and what they answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError

Label = str | int | float | bool
Item = tuple[str, ...]
_ROUNDING = 1e-6


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, or pairs of texts, with their labels."""

    texts: Sequence[Item]
    labels: Sequence[Label]

    def classes(self) -> tuple[Label, ...]:
        """The distinct labels, numbers before texts and each in order.

        Raises:
            CellError: The labels are scores, or all the same.
        """
        distinct = set(self.labels)
        if any(isinstance(label, float) for label in distinct):
            raise CellError("the labels are scores, but this method predicts classes")
        if len(distinct) < 2:
            raise CellError(
                f"all {len(self.labels)} training rows have the label {self.labels[0]!r}; "
                "a classifier needs two"
            )
        return tuple(sorted(distinct, key=lambda label: (isinstance(label, str), label)))


@dataclass(frozen=True, kw_only=True)
class Question:
    """Rows to label or to score, and all that may be learnt from.

    Attributes:
        texts: The n rows: tuples of one text, or of two where the task is on pairs.
        train: What to learn from.
        dev: What to choose settings on; None where the task has no such rows.
        pool: Rows without labels, which may be learnt from too; none where the task has no pool.
        seed: Seed of everything random.
    """

    texts: Sequence[Item]
    train: LabelledTexts
    dev: LabelledTexts | None = None
    pool: Sequence[Item] = ()
    seed: int


@dataclass(frozen=True)
class Probabilities:
    """How probable labels are.

    Attributes:
        labels: The K labels, none twice.
        values: Float64 of shape (n, K), not negative; each row sums to 1.

    Raises:
        CellError: The values are of another shape, or no probabilities.
    """

    labels: Sequence[Label]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the values."""
        shape = self.values.shape
        if len(shape) != 2 or shape[1] != len(self.labels):
            raise CellError(
                f"the method returned shape {shape} for {len(self.values)} rows and "
                f"{len(self.labels)} labels"
            )
        sums = self.values.sum(axis=1)
        if not (np.abs(sums - 1) < _ROUNDING).all() or (self.values < 0).any():
            raise CellError("the method returned rows that are not probabilities")

    def best(self) -> list[Label]:
        """The most probable label of each row, the first one of several."""
        return [self.labels[column] for column in self.values.argmax(axis=1)]


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
class Composition:
    """What an answer is made of, and what the method made of the pool.

    All outputs are probabilities by class (n, classes), or scores (n, 1).

    Attributes:
        classes: The labels, in the order of the outputs; none where scores are predicted.
        chosen: Which of ``combined`` the labels are from.
        members: Outputs of the parts of the method by name.
        combined: Outputs of ways to combine them by name.
        baselines: Outputs of other models to compare them with, by name.
        pseudo: What it made of the pool; None where it labelled nothing.
        report: Facts about the training, JSON values.
    """

    classes: tuple[Label, ...]
    chosen: str
    members: Mapping[str, NDArray[np.float64]]
    combined: Mapping[str, NDArray[np.float64]]
    baselines: Mapping[str, NDArray[np.float64]]
    pseudo: PseudoLabels | None
    report: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """Labels or scores of the rows of a question.

    Attributes:
        labels: A label of the training rows, or on a task of scores any finite number, for each of
            the n rows, in order.
        probabilities: How probable the labels of the same rows are; None where the method does
            not say, or predicts scores.
        made_of: What a method with several parts, or that learns from a pool, says of itself; a
            task with a pool holds it against the labels there.
        trainings: What each training behind the answer reported, JSON objects.

    Raises:
        CellError: Labels and probabilities are of different numbers of rows.
    """

    labels: Sequence[Label]
    probabilities: Probabilities | None = None
    made_of: Composition | None = None
    trainings: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Check that labels and probabilities are of the same rows."""
        given = self.probabilities
        if given is not None and len(given.values) != len(self.labels):
            raise CellError(
                f"the method returned shape {given.values.shape} for {len(self.labels)} rows and "
                f"{len(given.labels)} labels"
            )

    @classmethod
    def most_probable(cls, probabilities: Probabilities) -> Self:
        """Answer each row with its most probable label, the first one of several."""
        return cls(probabilities.best(), probabilities)


@runtime_checkable
class Predictor(Protocol):
    """An encoder that also labels rows in its own way: what a supervised track scores."""

    def answer(self, question: Question) -> Answer:
        """Learn from labelled rows, and from a pool if the method can, and label or score others.

        Raises:
            CellError: The method cannot learn from such rows.
        """


class LabelsOnly(ABC):
    """A predictor without vectors, which can be run on supervised suites alone.

    Args:
        name: Name of the method.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def answer(self, question: Question) -> Answer:
        """Learn from labelled rows and label others, see ``Predictor``."""

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Refuse.

        Raises:
            CellError: Always, as there are no vectors.
        """
        raise CellError(
            f"{self.name} learns from the labelled rows of a task and has no vectors of "
            "texts by themselves; run it on a supervised suite, e.g. --suite intent "
            "--track supervised"
        )
