"""Semantic textual similarity: rank correlation of cosine and gold score."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.errors import CellError, DataError
from bench.metrics.cosine import cosine_float64, cosine_mteb
from bench.metrics.pearson import pearson
from bench.metrics.spearman import spearman
from bench.stats.bootstrap import resample_counts, spearman_replicates
from bench.suite import StsSpec
from bench.tasks.base import Column, Task, TaskScore, Vectors

CLOSE = 0.8


class StsTask(Task[StsSpec]):
    """STS over rows of ``sentence1``, ``sentence2``, ``score`` and, where known, ``subset``."""

    kind = "sts"

    def texts(self) -> Mapping[str, Column]:
        """Both sentences of every pair."""
        return {
            name: Column([row[name] for row in self.rows]) for name in ("sentence1", "sentence2")
        }

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Pairs with at least 0.8 of the highest gold score: 4 of 5, as in Wang & Isola (2020)."""
        gold = self._gold()
        rows = np.flatnonzero((gold >= CLOSE * gold.max()) & (gold > 0))
        return {"sentence1": rows, "sentence2": rows}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score the cosine of each pair against its gold score.

        Raises:
            CellError: All similarities of a task or subset are equal: no correlation exists.
        """
        similarity, groups = self._similarity(vectors), self._subsets()
        gold = self._gold()
        metrics = self._checked_metrics(similarity, gold, groups)
        return TaskScore(
            metric="Spearman",
            main=metrics[f"spearman_{self.spec.aggregation}"],
            metrics=metrics,
            items={
                "similarity": similarity,
                "gold": gold,
                "value": _rank_agreement(similarity, gold),
            },
            replicates=self._replicates(similarity, gold, groups, seed),
        )

    def main(self, vectors: Vectors) -> float:
        """Main score alone.

        Raises:
            CellError: All similarities of a task or subset are equal: no correlation exists.
        """
        similarity = self._similarity(vectors)
        metrics = self._checked_metrics(similarity, self._gold(), self._subsets())
        return metrics[f"spearman_{self.spec.aggregation}"]

    def _similarity(self, vectors: Vectors) -> NDArray[np.float64]:
        cosine = cosine_mteb if self.convention == "mteb" else cosine_float64
        return cosine(vectors["sentence1"], vectors["sentence2"])

    def _gold(self) -> NDArray[np.float64]:
        return np.array([row["score"] for row in self.rows], dtype=np.float64)

    def _checked_metrics(
        self,
        similarity: NDArray[np.float64],
        gold: NDArray[np.float64],
        groups: list[NDArray[np.intp]],
    ) -> dict[str, float]:
        metrics = self._metrics(similarity, gold, groups)
        bad = next((name for name, value in metrics.items() if not np.isfinite(value)), None)
        if bad:
            raise CellError(
                f"task {self.spec.name}: {bad} is undefined, the encoder gives every pair the "
                "same similarity"
            )
        return metrics

    def _subsets(self) -> list[NDArray[np.intp]]:
        if self.spec.aggregation == "all":
            return [np.arange(len(self.rows))]
        if any("subset" not in row for row in self.rows):
            raise DataError(
                f"task {self.spec.name}: its rows have no column subset, which aggregation = "
                f"{self.spec.aggregation} is over; name another source, or aggregation = all"
            )
        names = np.array([str(row["subset"]) for row in self.rows])
        return [np.flatnonzero(names == name) for name in sorted(set(names.tolist()))]

    def _metrics(
        self,
        similarity: NDArray[np.float64],
        gold: NDArray[np.float64],
        groups: list[NDArray[np.intp]],
    ) -> dict[str, float]:
        metrics = {
            "spearman_all": spearman(similarity, gold),
            "pearson_all": pearson(similarity, gold),
        }
        if self.spec.aggregation != "all":
            sizes = [len(group) for group in groups]
            for label, metric in (("spearman", spearman), ("pearson", pearson)):
                values = [metric(similarity[group], gold[group]) for group in groups]
                metrics[f"{label}_mean"] = float(np.mean(values))
                metrics[f"{label}_wmean"] = float(np.average(values, weights=sizes))
        return metrics

    def _replicates(
        self,
        similarity: NDArray[np.float64],
        gold: NDArray[np.float64],
        groups: list[NDArray[np.intp]],
        seed: int,
    ) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        parts = [
            spearman_replicates(similarity[group], gold[group], resample_counts(len(group), rng))
            for group in groups
        ]
        weights = [len(group) for group in groups] if self.spec.aggregation == "wmean" else None
        return np.average(parts, axis=0, weights=weights)


def _rank_agreement(
    similarity: NDArray[np.float64], gold: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One minus the share of all pairs by which a pair is ranked too high or too low."""
    distance = np.abs(rankdata(similarity) - rankdata(gold))
    return np.asarray(1 - distance / max(len(gold) - 1, 1))
