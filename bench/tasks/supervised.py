"""The supervised track: a method's own predictions of labels and of scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.rows import Row
from bench.errors import CellError
from bench.method import Label, LabelledTexts, Predictor
from bench.suite import ClassificationSpec, Convention, RelatednessSpec
from bench.tasks.base import Column, Task, TaskScore, Vectors
from bench.tasks.classification import ClassificationTask, single_outcome
from bench.tasks.relatedness import RelatednessTask

PREDICTED = "predicted"
Spec = TypeVar("Spec", bound=ClassificationSpec | RelatednessSpec)


class SupervisedTask(Task[Spec]):
    """Rows of one or two texts and what is to be predicted, which a method learns by itself.

    It stands before the class of its kind, which scores the predictions.
    """

    text_columns: tuple[str, ...]

    def texts(self) -> Mapping[str, Column]:
        """None: the method reads the texts as it likes."""
        return {}

    def test_columns(self) -> Sequence[str]:
        """None, likewise."""
        return []

    def predictions(self, encoder: Any, seed: int) -> Vectors:
        """Have a method predict the scored rows: numbers of shape (n,) under ``predicted``.

        Raises:
            CellError: The method cannot predict, or returns what does not fit these rows.
        """
        where = f"task {self.spec.name}"
        if not isinstance(encoder, Predictor):
            raise CellError(
                f"{where} is supervised, and the method has no predict; "
                "run a suite of frozen vectors, e.g. 'intent' or 'relatedness'"
            )
        dev = self._labelled("dev") if "dev" in self.parts else None
        texts = self._labelled("test").texts
        labels = encoder.predict(texts, self._labelled("train"), dev, seed=seed)
        if len(labels) != len(texts):
            raise CellError(f"{where}: predict returned {len(labels)} labels for {len(texts)} rows")
        return {PREDICTED: self._numbers(labels)}

    def _labelled(self, part: str) -> LabelledTexts:
        rows = self.parts[part]
        texts = [tuple(str(row[column]) for column in self.text_columns) for row in rows]
        return LabelledTexts(texts, [self._label(row) for row in rows])

    @abstractmethod
    def _label(self, row: Row) -> Label:
        """What is to be predicted of a row, as a method sees it."""

    @abstractmethod
    def _numbers(self, labels: Sequence[Label]) -> NDArray[Any]:
        """Predictions as numbers (n,), checked."""


class SupervisedClassificationTask(SupervisedTask[ClassificationSpec], ClassificationTask):
    """Rows of one or two texts and ``label``."""

    def __init__(
        self,
        spec: ClassificationSpec,
        parts: Mapping[str, Sequence[Row]],
        convention: Convention,
    ) -> None:
        super().__init__(spec, parts, convention)
        self._gold = self._labels(self.rows)

    def _label(self, row: Row) -> Label:
        label: Label = row["label"]
        return label

    def _numbers(self, labels: Sequence[Label]) -> NDArray[np.int64]:
        if unknown := [label for label in labels if label not in self._classes]:
            raise CellError(
                f"task {self.spec.name}: predict returned {unknown[0]!r}, which is no label there"
            )
        return np.array([self._classes[label] for label in labels], dtype=np.int64)

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score predictions."""
        return self._task_score(single_outcome(vectors[PREDICTED]), self._gold, seed)


class SupervisedRelatednessTask(SupervisedTask[RelatednessSpec], RelatednessTask):
    """Rows of ``sentence1``, ``sentence2`` and ``score``, a float for the method."""

    def _label(self, row: Row) -> Label:
        return float(row["score"])

    def _numbers(self, labels: Sequence[Label]) -> NDArray[np.float64]:
        for label in labels:
            if not isinstance(label, Real) or not np.isfinite(float(label)):
                raise CellError(
                    f"task {self.spec.name}: predict returned {label!r}, which is no finite number"
                )
        return np.array(labels, dtype=np.float64)

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score predictions.

        Raises:
            CellError: All predictions are equal.
        """
        return self._score_of(vectors[PREDICTED], "the method", seed)
