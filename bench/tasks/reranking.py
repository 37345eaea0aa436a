"""Reranking: are the relevant candidates of a query the nearest ones?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.cosine import settled
from bench.metrics.ranking import Ties, average_precision, precision_at, reciprocal_rank
from bench.stats.bootstrap import mean_replicates, resampled
from bench.suite import Convention, RerankingSpec
from bench.tasks.base import TaskScore, Together, Vectors, VectorTask

TIES: tuple[Ties, ...] = ("optimistic", "realistic", "pessimistic")
# Whose vectors are held at a time, unless one query has more.
CANDIDATES = 65_536
_Metric = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]
_BY_TIES: Mapping[str, _Metric] = {
    f"map_{ties}": partial(average_precision, ties=ties) for ties in TIES
}


@dataclass(frozen=True)
class _Listed:
    """Candidates of a query in the order of its list, and which of them are relevant."""

    texts: Sequence[str]
    relevant: NDArray[np.bool_]


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
        refuse_other_than_lists(self.rows, spec.name)
        self._kept = [row for row in self.rows if self._is_kept(row)]
        if not self._kept:
            raise CellError(f"task {spec.name}: no query has a positive and a negative")
        self._listed = [self._candidates(row) for row in self._kept]

    def _is_kept(self, row: Row) -> bool:
        return bool(row["positive"]) and (self.convention == "mteb" or bool(row["negative"]))

    def item_rows(self) -> Sequence[Row]:
        """The queries that are scored."""
        return self._kept

    def texts(self) -> Mapping[str, Column]:
        """Queries, and the candidates of all queries one after the other."""
        candidates = list(chain.from_iterable(listed.texts for listed in self._listed))
        return {
            "query": Column([row["query"] for row in self._kept], "query"),
            "candidates": Column(candidates, "document", streamed=True),
        }

    def _candidates(self, row: Row) -> _Listed:
        positive, negative = row["positive"], row["negative"]
        texts = [*positive, *negative]
        relevant = np.arange(len(texts)) < len(positive)
        if self.convention == "mteb":
            return _Listed(texts, relevant)
        # Listed positives first, a stable sort would favour them; a hash favours nobody.
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        order = sorted(range(len(texts)), key=digests.__getitem__)
        return _Listed([texts[place] for place in order], relevant[order])

    def together(self) -> Together:
        """Each query and its positive candidates."""
        pairs = self.positive_pairs()
        queries = np.arange(len(self._listed))
        return {"query": (queries, queries), "candidates": (pairs["candidates"], pairs["query"])}

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Each query with each of its positive candidates."""
        relevant = np.concatenate([listed.relevant for listed in self._listed])
        sizes = [len(listed.texts) for listed in self._listed]
        query = np.repeat(np.arange(len(sizes)), sizes)
        return {"query": query[relevant], "candidates": np.flatnonzero(relevant)}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score every query, the vectors of the candidates of a few of them at a time."""
        return self._score(self._cosines(vectors), seed)

    def pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Each query with each of its candidates."""
        sizes = [len(listed.texts) for listed in self._listed]
        return {
            "query": np.repeat(np.arange(len(sizes)), sizes),
            "candidates": np.arange(sum(sizes)),
        }

    def score_pairs(self, similarities: NDArray[np.float64], seed: int) -> TaskScore:
        """Score every query by the similarities of its candidates."""
        ends = np.cumsum([len(listed.texts) for listed in self._listed])
        return self._score(np.split(similarities, ends[:-1]), seed)

    def _score(self, of_queries: Iterable[NDArray[np.float64]], seed: int) -> TaskScore:
        metrics = self._metrics()
        scored = [
            self._scored(listed, similarities, metrics)
            for listed, similarities in zip(self._listed, of_queries, strict=True)
        ]
        values = {name: np.array([one[name] for one in scored]) for name in scored[0]}
        return TaskScore(
            metric="MAP",
            main=float(values["map"].mean()),
            metrics={name: float(array.mean()) for name, array in values.items()}
            | {"queries": float(len(scored))},
            items={
                "value": values["map"],
                "reciprocal_rank": values["mrr"],
                "precision_at_1": values["precision_at_1"],
            },
            replicates=resampled(
                partial(mean_replicates, values["map"]), len(scored), np.random.default_rng(seed)
            ),
            evidence="means",
        )

    def _cosines(self, vectors: Vectors) -> Iterator[NDArray[np.float64]]:
        """Similarities of the candidates of each query."""
        queries = _unit(vectors["query"], self.convention)
        ends = np.cumsum([len(listed.texts) for listed in self._listed])
        for first, last in _blocks(ends):
            start = ends[first - 1] if first else 0
            block = _unit(vectors["candidates"][start : ends[last]], self.convention)
            candidates = np.split(block, ends[first:last] - start)
            for own, query in zip(candidates, queries[first : last + 1], strict=True):
                yield self._similarity(own, query)

    def _scored(
        self, listed: _Listed, cosines: NDArray[np.float64], metrics: Mapping[str, _Metric]
    ) -> Mapping[str, float]:
        """Metrics of one query."""
        judged = _settled(cosines, listed) if self.convention == "useb" else cosines
        return {
            name: metric(given, listed.relevant)
            for given, named in ((judged, metrics), (cosines, _BY_TIES))
            for name, metric in named.items()
        }

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

    def _by_convention(self, metric: Callable[..., float]) -> _Metric:
        if self.convention == "useb":
            return partial(_in_order, metric)
        if self.convention == "mteb":
            return lambda scores, relevant: metric(scores[::-1], relevant[::-1], ties="ordered")
        return metric


def refuse_other_than_lists(rows: Sequence[Row], task: str) -> None:
    """Refuse rows of candidates whose ``positive`` or ``negative`` is no list of texts.

    Raises:
        CellError: There is one; its number is named.
    """
    for number, row in enumerate(rows, 1):
        for column in ("positive", "negative"):
            if not isinstance(row[column], list):
                raise CellError(
                    f"task {task}: {column} of row {number} is not a list of texts; "
                    "CSV cannot hold one, JSON lines and Parquet can"
                )


def _blocks(ends: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """First and last of queries that follow each other and have few candidates together."""
    first = 0
    for following in range(1, len(ends) + 1):
        start = ends[first - 1] if first else 0
        if following == len(ends) or ends[following] - start > CANDIDATES:
            yield first, following - 1
            first = following


def _settled(scores: NDArray[np.float64], listed: _Listed) -> NDArray[np.float64]:
    """Scores (n,) of the same ranking whose only ties are those that no order settles.

    Equal scores keep the order of the candidates, but for a text that is listed as relevant and
    as irrelevant: its two places are one.
    """
    texts, flags = listed.texts, listed.relevant.tolist()
    labelled = set(zip(texts, flags, strict=True))
    first_places = {text: place for place, text in reversed(list(enumerate(texts)))}
    place = np.array(
        [
            first_places[text] if (text, not flag) in labelled else i
            for i, (text, flag) in enumerate(zip(texts, flags, strict=True))
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
