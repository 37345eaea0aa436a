"""Supervised relatedness, SentEval's own SICK-R and STS-B: a probe that predicts the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError, DataError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.pearson import pearson
from bench.metrics.spearman import spearman
from bench.stats.bootstrap import pearson_replicates, resampled
from bench.suite import Convention, RelatednessSpec
from bench.tasks.base import (
    BaseTask,
    Probing,
    TaskScore,
    Together,
    Vectors,
    VectorTask,
    rows_together,
)
from bench.tasks.classification import pair_features
from bench.tasks.gold import check_spread


class ScoredPairsTask(BaseTask[RelatednessSpec]):
    """Rows of ``sentence1``, ``sentence2`` and ``score``, which is to be predicted.

    The main score is Pearson's correlation of predicted and gold score.

    Raises:
        DataError: All gold scores of a part are equal, or one is not between 0 and ``classes``.
    """

    text_columns: tuple[str, ...] = ("sentence1", "sentence2")

    def __init__(
        self, spec: RelatednessSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        # Rows of a pool may have no scores.
        for part in (name for name in parts if name != "pool"):
            gold, where = self._gold(part), f"task {spec.name}, {part} rows"
            check_spread(where, gold)
            if gold.min() < 0 or gold.max() > spec.classes:
                raise DataError(
                    f"{where}: gold scores are {gold.min():g} to {gold.max():g}, the suite says "
                    f"0 or 1 to {spec.classes}; set classes, or scale the scores"
                )

    def _score_of(self, predicted: NDArray[np.float64], predictor: str, seed: int) -> TaskScore:
        gold = self._gold("test")
        main = pearson(predicted, gold)
        if not np.isfinite(main):
            raise CellError(f"task {self.spec.name}: {predictor} predicts one score for every pair")
        statistic = partial(pearson_replicates, predicted, gold)
        error = np.abs(predicted - gold)
        return TaskScore(
            metric="Pearson",
            main=main,
            metrics={
                "pearson": main,
                "spearman": spearman(predicted, gold),
                "mse": float(np.mean(error**2)),
            },
            items={
                "predicted": predicted,
                "gold": gold,
                "value": 1 - np.minimum(error / self.spec.classes, 1),
            },
            replicates=resampled(statistic, len(gold), np.random.default_rng(seed)),
            evidence="replicates",
        )

    def _gold(self, part: str) -> NDArray[np.float64]:
        return np.array([row["score"] for row in self.parts[part]], dtype=np.float64)


class RelatednessTask(Probing, ScoredPairsTask, VectorTask[RelatednessSpec]):
    """Pairs whose scores a probe learns from vectors of the training and dev rows."""

    kind = "relatedness"

    def texts(self) -> Mapping[str, Column]:
        """Both sentences of every part."""
        if missing := {"train", "dev"} - set(self.parts):
            raise CellError(
                f"task {self.spec.name}: relatedness needs {' and '.join(sorted(missing))} rows"
            )
        return {
            f"{part}/{column}": Column([row[column] for row in rows])
            for part, rows in self.parts.items()
            for column in self.text_columns
        }

    def together(self) -> Together:
        """Both sentences of a pair."""
        return rows_together(
            ([f"{part}/{column}" for column in self.text_columns], len(rows))
            for part, rows in self.parts.items()
        )

    def test_columns(self) -> Sequence[str]:
        """Columns of the scored rows."""
        return [f"test/{column}" for column in self.text_columns]

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Fit the probe on the training rows, stop on the dev rows, score the test rows.

        Raises:
            CellError: All predictions are equal.
        """
        return self.score_features(self.features_of_pairs(vectors), seed)

    def features_of_pairs(self, vectors: Vectors) -> Vectors:
        """Features of each part."""
        return {part: self._features(part, vectors) for part in self.parts}

    def score_features(self, features: Vectors, seed: int) -> TaskScore:
        """Score features of the test rows by the probe, fitted and stopped on those of the others.

        Raises:
            CellError: All predictions are equal.
        """
        from bench.tasks.probes.senteval_relatedness import predict_scores

        train, dev = ((features[part], self._gold(part)) for part in ("train", "dev"))
        predicted = predict_scores(train, dev, features["test"], self.spec.classes, self.device)
        return self._score_of(predicted, "the probe", seed)

    def _features(self, part: str, vectors: Vectors) -> NDArray[np.float32]:
        u, v = (vectors[f"{part}/{column}"] for column in self.text_columns)
        return pair_features(u, v, "absdiff_product")
