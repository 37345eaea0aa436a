"""Classification of texts, pairs and premises with hypotheses by a probe on frozen vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError, UsageError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.suite import ClassificationSpec, Convention, NliSpec
from bench.tasks.base import (
    Probing,
    TaskScore,
    Together,
    Vectors,
    VectorTask,
    rows_together,
)
from bench.tasks.labelled import (
    LabelledOutcome,
    LabelledSpec,
    LabelledTask,
    folded_outcome,
    shown,
    single_outcome,
)
from bench.tasks.probes import protocols
from bench.tasks.probes.base import Probe, ProbeRows
from bench.tasks.probes.devices import CPU, logistic
from bench.tasks.probes.mapped import Map, MappedProbe

UNREGULARISED = 1e-9


class _ProbeTask(Probing, LabelledTask[LabelledSpec], VectorTask[LabelledSpec]):
    """A task whose vectors feed a probe; the convention and the parts decide the protocol.

    SentEval's: without training rows nested folds, with them folds of the training rows choose
    the regularisation, with dev rows these do. MTEB's: few-shot experiments.
    """

    @property
    def probe_device(self) -> str:
        """Few-shot fits of MTEB end before the optimum; these and most probes are on the CPU."""
        elsewhere = self.convention != "mteb" and self.spec.probe in ("sk", "torch")
        return self.device if elsewhere else CPU

    def _check(self) -> None:
        if self.convention == "mteb" and self.spec.probe != "sk":
            raise UsageError(
                f'task {self.spec.name}: MTEB has one probe, so that probe = "{self.spec.probe}" '
                "goes with another convention"
            )
        super()._check()

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
            f"training row has, and count as wrong: {shown(list(dict.fromkeys(unseen)))}"
        ]

    def texts(self) -> Mapping[str, Column]:
        """Every text column of every part."""
        return {
            f"{part}/{column}": Column([self._text(row[column]) for row in rows])
            for part, rows in self._used().items()
            for column in self.text_columns
        }

    def together(self) -> Together:
        """All texts of a row, where it has several."""
        if len(self.text_columns) == 1:
            return {}
        return rows_together(
            ([f"{part}/{column}" for column in self.text_columns], len(rows))
            for part, rows in self._used().items()
        )

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

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Fit the probe and score its predictions.

        Raises:
            CellError: The rows are too few for the protocol.
        """
        return self.score_features(self._features(vectors), seed)

    def features_of_pairs(self, vectors: Vectors) -> Vectors:
        """Features of each part, none where rows have one text."""
        return self._features(vectors) if len(self.text_columns) > 1 else {}

    def score_features(self, features: Vectors, seed: int) -> TaskScore:
        """Fit the probe on the features of each part, and score its predictions.

        Raises:
            CellError: The rows are too few for the protocol.
        """
        parts = {
            part: ProbeRows(features[part], self._labels(rows))
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
        self,
        vectors: Vectors,
        seed: int,
        fit: Callable[[NDArray[Any]], Sequence[Map]],
        of_features: bool = False,
    ) -> TaskScore:
        """Map vectors by what is fitted in each fold, outer and inner, then fit the probe.

        Raises:
            CellError: The rows are too few for the protocol or for the maps.
        """
        columns = self._columns("test", vectors)
        if of_features:
            columns = [text_features(columns, self.spec.features)]
        parts = {"test": ProbeRows(np.hstack(columns), self._labels(self.rows))}
        features = partial(text_features, features=self.spec.features)
        probe = MappedProbe(self._probe(), fit, len(columns), features)
        return self._scored(parts, probe, seed)

    def _scored(self, parts: Mapping[str, ProbeRows], probe: Probe, seed: int) -> TaskScore:
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

    def _features(self, vectors: Vectors) -> Vectors:
        return {
            part: text_features(self._columns(part, vectors), self.spec.features)
            for part in self._used()
        }

    def _predict(self, parts: Mapping[str, ProbeRows], probe: Probe) -> LabelledOutcome:
        test = parts["test"]
        if "train" not in parts:
            return folded_outcome(*protocols.nested_folds(test, probe, self.spec.folds))
        train = parts["train"]
        if self.convention == "mteb":
            position = {row: i for i, row in enumerate(self._drawn())}
            rows = [[position[row] for row in drawn] for drawn in self._experiments()]
            return LabelledOutcome(protocols.few_shot(train, test.x, rows))
        if "dev" in parts:
            return single_outcome(protocols.dev_split(train, parts["dev"], test.x, probe))
        return single_outcome(protocols.cross_validated(train, test.x, probe, self.spec.folds))

    def _experiments(self) -> list[list[int]]:
        # Only MTEB's convention draws rows, and only classification follows it, see NliTask.
        raise NotImplementedError

    def _probe(self) -> Probe:
        if self.spec.probe == "sk":
            return logistic(self.device)
        if self.spec.probe != "torch":
            from bench.tasks.probes.classifiers import SklearnClassifier

            return SklearnClassifier(self.spec.probe)
        from bench.tasks.probes.senteval_torch import SentEvalTorch

        return SentEvalTorch(len(self._classes), device=self.device)


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
        if self.spec.regularise or self.spec.probe != "torch":
            return super()._probe()
        from bench.tasks.probes.senteval_torch import SentEvalTorch

        # SentEval's setting for SNLI.
        return SentEvalTorch(
            len(self._classes),
            epoch_size=1,
            max_epoch=15,
            grid=(UNREGULARISED,),
            device=self.device,
        )


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
