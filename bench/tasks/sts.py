"""Semantic textual similarity: rank correlation of cosine and gold score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.core.errors import CellError, DataError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.cosine import cosine_float64, cosine_mteb
from bench.metrics.pearson import pearson
from bench.metrics.spearman import spearman
from bench.stats.bootstrap import resampled, spearman_replicates
from bench.suite import Convention, StsSpec
from bench.tasks.base import TaskScore, Together, Vectors, VectorTask, rows_together
from bench.tasks.gold import check_spread

CLOSE = 0.8


class StsTask(VectorTask[StsSpec]):
    """STS over rows of ``sentence1``, ``sentence2``, ``score`` and, where known, ``subset``.

    Raises:
        DataError: The rows lack the subsets that the task is over, or all gold scores of the task
            or of a subset are equal, so that no encoder has a correlation with them.
    """

    kind = "sts"

    def __init__(
        self, spec: StsSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        self._groups = self._subsets()
        gold = self._gold()
        for name, group in self._groups.items():
            check_spread(self._called(name), gold[group])

    def texts(self) -> Mapping[str, Column]:
        """Both sentences of every pair."""
        return {
            name: Column([row[name] for row in self.rows]) for name in ("sentence1", "sentence2")
        }

    def together(self) -> Together:
        """Both sentences of a pair."""
        return rows_together([(("sentence1", "sentence2"), len(self.rows))])

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
        return self.score_pairs(self._similarity(vectors), seed)

    def pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Both sentences of every row."""
        rows = np.arange(len(self.rows))
        return {"sentence1": rows, "sentence2": rows}

    def score_pairs(self, similarities: NDArray[np.float64], seed: int) -> TaskScore:
        """Score similarities of the pairs against the gold scores.

        Raises:
            CellError: All similarities of a task or subset are equal: no correlation exists.
        """
        gold = self._gold()
        metrics = self._checked_metrics(similarities, gold)
        return TaskScore(
            metric="Spearman",
            main=metrics[f"spearman_{self.spec.aggregation}"],
            metrics=metrics,
            items={
                "similarity": similarities,
                "gold": _kept(gold),
                "value": _rank_agreement(similarities, gold),
            },
            replicates=self._replicates(similarities, gold, seed),
            evidence="replicates",
        )

    def main(self, vectors: Vectors) -> float:
        """Main score alone.

        Raises:
            CellError: All similarities of a task or subset are equal: no correlation exists.
        """
        metrics = self._checked_metrics(self._similarity(vectors), self._gold())
        return metrics[f"spearman_{self.spec.aggregation}"]

    def _similarity(self, vectors: Vectors) -> NDArray[np.float64]:
        cosine = cosine_mteb if self.convention == "mteb" else cosine_float64
        return cosine(vectors["sentence1"], vectors["sentence2"])

    def _gold(self) -> NDArray[np.float64]:
        return np.array([row["score"] for row in self.rows], dtype=np.float64)

    def _called(self, subset: str) -> str:
        return f"task {self.spec.name}" + (f", subset {subset!r}" if subset else "")

    def _checked_metrics(
        self, similarity: NDArray[np.float64], gold: NDArray[np.float64]
    ) -> dict[str, float]:
        for name, group in self._groups.items():
            if not np.ptp(similarity[group]):
                raise CellError(
                    f"{self._called(name)}: the encoder gives every pair the same similarity, so "
                    "no correlation is defined"
                )
        return self._metrics(similarity, gold)

    def _subsets(self) -> dict[str, NDArray[np.intp]]:
        """Rows of each subset; all rows under an empty name where scores are over all."""
        if not self.spec.over_subsets:
            return {"": np.arange(len(self.rows))}
        if any("subset" not in row for row in self.rows):
            raise DataError(
                f"task {self.spec.name}: its rows have no column subset, which aggregation = "
                f"{self.spec.aggregation} is over; name another source, or aggregation = all"
            )
        for number, row in enumerate(self.rows, 1):
            if row["subset"] is None or row["subset"] == "":
                raise DataError(f"task {self.spec.name}: row {number} has no subset; name one")
        names = np.array([str(row["subset"]) for row in self.rows])
        return {name: np.flatnonzero(names == name) for name in sorted(set(names.tolist()))}

    def _metrics(
        self, similarity: NDArray[np.float64], gold: NDArray[np.float64]
    ) -> dict[str, float]:
        metrics = {
            "spearman_all": spearman(similarity, gold),
            "pearson_all": pearson(similarity, gold),
        }
        if self.spec.over_subsets:
            groups = self._groups.values()
            sizes = [len(group) for group in groups]
            for label, metric in (("spearman", spearman), ("pearson", pearson)):
                values = [metric(similarity[group], gold[group]) for group in groups]
                metrics[f"{label}_mean"] = float(np.mean(values))
                metrics[f"{label}_wmean"] = float(np.average(values, weights=sizes))
        return metrics

    def _replicates(
        self, similarity: NDArray[np.float64], gold: NDArray[np.float64], seed: int
    ) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        parts = np.ma.masked_invalid(
            [
                resampled(
                    partial(spearman_replicates, similarity[group], gold[group]), len(group), rng
                )
                for group in self._groups.values()
            ]
        )
        sizes = [len(group) for group in self._groups.values()]
        weights = sizes if self.spec.aggregation == "wmean" else None
        # A resample of a small subset may be constant; the others still have their correlation.
        return np.asarray(np.ma.filled(np.ma.average(parts, axis=0, weights=weights), np.nan))


def _kept(gold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gold scores for the items, which are float32; their ranks where that would make ties."""
    with np.errstate(over="ignore"):
        small = gold.astype(np.float32)
    if np.isfinite(small).all() and len(np.unique(small)) == len(np.unique(gold)):
        return gold
    return np.asarray(rankdata(gold, method="dense"), dtype=np.float64)


def _rank_agreement(
    similarity: NDArray[np.float64], gold: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One minus the share of all pairs by which a pair is ranked too high or too low."""
    distance = np.abs(rankdata(similarity) - rankdata(gold))
    return np.asarray(1 - distance / max(len(gold) - 1, 1))
