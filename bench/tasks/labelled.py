"""Rows with labels: what they are checked for, and how predicted labels are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from bench.core.errors import CellError, DataError, UsageError
from bench.data.rows import Row
from bench.metrics.classification import label_replicates
from bench.stats.bootstrap import Statistic, f1_replicates, mean_replicates, resampled
from bench.stats.mcnemar import are_votes
from bench.suite import ClassificationSpec, Convention, NliSpec
from bench.tasks.base import BaseTask, TaskScore
from bench.tasks.probes.base import ClassNumbers

# SentEval encodes a lone full stop where a row has no text.
EMPTY = "."
_SHOWN = 3
METRICS = {"accuracy": "accuracy", "f1": "F1", "f1_macro": "macro F1"}
LabelledSpec = TypeVar("LabelledSpec", bound=ClassificationSpec | NliSpec)


@dataclass(frozen=True)
class LabelledOutcome:
    """Predictions (E, n) of E experiments, and the fold of each row where there are folds."""

    predicted: NDArray[np.int64]
    fold: NDArray[np.intp] | None = None

    def weights(self) -> NDArray[np.float64] | None:
        """Weights that make a mean over rows the mean over folds."""
        return None if self.fold is None else 1 / np.bincount(self.fold)[self.fold]


class LabelledTask(BaseTask[LabelledSpec]):
    """Rows of texts and ``label``, in SentEval's order unless the convention is MTEB's."""

    text_columns: tuple[str, ...]

    def __init__(
        self, spec: LabelledSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        for name, rows in parts.items():
            self._check_values(spec, name, rows)
        if convention != "mteb":
            parts = {name: sorted(rows, key=self._senteval_key) for name, rows in parts.items()}
        super().__init__(spec, parts, convention)
        labels = {row["label"] for rows in self.parts.values() for row in rows}
        self._classes = {label: i for i, label in enumerate(sorted(labels, key=_label_key))}
        self._check()

    @property
    def classes(self) -> list[Any]:
        """The labels, by the number that the items of a score have of them."""
        return list(self._classes)

    def _check_values(self, spec: LabelledSpec, part: str, rows: Sequence[Row]) -> None:
        for number, row in enumerate(rows, 1):
            wrong = [column for column in self.text_columns if not isinstance(row[column], str)]
            wrong += ["label"] if row["label"] is None else []
            if wrong:
                raise CellError(
                    f"task {spec.name}: row {number} of {part} has {row[wrong[0]]!r} as "
                    f"{wrong[0]!r}; give it a value, or leave the row out"
                )

    def _check(self) -> None:
        where = f"task {self.spec.name}"
        if len(self._classes) < 2:
            raise CellError(f"{where}: all rows have the same label")
        if self.convention == "mteb" and "train" not in self.parts:
            raise CellError(f"{where}: MTEB's protocol needs training rows; name them as train")
        if "train" in self.parts:
            self._check_training_labels(where)
        if self._metric == "f1" and self._classes.keys() != {0, 1}:
            raise UsageError(
                f"{where}: metric f1 is that of label 1 among 0 and 1, and the labels are "
                f'{shown([*self._classes])}; give metric = "f1_macro", the mean over all labels'
            )

    def _check_training_labels(self, where: str) -> None:
        learned, scored = (
            list(dict.fromkeys(row["label"] for row in rows))
            for rows in (self.parts["train"], self.rows)
        )
        if len(learned) < 2:
            raise CellError(f"{where}: all training rows have the same label")
        if not set(learned) & set(scored):
            raise DataError(
                f"{where}: no label of its test rows ({shown(scored)}) is one of its training rows "
                f"({shown(learned)}); write them the same way in both"
            )

    @property
    def _metric(self) -> str:
        return getattr(self.spec, "metric", "accuracy")

    def _senteval_key(self, row: Row) -> tuple[Any, ...]:
        # SentEval sorts by words of each text and label, which decides what each fold gets.
        lengths = [len(row[column].split()) for column in self.text_columns]
        return (*lengths, _label_key(row["label"]))

    def _text(self, text: str) -> str:
        return text if self.convention == "mteb" or text.strip() else EMPTY

    def _labels(self, rows: Sequence[Row]) -> ClassNumbers:
        return np.array([self._classes[row["label"]] for row in rows], dtype=np.int64)

    def _task_score(self, outcome: LabelledOutcome, gold: ClassNumbers, seed: int) -> TaskScore:
        correct = outcome.predicted == gold
        value = correct.mean(axis=0)
        metrics = _metrics(outcome, gold, len(self._classes))
        items: dict[str, NDArray[Any]] = {
            "value": value,
            "predicted": outcome.predicted.T.astype(np.int32),
            "gold": gold.astype(np.int32),
        }
        main = metrics[self._metric]
        votes = self._metric == "accuracy" and are_votes(value, main)
        return TaskScore(
            metric=METRICS[self._metric],
            main=main,
            metrics=metrics,
            items=items,
            replicates=resampled(
                self._statistic(outcome, gold, value), len(gold), np.random.default_rng(seed)
            ),
            evidence="votes" if votes else "replicates",
        )

    def _statistic(
        self, outcome: LabelledOutcome, gold: ClassNumbers, value: NDArray[np.float64]
    ) -> Statistic:
        """The main score of resamples, of items of some value."""
        if self._metric == "accuracy":
            return partial(mean_replicates, value, weights=outcome.weights())

        def mean_f1(counts: NDArray[np.int16]) -> NDArray[np.float64]:
            of_f1 = [self._f1_replicates(labels, gold, counts) for labels in outcome.predicted]
            return np.asarray(np.mean(of_f1, axis=0))

        return mean_f1

    def _f1_replicates(
        self, predicted: ClassNumbers, gold: ClassNumbers, counts: NDArray[np.int16]
    ) -> NDArray[np.float64]:
        if self._metric == "f1":
            return f1_replicates(predicted == 1, gold == 1, counts)
        return label_replicates(predicted, gold, len(self._classes), counts)["f1_macro"]


def single_outcome(predicted: ClassNumbers) -> LabelledOutcome:
    """Predictions (n,) of a single experiment."""
    return LabelledOutcome(predicted[None, :])


def folded_outcome(predicted: ClassNumbers, fold: NDArray[np.intp]) -> LabelledOutcome:
    """Predictions (n,) and the fold (n,) in which each was made."""
    return LabelledOutcome(predicted[None, :], fold)


def _metrics(outcome: LabelledOutcome, gold: ClassNumbers, classes: int) -> dict[str, float]:
    experiments = outcome.predicted
    accuracy = [np.average(p == gold, weights=outcome.weights()) for p in experiments]
    metrics = {
        "accuracy": float(np.mean(accuracy)),
        "f1_macro": _mean(f1_score, experiments, gold, average="macro", zero_division=0),
    }
    if classes == 2:
        metrics["f1"] = _mean(f1_score, experiments, gold, zero_division=0)
        metrics["ap"] = float(np.mean([average_precision_score(gold, p) for p in experiments]))
    if len(experiments) > 1:
        metrics |= {f"accuracy_{i}": float(value) for i, value in enumerate(accuracy)}
    return metrics


def _mean(metric: Any, experiments: NDArray[np.int64], gold: ClassNumbers, **options: Any) -> float:
    return float(np.mean([metric(gold, predicted, **options) for predicted in experiments]))


def shown(labels: Sequence[Any]) -> str:
    """The first three of some labels, for a message."""
    return ", ".join([*map(repr, labels[:_SHOWN]), *(["…"] if len(labels) > _SHOWN else [])])


def _label_key(label: Any) -> tuple[str, Any]:
    """Order labels of any one type, numbers by value."""
    return ("number", label) if isinstance(label, int | float) else ("text", str(label))
