"""Reranking: are the relevant candidates of a query the nearest ones?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.cosine import settled
from bench.metrics.ranking import Ties, average_precision, precision_at, reciprocal_rank
from bench.stats.bootstrap import mean_replicates, resample_counts
from bench.suite import Convention, RerankingSpec
from bench.tasks.base import TaskScore, Vectors, VectorTask

TIES: tuple[Ties, ...] = ("optimistic", "realistic", "pessimistic")
_Metric = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]
_BY_TIES: Mapping[str, _Metric] = {
    f"map_{ties}": partial(average_precision, ties=ties) for ties in TIES
}


class RerankingTask(VectorTask[RerankingSpec]):
    """Rows of ``query``, ``positive`` and ``negative``, the latter two lists of texts.

    Candidates are ranked by cosine. Queries without a positive or without a negative are left
    out, under MTEB's convention only those without a positive.

    The main score is the mean average precision. Ties are broken at random in expectation
    (``realistic``); under the convention ``useb`` they keep the order of the candidates, as
    USEB's stable sort does, by which SCT is scored; a text that is listed on both sides, which no
    order of ours may decide, ties with itself as elsewhere. Under ``mteb`` the candidate that comes
    last goes first, as trec_eval orders by falling document id (ids being positions).
    """

    kind = "reranking"

    def __init__(
        self, spec: RerankingSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        for number, row in enumerate(self.rows, 1):
            for column in ("positive", "negative"):
                if not isinstance(row[column], list):
                    raise CellError(
                        f"task {spec.name}: {column} of row {number} is not a list of texts; "
                        "CSV cannot hold one, JSON lines and Parquet can"
                    )
        self._kept = [row for row in self.rows if self._is_kept(row)]
        if not self._kept:
            raise CellError(f"task {spec.name}: no query has a positive and a negative")

    def _is_kept(self, row: Row) -> bool:
        return bool(row["positive"]) and (self.convention == "mteb" or bool(row["negative"]))

    def item_rows(self) -> Sequence[Row]:
        """The queries that are scored."""
        return self._kept

    def texts(self) -> Mapping[str, Column]:
        """Queries, and the candidates of all queries one after the other."""
        candidates = [text for row in self._kept for text, _ in self._candidates(row)]
        return {
            "query": Column([row["query"] for row in self._kept], "query"),
            "candidates": Column(candidates, "document"),
        }

    def _candidates(self, row: Row) -> list[tuple[str, bool]]:
        labelled = [(text, True) for text in row["positive"]]
        labelled += [(text, False) for text in row["negative"]]
        if self.convention == "mteb":
            return labelled
        # Listed positives first, a stable sort would favour them; a hash favours nobody.
        return sorted(
            labelled, key=lambda candidate: hashlib.sha256(candidate[0].encode()).digest()
        )

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Each query with each of its positive candidates."""
        labelled = [self._candidates(row) for row in self._kept]
        relevant = np.array([flag for block in labelled for _, flag in block])
        query = np.repeat(np.arange(len(labelled)), [len(block) for block in labelled])
        return {"query": query[relevant], "candidates": np.flatnonzero(relevant)}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score every query."""
        relevant = [np.array([flag for _, flag in self._candidates(row)]) for row in self._kept]
        ends = np.cumsum([len(flags) for flags in relevant])[:-1]
        queries = _unit(vectors["query"], self.convention)
        candidates = np.split(_unit(vectors["candidates"], self.convention), ends)
        scores = [
            self._similarity(block, query) for block, query in zip(candidates, queries, strict=True)
        ]
        judged = scores if self.convention != "useb" else self._ordered(scores)
        values = {
            name: np.array([metric(s, r) for s, r in zip(given, relevant, strict=True)])
            for given, metrics in ((judged, self._metrics()), (scores, _BY_TIES))
            for name, metric in metrics.items()
        }
        counts = resample_counts(len(relevant), np.random.default_rng(seed))
        return TaskScore(
            metric="MAP",
            main=float(values["map"].mean()),
            metrics={name: float(array.mean()) for name, array in values.items()}
            | {"queries": float(len(relevant))},
            items={
                "value": values["map"],
                "reciprocal_rank": values["mrr"],
                "precision_at_1": values["precision_at_1"],
            },
            replicates=mean_replicates(values["map"], counts),
            evidence="means",
        )

    def _similarity(self, block: NDArray[Any], query: NDArray[Any]) -> NDArray[np.float64]:
        cosines = (block @ query).astype(np.float64)
        # MTEB's own rounding decides its ties.
        return cosines if self.convention == "mteb" else settled(cosines)

    def _metrics(self) -> dict[str, _Metric]:
        return {
            "map": self._by_convention(average_precision),
            "mrr": self._by_convention(partial(reciprocal_rank, cut=10)),
            "precision_at_1": self._by_convention(partial(precision_at, cut=1)),
            "precision_at_5": self._by_convention(partial(precision_at, cut=5)),
        }

    def _ordered(self, scores: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        return [
            _settled(cosines, self._candidates(row))
            for cosines, row in zip(scores, self._kept, strict=True)
        ]

    def _by_convention(self, metric: Callable[..., float]) -> _Metric:
        if self.convention == "useb":
            return partial(_in_order, metric)
        if self.convention == "mteb":
            return lambda scores, relevant: metric(scores[::-1], relevant[::-1], ties="ordered")
        return metric


def _settled(
    scores: NDArray[np.float64], candidates: Sequence[tuple[str, bool]]
) -> NDArray[np.float64]:
    """Scores (n,) of the same ranking whose only ties are those that no order settles.

    Equal scores keep the order of the candidates, but for a text that is listed as relevant and
    as irrelevant: its two places are one.
    """
    relevant = {text for text, flag in candidates if flag}
    contradicted = relevant & {text for text, flag in candidates if not flag}
    first_places = {text: place for place, (text, _) in reversed(list(enumerate(candidates)))}
    place = np.array(
        [
            first_places[text] if text in contradicted else i
            for i, (text, _) in enumerate(candidates)
        ]
    )
    order = np.lexsort((place, -scores[place]))
    settled = np.empty(len(scores))
    settled[order] = -np.cumsum(np.diff(place[order], prepend=-1) != 0)
    return settled


def _in_order(
    metric: Callable[..., float], scores: NDArray[np.float64], relevant: NDArray[np.bool_]
) -> float:
    tied = len(np.unique(scores)) < len(scores)
    return metric(scores, relevant, ties="realistic" if tied else "ordered")


def _unit(
    vectors: NDArray[np.float32], convention: Convention
) -> NDArray[np.float32] | NDArray[np.float64]:
    """Rows of norm 1, in MTEB's float32 or in float64; zero rows stay zero."""
    values = vectors if convention == "mteb" else vectors.astype(np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(np.divide(values, norms, out=np.zeros_like(values), where=norms > 0))
