"""Pair classification: does a threshold of similarity tell positive from negative pairs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from bench.core.errors import CellError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.similarity import similarities
from bench.metrics.thresholds import best_thresholds
from bench.stats.bootstrap import average_precision_replicates, resampled
from bench.suite import Convention, PairClassificationSpec
from bench.tasks.base import TaskScore, Together, Vectors, VectorTask, rows_together


class PairClassificationTask(VectorTask[PairClassificationSpec]):
    """Rows of ``sentence1``, ``sentence2`` and ``label`` (1 positive, 0 negative).

    The main score is the average precision of the cosine; under MTEB's convention it is the best
    average precision of four similarities (``max_ap``). Of what scores pairs itself it is that of
    its scores. Accuracy and F1 take the best threshold
    on the scored pairs themselves, so they are upper bounds.

    Raises:
        CellError: All labels are equal, or one is neither 0 nor 1.
    """

    kind = "pair_classification"

    def __init__(
        self,
        spec: PairClassificationSpec,
        parts: Mapping[str, Sequence[Row]],
        convention: Convention,
    ) -> None:
        super().__init__(spec, parts, convention)
        labels = [row["label"] for row in self.rows]
        strange = [number for number, label in enumerate(labels, 1) if label not in {0, 1}]
        if strange:
            raise CellError(
                f"task {spec.name}: row {strange[0]}: label {labels[strange[0] - 1]!r} is neither "
                "0 nor 1; write 1 for pairs that mean the same, else 0"
            )
        if len(set(labels)) < 2:
            raise CellError(f"task {spec.name}: all pairs have the same label")

    def texts(self) -> Mapping[str, Column]:
        """Both sentences of every pair."""
        return {
            name: Column([row[name] for row in self.rows]) for name in ("sentence1", "sentence2")
        }

    def together(self) -> Together:
        """Both sentences of a pair."""
        return rows_together([(("sentence1", "sentence2"), len(self.rows))])

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Pairs of label 1."""
        rows = np.flatnonzero([row["label"] == 1 for row in self.rows])
        return {"sentence1": rows, "sentence2": rows}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score all similarities."""
        mteb = self.convention == "mteb"
        return self._score(
            similarities(vectors["sentence1"], vectors["sentence2"], mteb=mteb), seed
        )

    def pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Both sentences of every row."""
        rows = np.arange(len(self.rows))
        return {"sentence1": rows, "sentence2": rows}

    def score_pairs(self, similarities: NDArray[np.float64], seed: int) -> TaskScore:
        """Score the one similarity that there is."""
        return self._score({"similarity": similarities}, seed)

    def _score(self, scores: Mapping[str, NDArray[np.float64]], seed: int) -> TaskScore:
        gold = np.array([row["label"] for row in self.rows], dtype=bool)
        metrics = {}
        for name, values in scores.items():
            metrics[f"{name}_ap"] = float(average_precision_score(gold, values))
            for metric, value in asdict(best_thresholds(values, gold)).items():
                metrics[f"{name}_{metric}"] = value
        for metric in ("ap", "accuracy", "f1", "precision", "recall"):
            metrics[f"max_{metric}"] = max(metrics[f"{name}_{metric}"] for name in scores)
        best = next(iter(scores))
        if self.convention == "mteb":
            best = max(scores, key=lambda name: metrics[f"{name}_ap"])
        statistic = partial(average_precision_replicates, scores[best], gold)
        return TaskScore(
            metric="AP",
            main=metrics[f"{best}_ap"],
            metrics=metrics,
            items={
                "similarity": scores[best],
                "gold": gold,
                "value": _right_side(scores[best], gold),
            },
            replicates=resampled(statistic, len(gold), np.random.default_rng(seed)),
            evidence="replicates",
        )


def _right_side(similarity: NDArray[np.float64], gold: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the other class that each pair is on the right side of, ties half."""
    value = np.empty(len(gold))
    everywhere = rankdata(similarity)
    for label in (True, False):
        own = gold == label
        below = (everywhere[own] - rankdata(similarity[own])) / (~own).sum()
        value[own] = below if label else 1 - below
    return value
