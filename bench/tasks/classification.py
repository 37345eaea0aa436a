"""Classification of texts, pairs and premises with hypotheses by a probe on frozen vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from bench.core.errors import CellError, DataError, UsageError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.classification import label_replicates
from bench.stats.bootstrap import f1_replicates, mean_replicates, resample_counts
from bench.stats.mcnemar import are_votes
from bench.suite import ClassificationSpec, Convention, NliSpec
from bench.tasks.base import Task, TaskScore, Vectors
from bench.tasks.probes import protocols
from bench.tasks.probes.base import Examples, Labels, Probe
from bench.tasks.probes.logistic import Logistic
from bench.tasks.probes.mapped import Map, MappedProbe

# SentEval encodes a lone full stop where a row has no text.
EMPTY = "."
UNREGULARISED = 1e-9
_SHOWN = 3
METRICS = {"accuracy": "accuracy", "f1": "F1", "f1_macro": "macro F1"}
Spec = TypeVar("Spec", bound=ClassificationSpec | NliSpec)


@dataclass(frozen=True)
class _Outcome:
    """Predictions (E, n) of E experiments, and the fold of each row where there are folds."""

    predicted: NDArray[np.int64]
    fold: NDArray[np.intp] | None = None

    def weights(self) -> NDArray[np.float64] | None:
        """Weights that make a mean over rows the mean over folds."""
        return None if self.fold is None else 1 / np.bincount(self.fold)[self.fold]


class _ProbeTask(Task[Spec]):
    """A task whose vectors feed a probe; the convention and the parts decide the protocol.

    SentEval's: without training rows nested folds, with them folds of the training rows choose
    the regularisation, with dev rows these do. MTEB's: few-shot experiments.
    """

    text_columns: tuple[str, ...]

    def __init__(
        self, spec: Spec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        for name, rows in parts.items():
            self._check_values(spec, name, rows)
        if convention != "mteb":
            parts = {name: sorted(rows, key=self._senteval_key) for name, rows in parts.items()}
        super().__init__(spec, parts, convention)
        labels = {row["label"] for rows in self.parts.values() for row in rows}
        self._classes = {label: i for i, label in enumerate(sorted(labels, key=_label_key))}
        self._check()

    def _check_values(self, spec: Spec, part: str, rows: Sequence[Row]) -> None:
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
                f'{_some([*self._classes])}; give metric = "f1_macro", the mean over all labels'
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
                f"{where}: no label of its test rows ({_some(scored)}) is one of its training rows "
                f"({_some(learned)}); write them alike in both"
            )

    @property
    def _metric(self) -> str:
        return getattr(self.spec, "metric", "accuracy")

    def _senteval_key(self, row: Row) -> tuple[Any, ...]:
        # SentEval sorts by words of each text and label, which decides what each fold gets.
        lengths = [len(row[column].split()) for column in self.text_columns]
        return (*lengths, _label_key(row["label"]))

    def notes(self) -> Sequence[str]:
        """Labels of scored rows that no training row has."""
        if "train" not in self.parts:
            return []
        learned = {row["label"] for row in self.parts["train"]}
        unseen = [row["label"] for row in self.rows if row["label"] not in learned]
        if not unseen:
            return []
        return [
            f"{self.spec.name}: {len(unseen)} of {len(self.rows)} test rows have a label that no "
            f"training row has, and count as wrong: {_some(list(dict.fromkeys(unseen)))}"
        ]

    def texts(self) -> Mapping[str, Column]:
        """Every text column of every part."""
        return {
            f"{part}/{column}": Column([self._text(row[column]) for row in rows])
            for part, rows in self._used().items()
            for column in self.text_columns
        }

    def test_columns(self) -> Sequence[str]:
        """Columns of the scored rows."""
        return [f"test/{column}" for column in self.text_columns]

    def _used(self) -> Mapping[str, Sequence[Row]]:
        if self.convention != "mteb":
            return self.parts
        train = self.parts["train"]
        return {"test": self.rows, "train": [train[row] for row in self._drawn()]}

    def _drawn(self) -> list[int]:
        return sorted({row for rows in self._experiments() for row in rows})

    def _text(self, text: str) -> str:
        return text if self.convention == "mteb" or text.strip() else EMPTY

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Fit the probe and score its predictions.

        Raises:
            CellError: The rows do not suffice for the protocol.
        """
        parts = {
            part: Examples(self._features(part, vectors), self._labels(rows))
            for part, rows in self._used().items()
        }
        return self._scored(parts, self._probe(), seed)

    def first_fold(self) -> NDArray[np.intp] | None:
        """Rows that the first of the nested folds trains on; None where there is a train part.

        Raises:
            CellError: There are too few rows.
        """
        if "train" in self.parts:
            return None
        try:
            return protocols.first_fold(self._labels(self.rows), self.spec.folds)
        except ValueError as error:
            raise self._probe_failed(error) from error

    def score_in_folds(
        self, vectors: Vectors, seed: int, fit: Callable[[NDArray[Any]], Sequence[Map]]
    ) -> TaskScore:
        """Map vectors by what is fitted in each fold, outer and inner, then fit the probe.

        Raises:
            CellError: The rows do not suffice for the protocol or for the maps.
        """
        columns = self._columns("test", vectors)
        parts = {"test": Examples(np.hstack(columns), self._labels(self.rows))}
        # It goes to other processes, without the task and all its rows.
        features = partial(text_features, features=self.spec.features)
        probe = MappedProbe(self._probe(), fit, len(columns), features)
        return self._scored(parts, probe, seed)

    def _scored(self, parts: Mapping[str, Examples], probe: Probe, seed: int) -> TaskScore:
        try:
            outcome = self._predict(parts, probe)
        except ValueError as error:
            raise self._probe_failed(error) from error
        except CellError as error:
            raise CellError(f"task {self.spec.name}: {error}") from None
        return self._task_score(outcome, parts["test"].y, seed)

    def _probe_failed(self, error: Exception) -> CellError:
        return CellError(f"task {self.spec.name}: the probe failed: {error}")

    def _columns(self, part: str, vectors: Vectors) -> list[NDArray[np.float32]]:
        return [vectors[f"{part}/{column}"] for column in self.text_columns]

    def _features(self, part: str, vectors: Vectors) -> NDArray[np.float32]:
        return text_features(self._columns(part, vectors), self.spec.features)

    def _labels(self, rows: Sequence[Row]) -> Labels:
        return np.array([self._classes[row["label"]] for row in rows], dtype=np.int64)

    def _predict(self, parts: Mapping[str, Examples], probe: Probe) -> _Outcome:
        test = parts["test"]
        if "train" not in parts:
            return folded_outcome(*protocols.nested_folds(test, probe, self.spec.folds))
        train = parts["train"]
        if self.convention == "mteb":
            position = {row: i for i, row in enumerate(self._drawn())}
            rows = [[position[row] for row in drawn] for drawn in self._experiments()]
            return _Outcome(protocols.few_shot(train, test.x, rows))
        if "dev" in parts:
            return single_outcome(protocols.dev_split(train, parts["dev"], test.x, probe))
        return single_outcome(protocols.cross_validated(train, test.x, probe, self.spec.folds))

    def _experiments(self) -> list[list[int]]:
        # Only MTEB's convention draws rows, and only classification follows it, see NliTask.
        raise NotImplementedError

    def _probe(self) -> Probe:
        if self.spec.probe == "sk":
            return Logistic()
        from bench.tasks.probes.senteval_torch import SentEvalTorch

        return SentEvalTorch(len(self._classes))

    def _task_score(self, outcome: _Outcome, gold: Labels, seed: int) -> TaskScore:
        correct = outcome.predicted == gold
        value = correct.mean(axis=0)
        counts = resample_counts(len(gold), np.random.default_rng(seed))
        metrics = _metrics(outcome, gold, len(self._classes))
        if self._metric == "accuracy":
            replicates = mean_replicates(value, counts, outcome.weights())
        else:
            of_f1 = [self._f1_replicates(one, gold, counts) for one in outcome.predicted]
            replicates = np.mean(of_f1, axis=0)
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
            replicates=replicates,
            evidence="votes" if votes else "replicates",
        )

    def _f1_replicates(
        self, predicted: Labels, gold: Labels, counts: NDArray[np.int16]
    ) -> NDArray[np.float64]:
        if self._metric == "f1":
            return f1_replicates(predicted == 1, gold == 1, counts)
        return label_replicates(predicted, gold, len(self._classes), counts)["f1_macro"]


class ClassificationTask(_ProbeTask[ClassificationSpec]):
    """Rows of one or two texts and ``label``."""

    kind = "classification"

    def __init__(
        self,
        spec: ClassificationSpec,
        parts: Mapping[str, Sequence[Row]],
        convention: Convention,
    ) -> None:
        self.text_columns = spec.texts
        super().__init__(spec, parts, convention)

    def _experiments(self) -> list[list[int]]:
        labels = [row["label"] for row in self.parts["train"]]
        return protocols.few_shot_rows(labels, self.spec.samples_per_label, self.spec.experiments)


class NliTask(_ProbeTask[NliSpec]):
    """Rows of ``premise``, ``hypothesis`` and ``label``, by SentEval's protocol."""

    kind = "nli"
    text_columns = ("premise", "hypothesis")

    def _check(self) -> None:
        if self.convention == "mteb":
            raise CellError(f"task {self.spec.name}: MTEB has no protocol for kind nli")
        super()._check()

    def _probe(self) -> Probe:
        if self.spec.regularise or self.spec.probe == "sk":
            return super()._probe()
        from bench.tasks.probes.senteval_torch import SentEvalTorch

        # SentEval's setting for SNLI.
        return SentEvalTorch(len(self._classes), epoch_size=1, max_epoch=15, grid=(UNREGULARISED,))


def text_features(columns: Sequence[NDArray[np.float32]], features: str) -> NDArray[np.float32]:
    """Features of rows: the vectors of their only text (n, d), or those of ``pair_features``."""
    if len(columns) == 1:
        return columns[0]
    return pair_features(columns[0], columns[1], features)


def pair_features(
    u: NDArray[np.float32], v: NDArray[np.float32], features: str
) -> NDArray[np.float32]:
    """Features of pairs as SentEval makes them.

    Args:
        u: Vectors of the first texts, (n, d).
        v: Vectors of the second texts, (n, d).
        features: ``absdiff_product`` (n, 2d) or ``concat_absdiff_product`` (n, 4d).
    """
    symmetric = [np.abs(u - v), u * v]
    if features == "absdiff_product":
        return np.hstack(symmetric)
    return np.hstack([u, v, symmetric[1], symmetric[0]])


def single_outcome(predicted: Labels) -> _Outcome:
    """Predictions (n,) of a single experiment."""
    return _Outcome(predicted[None, :])


def folded_outcome(predicted: Labels, fold: NDArray[np.intp]) -> _Outcome:
    """Predictions (n,) and the fold (n,) in which each was made."""
    return _Outcome(predicted[None, :], fold)


def _metrics(outcome: _Outcome, gold: Labels, classes: int) -> dict[str, float]:
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


def _mean(metric: Any, experiments: NDArray[np.int64], gold: Labels, **options: Any) -> float:
    return float(np.mean([metric(gold, predicted, **options) for predicted in experiments]))


def _some(labels: Sequence[Any]) -> str:
    """The first few of some labels."""
    return ", ".join([*map(repr, labels[:_SHOWN]), *(["…"] if len(labels) > _SHOWN else [])])


def _label_key(label: Any) -> tuple[str, Any]:
    """Order labels of any one type, numbers by value."""
    return ("number", label) if isinstance(label, int | float) else ("text", str(label))
