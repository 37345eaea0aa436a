"""The supervised track: a method's own predictions of labels and of scores.

A method without a ``predict`` is asked through a probe on its vectors, that of the frozen track.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from bench.core.errors import CellError
from bench.data.contamination import row_key
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.method import (
    Label,
    LabelledTexts,
    Predictor,
    Probabilities,
    ProbabilityPredictor,
)
from bench.method.pool import Item, PoolAnswer
from bench.metrics.classification import auroc_replicates, label_replicates, log_losses
from bench.stats.bootstrap import mean_replicates, percentile_interval, resample_counts
from bench.suite import ClassificationSpec, Convention, RelatednessSpec
from bench.tasks.base import Task, TaskScore, Vectors
from bench.tasks.classification import (
    ClassificationTask,
    folded_outcome,
    single_outcome,
    text_features,
)
from bench.tasks.probes.frozen import Embed, FrozenClassifier, FrozenScorer
from bench.tasks.relatedness import RelatednessTask

PREDICTED = "predicted"
PROBABILITIES = "probabilities"
FOLD = "fold"
POOL = "pool"
_ROUNDING = 1e-6
Spec = TypeVar("Spec", bound=ClassificationSpec | RelatednessSpec)
Replicates = Callable[[NDArray[np.int16]], NDArray[np.float64]]


class SupervisedTask(Task[Spec]):
    """Rows of one or two texts and what is to be predicted, which a method learns by itself.

    It stands before the class of its kind, which scores the predictions.
    """

    text_columns: tuple[str, ...]

    def __init__(
        self, spec: Spec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        # Not among the parts, whose labels are shown to methods.
        self._pool = parts.get(POOL, ())
        parts = {name: rows for name, rows in parts.items() if name != POOL}
        super().__init__(spec, parts, convention)

    def pool(self) -> Sequence[Item]:
        """Texts of the pool, without labels; none where the task has no pool."""
        return self._texts(self._pool)

    def diagnose(self, answer: PoolAnswer) -> dict[str, Any]:
        """Hold what a method made of the pool, and of the scored rows, against their labels."""
        from bench.tasks.diagnostics import diagnose

        target = self.spec.target
        labels = [None if row[target] is None else self._label(row) for row in self._pool]
        return diagnose(answer, self._labelled("test").labels, labels)

    def texts(self) -> Mapping[str, Column]:
        """None: the method reads the texts as it likes."""
        return {}

    def test_columns(self) -> Sequence[str]:
        """None, likewise."""
        return []

    def notes(self) -> Sequence[str]:
        """What is to be said before a method is asked: training rows that are scored too."""
        train = self._texts(self.parts.get("train", ()))
        scored = {row_key(item) for item in self._texts(self.rows)}
        shared = sum(row_key(item) in scored for item in train)
        if not shared:
            return []
        return [
            f"{self.spec.name}: {shared:,} of {len(train):,} training rows are test rows too, but "
            "for case and punctuation; they are kept, as the split has them"
        ]

    @abstractmethod
    def probe(self, embed: Embed) -> Predictor:
        """What predicts for a method that has vectors only.

        Args:
            embed: Encodes texts with the method.
        """

    def predictions(self, predictor: Any, seed: int) -> Vectors:
        """Have a method predict the scored rows: numbers of shape (n,) under ``predicted``.

        Raises:
            CellError: The method cannot predict, or returns what does not fit these rows.
        """
        dev = self._labelled("dev") if "dev" in self.parts else None
        texts = self._labelled("test").texts
        return self._ask(predictor, texts, self._labelled("train"), dev, seed)

    def _ask(
        self,
        predictor: Any,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        seed: int,
    ) -> dict[str, NDArray[Any]]:
        try:
            labels = predictor.predict(texts, train, dev, seed=seed)
        except CellError as error:
            raise self._wrong(str(error)) from None
        if len(labels) != len(texts):
            raise self._wrong(f"predict returned {len(labels)} labels for {len(texts)} rows")
        return {PREDICTED: self._numbers(labels)}

    def _wrong(self, what: str) -> CellError:
        return CellError(f"task {self.spec.name}: {what}")

    def _labelled(self, part: str) -> LabelledTexts:
        rows = self.parts[part]
        return LabelledTexts(self._texts(rows), [self._label(row) for row in rows])

    def _texts(self, rows: Sequence[Row]) -> list[Item]:
        return [tuple(str(row[column]) for column in self.text_columns) for row in rows]

    @abstractmethod
    def _label(self, row: Row) -> Label:
        """What is to be predicted of a row, as a method sees it."""

    @abstractmethod
    def _numbers(self, labels: Sequence[Label]) -> NDArray[Any]:
        """Predictions as numbers (n,), checked."""


class SupervisedClassificationTask(SupervisedTask[ClassificationSpec], ClassificationTask):
    """Rows of one or two texts and ``label``.

    Without training rows a method learns from all folds but one and labels that, for every fold.
    The folds are stratified and drawn by the seed of the cell, so that seeds repeat them anew.

    Besides the accuracy there are macro averages of F1, precision and recall, and of a method that
    gives probabilities the log loss and the area under the ROC curve, each with an interval. Rows
    whose label no training row has are scored as all others; ``unseen`` is their share.
    """

    def __init__(
        self,
        spec: ClassificationSpec,
        parts: Mapping[str, Sequence[Row]],
        convention: Convention,
    ) -> None:
        super().__init__(spec, parts, convention)
        self._gold = self._labels(self.rows)
        # A float is a score to methods, so that a class which is one goes by its text.
        self._names = {
            label: str(label) if isinstance(label, float) else label for label in self._classes
        }
        self._numbered = {name: self._classes[label] for label, name in self._names.items()}

    def notes(self) -> Sequence[str]:
        """Training rows that are scored too, and labels of scored rows that no training row has."""
        told, unseen = [*super().notes()], self._unseen()
        if not unseen.any():
            return told
        labels = [label for label, number in self._classes.items() if number in self._gold[unseen]]
        return [
            *told,
            f"{self.spec.name}: {int(unseen.sum())} of {len(unseen)} test rows have a label that "
            f"no training row has, and count as wrong: {', '.join(map(str, labels))}",
        ]

    def probe(self, embed: Embed) -> Predictor:
        """Logistic regression, as on the frozen track with the probe ``sk``."""
        combine = partial(text_features, features=self.spec.features)
        return FrozenClassifier(
            lambda texts: embed([self._text(text) for text in texts]), combine, self.spec.folds
        )

    def predictions(self, predictor: Any, seed: int) -> Vectors:
        """Have a method predict the scored rows.

        Returns:
            Numbers of the classes, (n,), under ``predicted``. Where the method gives them,
            probabilities of all classes, (n, K), under ``probabilities``; where there are no
            training rows, the fold of each row, (n,), under ``fold``.

        Raises:
            CellError: The method cannot predict, or returns what does not fit these rows.
        """
        if "train" in self.parts:
            return super().predictions(predictor, seed)
        whole = self._labelled("test")
        found: dict[str, NDArray[Any]] = {FOLD: np.empty(len(self.rows), dtype=np.intp)}
        for number, (kept, held) in enumerate(self._folds(seed)):
            texts = [whole.texts[row] for row in held]
            part = self._ask(predictor, texts, _taken(whole, kept), None, seed)
            found[FOLD][held] = number
            for name, values in part.items():
                empty = np.empty((len(self.rows), *values.shape[1:]), dtype=values.dtype)
                found.setdefault(name, empty)[held] = values
        return found

    def _folds(self, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        splitter = StratifiedKFold(self.spec.folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # A class with fewer rows than folds is missing from some of them.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            try:
                return list(splitter.split(np.zeros(len(self._gold)), self._gold))
            except ValueError as error:
                raise self._wrong(f"no folds: {error}") from None

    def _ask(
        self,
        predictor: Any,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        seed: int,
    ) -> dict[str, NDArray[Any]]:
        if not isinstance(predictor, ProbabilityPredictor):
            return super()._ask(predictor, texts, train, dev, seed)
        try:
            given = predictor.predict_proba(texts, train, dev, seed=seed)
        except CellError as error:
            raise self._wrong(str(error)) from None
        self._check_probabilities(given, len(texts))
        return {
            PREDICTED: self._numbers(given.best()),
            PROBABILITIES: self._all_classes(given),
        }

    def _check_probabilities(self, given: Probabilities, rows: int) -> None:
        values = given.values
        if values.shape != (rows, len(given.labels)):
            raise self._wrong(
                f"predict_proba returned shape {values.shape} for {rows} rows and "
                f"{len(given.labels)} labels"
            )
        if not (np.abs(values.sum(axis=1) - 1) < _ROUNDING).all() or (values < 0).any():
            raise self._wrong("predict_proba returned rows that are no probabilities")

    def _all_classes(self, given: Probabilities) -> NDArray[np.float64]:
        """Probabilities of all classes (n, K), 0 of those that the method does not know."""
        # A saved classifier may know labels that no row here has; the others share what is left.
        known = [column for column, label in enumerate(given.labels) if label in self._numbered]
        values = given.values[:, known]
        if len(known) < len(given.labels):
            values = values / values.sum(axis=1, keepdims=True)
        found = np.zeros((len(values), len(self._classes)))
        found[:, self._numbers([given.labels[column] for column in known])] = values
        return found

    def _label(self, row: Row) -> Label:
        label: Label = row["label"]
        return self._names.get(label, label)

    def _numbers(self, labels: Sequence[Label]) -> NDArray[np.int64]:
        if unknown := [label for label in labels if label not in self._numbered]:
            raise self._wrong(f"predict returned {unknown[0]!r}, which is no label there")
        return np.array([self._numbered[label] for label in labels], dtype=np.int64)

    def _unseen(self) -> NDArray[np.bool_]:
        """Scored rows (n,) whose label a method can never have learned."""
        if "train" in self.parts:
            return np.isin(self._gold, self._labels(self.parts["train"]), invert=True)
        # In folds a label is missing where its only row is held out.
        return np.asarray(np.bincount(self._gold)[self._gold] == 1)

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score predictions."""
        predicted = vectors[PREDICTED]
        if FOLD in vectors:
            outcome = folded_outcome(predicted, vectors[FOLD])
        else:
            outcome = single_outcome(predicted)
        found = self._task_score(outcome, self._gold, seed)
        counts = resample_counts(len(self._gold), np.random.default_rng(seed))
        correct = (predicted == self._gold).astype(np.float64)
        values, intervals = dict(found.metrics), {}
        intervals["accuracy"] = percentile_interval(
            mean_replicates(correct, counts, outcome.weights())
        )
        for name, (value, replicates) in self._further(vectors, counts).items():
            values[name] = value
            intervals[name] = percentile_interval(replicates)
        if unseen := float(self._unseen().mean()):
            values["unseen"] = unseen
        return replace(found, metrics=values, intervals=intervals)

    def _further(
        self, vectors: Vectors, counts: NDArray[np.int16]
    ) -> dict[str, tuple[float, NDArray[np.float64]]]:
        """Metrics of all rows, and of their resamples (R,)."""
        predicted, gold, classes = vectors[PREDICTED], self._gold, len(self._classes)
        once = np.ones((1, len(gold)), dtype=np.int16)
        whole = label_replicates(predicted, gold, classes, once)
        resampled = label_replicates(predicted, gold, classes, counts)
        found = {name: (float(whole[name][0]), resampled[name]) for name in whole}
        if PROBABILITIES in vectors:
            given = vectors[PROBABILITIES]
            losses = log_losses(given, gold)
            found["log_loss"] = float(losses.mean()), mean_replicates(losses, counts)
            area = float(auroc_replicates(given, gold, once, vectors.get(FOLD))[0])
            if np.isfinite(area):
                found["auroc"] = area, auroc_replicates(given, gold, counts, vectors.get(FOLD))
        return found


class SupervisedRelatednessTask(SupervisedTask[RelatednessSpec], RelatednessTask):
    """Rows of ``sentence1``, ``sentence2`` and ``score``, a float for the method."""

    def probe(self, embed: Embed) -> Predictor:
        """SentEval's probe, as on the frozen track."""
        combine = partial(text_features, features="absdiff_product")
        return FrozenScorer(embed, combine, self.spec.classes)

    def _label(self, row: Row) -> Label:
        return float(row["score"])

    def _numbers(self, labels: Sequence[Label]) -> NDArray[np.float64]:
        for label in labels:
            if not isinstance(label, Real) or not np.isfinite(float(label)):
                raise self._wrong(f"predict returned {label!r}, which is no finite number")
        return np.array(labels, dtype=np.float64)

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score predictions.

        Raises:
            CellError: All predictions are equal.
        """
        return self._score_of(vectors[PREDICTED], "the method", seed)


def _taken(whole: LabelledTexts, rows: NDArray[np.intp]) -> LabelledTexts:
    return LabelledTexts([whole.texts[row] for row in rows], [whole.labels[row] for row in rows])
