"""The supervised track: a method's own predictions of labels and of scores.

A method without an ``answer`` is asked through a probe on its vectors, that of the frozen track.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
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
from bench.method import (
    Answer,
    Composition,
    Item,
    Label,
    LabelledTexts,
    Predictor,
    Probabilities,
    Question,
)
from bench.metrics.classification import auroc_replicates, label_replicates, log_losses
from bench.stats.bootstrap import mean_replicates, percentile_interval, resampled
from bench.suite import ClassificationSpec, Convention, RelatednessSpec
from bench.tasks.base import Embed, Predictions, PredictionTask, Probing, TaskScore
from bench.tasks.classification import text_features
from bench.tasks.labelled import LabelledTask, folded_outcome, single_outcome
from bench.tasks.probes.frozen import FrozenClassifier, FrozenScorer
from bench.tasks.relatedness import ScoredPairsTask

POOL = "pool"
PredictedSpec = TypeVar("PredictedSpec", bound=ClassificationSpec | RelatednessSpec)


class SupervisedTask(Probing, PredictionTask[PredictedSpec]):
    """Rows of one or two texts and what is to be predicted, which a method learns by itself.

    It stands before the class that knows the rows of its kind and scores what is predicted.
    """

    text_columns: tuple[str, ...]

    def __init__(
        self, spec: PredictedSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        # Not among the parts, whose labels are shown to methods.
        self._pool = parts.get(POOL, ())
        parts = {name: rows for name, rows in parts.items() if name != POOL}
        super().__init__(spec, parts, convention)

    def notes(self) -> Sequence[str]:
        """What is to be said before a method is asked: training rows that are scored too."""
        train = self._texts(self.parts.get("train", ()))
        scored = {row_key(item) for item in self._texts(self.rows)}
        shared = sum(row_key(item) in scored for item in train)
        if not shared:
            return []
        return [
            f"{self.spec.name}: {shared:,} of {len(train):,} training rows are test rows too, "
            "except for case and punctuation; they are kept, as in the split"
        ]

    def predictions(self, predictor: Predictor, seed: int) -> Predictions:
        """Have a method learn from the other parts and predict the scored rows.

        Raises:
            CellError: The method cannot answer, or its answer does not fit these rows.
        """
        question = Question(
            texts=self._labelled("test").texts,
            train=self._labelled("train"),
            dev=self._labelled("dev") if "dev" in self.parts else None,
            pool=self._texts(self._pool),
            seed=seed,
        )
        answer = self._asked(predictor, question)
        predictions = self._noted(answer)
        if not question.pool or answer.made_of is None:
            return predictions
        return replace(predictions, diagnostics=self._diagnosed(answer.made_of))

    def _diagnosed(self, made_of: Composition) -> dict[str, Any]:
        """Hold what a method made of the pool, and of the scored rows, against their labels."""
        from bench.tasks.diagnostics import diagnose

        target = self.spec.target
        labels = [None if row[target] is None else self._label(row) for row in self._pool]
        return diagnose(made_of, self._labelled("test").labels, labels)

    def _asked(self, predictor: Predictor, question: Question) -> Answer:
        try:
            answer = predictor.answer(question)
        except CellError as error:
            raise self._wrong(str(error)) from None
        labels, rows = len(answer.labels), len(question.texts)
        if labels != rows:
            raise self._wrong(f"the method returned {labels} labels for {rows} rows")
        return answer

    def _noted(self, answer: Answer) -> Predictions:
        """An answer in the numbers of the task, with what its trainings reported."""
        return replace(self._in_numbers(answer), trainings=tuple(answer.trainings))

    def _wrong(self, reason: str) -> CellError:
        return CellError(f"task {self.spec.name}: {reason}")

    def _labelled(self, part: str) -> LabelledTexts:
        rows = self.parts[part]
        return LabelledTexts(self._texts(rows), [self._label(row) for row in rows])

    def _texts(self, rows: Sequence[Row]) -> list[Item]:
        return [tuple(str(row[column]) for column in self.text_columns) for row in rows]

    @abstractmethod
    def _label(self, row: Row) -> Label:
        """What is to be predicted of a row, as a method sees it."""

    @abstractmethod
    def _in_numbers(self, answer: Answer) -> Predictions:
        """An answer for n rows in the numbers of the task, checked."""


class SupervisedClassificationTask(
    SupervisedTask[ClassificationSpec], LabelledTask[ClassificationSpec]
):
    """Rows of one or two texts and ``label``.

    Without training rows a method learns from all folds but one and labels that, for every fold.
    The folds are stratified and drawn by the seed of the cell, so that other seeds draw others.

    Besides the accuracy there are macro averages of F1, precision and recall, and of a method that
    gives probabilities the log loss and the area under the ROC curve, each with an interval. Rows
    whose label no training row has are scored as all others; ``unseen`` is their share.
    """

    kind = "classification"

    def __init__(
        self,
        spec: ClassificationSpec,
        parts: Mapping[str, Sequence[Row]],
        convention: Convention,
    ) -> None:
        self.text_columns = spec.texts
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
            lambda texts: embed([self._text(text) for text in texts]),
            combine,
            self.spec.folds,
            self.device,
        )

    def predictions(self, predictor: Predictor, seed: int) -> Predictions:
        """Have a method predict the scored rows, in folds where there are no training rows.

        Returns:
            Classes and, where the method gives them, probabilities of all K of them.

        Raises:
            CellError: The method cannot answer, or its answer does not fit these rows.
        """
        if "train" in self.parts:
            return super().predictions(predictor, seed)
        whole, folds = self._labelled("test"), self._folds(seed)
        parts = []
        for kept, held in folds:
            texts = [whole.texts[row] for row in held]
            question = Question(texts=texts, train=_taken(whole, kept), seed=seed)
            parts.append(self._noted(self._asked(predictor, question)))
        return _in_order(parts, [held for _, held in folds])

    def _folds(self, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        splitter = StratifiedKFold(self.spec.folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # A class with fewer rows than folds is missing from some of them.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            try:
                return list(splitter.split(np.zeros(len(self._gold)), self._gold))
            except ValueError as error:
                raise self._wrong(f"no folds: {error}") from None

    def _in_numbers(self, answer: Answer) -> Predictions:
        given = answer.probabilities
        return Predictions(
            self._numbers(answer.labels), None if given is None else self._all_classes(given)
        )

    def _all_classes(self, given: Probabilities) -> NDArray[np.float64]:
        """Probabilities of all classes (n, K), 0 of those that the method does not know."""
        # A saved classifier may know labels that no row here has; the others share what is left.
        known = [column for column, label in enumerate(given.labels) if label in self._numbered]
        values = given.values[:, known]
        if len(known) < len(given.labels):
            values = values / values.sum(axis=1, keepdims=True)
        whole = np.zeros((len(values), len(self._classes)))
        whole[:, self._numbers([given.labels[column] for column in known])] = values
        return whole

    def _label(self, row: Row) -> Label:
        label: Label = row["label"]
        return self._names.get(label, label)

    def _numbers(self, labels: Sequence[Label]) -> NDArray[np.int64]:
        if unknown := [label for label in labels if label not in self._numbered]:
            raise self._wrong(f"the method returned {unknown[0]!r}, which is not a label there")
        return np.array([self._numbered[label] for label in labels], dtype=np.int64)

    def _unseen(self) -> NDArray[np.bool_]:
        """Scored rows (n,) whose label a method can never have learned."""
        if "train" in self.parts:
            return np.isin(self._gold, self._labels(self.parts["train"]), invert=True)
        # In folds a label is missing where its only row is held out.
        return np.asarray(np.bincount(self._gold)[self._gold] == 1)

    def score(self, predictions: Predictions, seed: int) -> TaskScore:
        """Score predicted classes, and the probabilities of all where they are known."""
        predicted, fold = predictions.values, predictions.fold
        outcome = single_outcome(predicted) if fold is None else folded_outcome(predicted, fold)
        score = self._task_score(outcome, self._gold, seed)
        measures = partial(self._measures, predictions, outcome.weights())
        whole = measures(np.ones((1, len(self._gold)), dtype=np.int16))
        # There is no area where no class has rows of it and of others.
        names = [name for name, value in whole.items() if np.isfinite(value).all()]
        replicates = resampled(
            lambda counts: np.stack([*map(measures(counts).__getitem__, names)]),
            len(self._gold),
            np.random.default_rng(seed),
        )
        values = {**score.metrics, **{name: float(whole[name][0]) for name in names}}
        # Means over all rows, as they are stated everywhere: a weighted sum rounds otherwise.
        values["accuracy"] = score.metrics["accuracy"]
        if predictions.probabilities is not None:
            values["log_loss"] = float(log_losses(predictions.probabilities, self._gold).mean())
        if unseen := float(self._unseen().mean()):
            values["unseen"] = unseen
        pairs = zip(names, map(percentile_interval, replicates), strict=True)
        return replace(score, metrics=values, intervals=dict(pairs))

    def _measures(
        self,
        predictions: Predictions,
        weights: NDArray[np.float64] | None,
        counts: NDArray[np.int16],
    ) -> Mapping[str, NDArray[np.float64]]:
        """Metrics of resamples (r, n) of the rows, (r,) each."""
        predicted, gold, given = predictions.values, self._gold, predictions.probabilities
        correct = (predicted == gold).astype(np.float64)
        measures = {
            "accuracy": mean_replicates(correct, counts, weights),
            **label_replicates(predicted, gold, len(self._classes), counts),
        }
        if given is not None:
            measures["log_loss"] = mean_replicates(log_losses(given, gold), counts)
            measures["auroc"] = auroc_replicates(given, gold, counts, predictions.fold)
        return measures


class SupervisedRelatednessTask(SupervisedTask[RelatednessSpec], ScoredPairsTask):
    """Rows of ``sentence1``, ``sentence2`` and ``score``, a float for the method."""

    kind = "relatedness"

    def probe(self, embed: Embed) -> Predictor:
        """SentEval's probe, as on the frozen track."""
        combine = partial(text_features, features="absdiff_product")
        return FrozenScorer(embed, combine, self.spec.classes, self.device)

    def _label(self, row: Row) -> Label:
        return float(row["score"])

    def _in_numbers(self, answer: Answer) -> Predictions:
        for label in answer.labels:
            if not isinstance(label, Real) or not np.isfinite(float(label)):
                raise self._wrong(f"the method returned {label!r}, not a finite number")
        return Predictions(np.array(answer.labels, dtype=np.float64))

    def score(self, predictions: Predictions, seed: int) -> TaskScore:
        """Score predicted scores.

        Raises:
            CellError: All predictions are equal.
        """
        return self._score_of(predictions.values, "the method", seed)


def _taken(whole: LabelledTexts, rows: NDArray[np.intp]) -> LabelledTexts:
    return LabelledTexts([whole.texts[row] for row in rows], [whole.labels[row] for row in rows])


def _in_order(parts: Sequence[Predictions], held: Sequence[NDArray[np.intp]]) -> Predictions:
    """Predictions of all rows, given those of the rows that each fold holds out."""
    place = np.argsort(np.concatenate(held))
    given = [part.probabilities for part in parts if part.probabilities is not None]
    return Predictions(
        np.concatenate([part.values for part in parts])[place],
        np.concatenate(given)[place] if len(given) == len(parts) else None,
        np.repeat(np.arange(len(held)), [len(rows) for rows in held])[place],
        trainings=tuple(training for part in parts for training in part.trainings),
    )
