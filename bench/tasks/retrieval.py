"""Retrieval: are the documents that answer a query the nearest ones of a whole corpus?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.retrieval import (
    mean_precision,
    ndcg_at,
    precision_of_first,
    recall_at,
    reciprocal_rank_at,
)
from bench.stats.bootstrap import mean_replicates, resampled
from bench.suite import Convention, RetrievalSpec
from bench.tasks.base import Find, Probing, TaskScore, Together, Vectors, VectorTask
from bench.tasks.collection import ABSENT, Judged, read_collection
from bench.tasks.search import nearest

# As many documents of a query are ranked as by mteb; the average precision is over these.
DEPTH = 1000
CUTS = (1, 3, 5, 10, 20, 100, 1000)


class RetrievalTask(Probing, VectorTask[RetrievalSpec]):
    """Queries, a corpus and judgments, see ``bench.suite.retrieval``.

    The whole corpus is ranked by exact search, of dense vectors by cosine, of sparse ones by what
    their model compares them with; documents that score the same go by falling id, as in trec_eval.
    The main score is the mean of nDCG@10 over queries, all scores are those of trec_eval on the
    first 1,000 documents. Where the document with the query's own id is left out, 1,000 others are
    ranked; under MTEB's convention it is one of the 1,000, as mteb removes it afterwards.
    """

    kind = "retrieval"

    def __init__(
        self, spec: RetrievalSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        self._collection = read_collection(spec, parts)

    @property
    def rows(self) -> Sequence[Row]:
        """The queries that are scored."""
        return self._collection.queries

    def notes(self) -> Sequence[str]:
        """What of the tables counts otherwise than one would think."""
        return self._collection.notes

    def texts(self) -> Mapping[str, Column]:
        """Queries, and the distinct texts of the documents."""
        return {
            "query": Column([row["text"] for row in self.rows], "query"),
            "document": Column(self._collection.texts, "document", streamed=True),
        }

    def together(self) -> Together:
        """Each query and its relevant documents."""
        pairs = self.positive_pairs()
        queries = np.arange(len(self.rows))
        return {"query": (queries, queries), "document": (pairs["document"], pairs["query"])}

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Each query with each of its relevant documents."""
        relevant = [one.places[(one.grades > 0) & (one.places != ABSENT)] for one in self._judged]
        queries = np.repeat(np.arange(len(relevant)), [len(places) for places in relevant])
        return {
            "query": queries,
            "document": self._collection.text_of[np.concatenate(relevant)],
        }

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Search the corpus for every query by cosine, and score what is found first."""
        return self.score_search(self._by_cosine(vectors), seed)

    def score_search(self, find: Find, seed: int) -> TaskScore:
        """Score what is found first.

        Raises:
            CellError: Vectors are too long for a similarity in float32.
        """
        ranked = self._ranked(find)
        values = self._values(_grades(ranked, self._judged))
        ndcg = values["ndcg_at_10"]
        return TaskScore(
            metric="nDCG@10",
            main=float(ndcg.mean()),
            metrics={name: float(array.mean()) for name, array in values.items()}
            | {"queries": float(len(ndcg)), "documents": float(len(self._collection.text_of))},
            items={
                "value": ndcg,
                "average_precision": values["map"],
                "reciprocal_rank": values["mrr_at_10"],
                "recall_at_100": values["recall_at_100"],
            },
            replicates=resampled(
                partial(mean_replicates, ndcg), len(ndcg), np.random.default_rng(seed)
            ),
            evidence="means",
        )

    def main(self, vectors: Vectors) -> float:
        """Mean nDCG@10 alone.

        Raises:
            CellError: Vectors are too long for a similarity in float32.
        """
        grades = _grades(self._ranked(self._by_cosine(vectors)), self._judged)
        return float(ndcg_at(grades, _ideal(self._judged, 10), 10).mean())

    def _by_cosine(self, vectors: Vectors) -> Find:
        return partial(nearest, vectors["query"], vectors["document"], device=self.device)

    @property
    def _judged(self) -> Sequence[Judged]:
        return self._collection.judged

    def _ranked(self, find: Find) -> NDArray[np.intp]:
        """Places of the first documents of each query, (q, r); ``ABSENT`` behind the last."""
        drops = self.spec.drops_same_id
        depth = DEPTH + (drops and self.convention != "mteb")
        texts, similarities = find(depth)
        if not np.isfinite(similarities).all():
            raise CellError(f"task {self.spec.name}: vectors are too long for float32 similarities")
        members = _members(self._collection.text_of)
        ranked = np.full((len(texts), min(DEPTH, len(self._collection.text_of))), ABSENT)
        for row, (texts_of_query, similarity, judged) in enumerate(
            zip(texts, similarities, self._judged, strict=True)
        ):
            places = _documents(texts_of_query, similarity, members)[:depth]
            if drops:
                places = places[places != judged.own]
            ranked[row, : len(places)] = places[:DEPTH]
        return ranked

    def _values(self, grades: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """Scores of each query by name."""
        relevant = grades > 0
        total = np.array([np.count_nonzero(one.grades > 0) for one in self._judged])
        ideal = _ideal(self._judged, max(CUTS))
        return (
            {"map": mean_precision(relevant, total), "mrr_at_10": reciprocal_rank_at(relevant, 10)}
            | {f"ndcg_at_{cut}": ndcg_at(grades, ideal, cut) for cut in CUTS}
            | {f"recall_at_{cut}": recall_at(relevant, total, cut) for cut in CUTS}
            | {f"precision_at_{cut}": precision_of_first(relevant, cut) for cut in CUTS}
        )


def _members(text_of: NDArray[np.intp]) -> Sequence[NDArray[np.intp]] | None:
    """Documents of each text; None where each has one, whose place is its own."""
    sizes = np.bincount(text_of)
    if len(sizes) == len(text_of):
        return None
    return np.split(np.argsort(text_of, kind="stable"), np.cumsum(sizes)[:-1])


def _documents(
    texts: NDArray[np.int64],
    similarities: NDArray[np.float32],
    members: Sequence[NDArray[np.intp]] | None,
) -> NDArray[np.intp]:
    """Documents of the texts that were found, by falling similarity, and then by their places."""
    if members is None:
        return texts.astype(np.intp)
    groups = [members[text] for text in texts]
    places = np.concatenate(groups)
    scores = np.repeat(similarities, [len(group) for group in groups])
    return places[np.lexsort((places, -scores))]


def _grades(ranked: NDArray[np.intp], judged: Sequence[Judged]) -> NDArray[np.int64]:
    """Grades of ranked documents (q, r); 0 of those without a judgment."""
    grades = np.zeros(ranked.shape, dtype=np.int64)
    for row, (places, one) in enumerate(zip(ranked, judged, strict=True)):
        nearest_place = np.searchsorted(one.places, places).clip(max=len(one.places) - 1)
        known = (one.places[nearest_place] == places) & (places != ABSENT)
        grades[row, known] = one.grades[nearest_place[known]]
    return grades


def _ideal(judged: Sequence[Judged], most: int) -> NDArray[np.int64]:
    """Falling grades of each query's judged documents, filled up with zeros."""
    ideal = np.zeros((len(judged), min(most, max(len(one.grades) for one in judged))), np.int64)
    for row, one in enumerate(judged):
        best = np.sort(one.grades)[::-1][: ideal.shape[1]]
        ideal[row, : len(best)] = np.maximum(best, 0)
    return ideal
