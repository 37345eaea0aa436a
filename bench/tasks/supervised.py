"""The supervised track of classification: a method's own predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.data.rows import Row
from bench.errors import CellError
from bench.method import LabelledTexts, Predictor
from bench.suite import ClassificationSpec
from bench.tasks.base import Column, TaskScore, Vectors
from bench.tasks.classification import ClassificationTask, single_outcome

PREDICTED = "predicted"


class SupervisedTask(ClassificationTask):
    """Rows of one or two texts and ``label``, which the method learns and predicts by itself."""

    def __init__(
        self, spec: ClassificationSpec, parts: Mapping[str, Sequence[Row]], convention: Any
    ) -> None:
        super().__init__(spec, parts, convention)
        self._gold = self._labels(self.rows)

    def texts(self) -> Mapping[str, Column]:
        """None: the method reads the texts as it likes."""
        return {}

    def test_columns(self) -> Sequence[str]:
        """None, likewise."""
        return []

    def predictions(self, encoder: Any, seed: int) -> Vectors:
        """Have a method label the scored rows: class numbers of shape (n,) under ``predicted``.

        Raises:
            CellError: The method cannot predict, or returns what are no labels of these rows.
        """
        where = f"task {self.spec.name}"
        if not isinstance(encoder, Predictor):
            raise CellError(
                f"{where} is supervised, and the method has no predict; "
                "run a suite of frozen vectors, e.g. 'intent'"
            )
        dev = self._labelled("dev") if "dev" in self.parts else None
        texts = self._labelled("test").texts
        labels = encoder.predict(texts, self._labelled("train"), dev, seed=seed)
        if len(labels) != len(texts):
            raise CellError(f"{where}: predict returned {len(labels)} labels for {len(texts)} rows")
        if unknown := [label for label in labels if label not in self._classes]:
            raise CellError(f"{where}: predict returned {unknown[0]!r}, which is no label there")
        return {PREDICTED: np.array([self._classes[label] for label in labels], dtype=np.int64)}

    def _labelled(self, part: str) -> LabelledTexts:
        rows = self.parts[part]
        texts = [tuple(str(row[column]) for column in self.text_columns) for row in rows]
        return LabelledTexts(texts, [row["label"] for row in rows])

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score predictions."""
        return self._task_score(single_outcome(vectors[PREDICTED]), self._gold, seed)
