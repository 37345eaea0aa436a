"""Queries with the texts that answer them, to train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
from bench.data.build_inputs import TrainingSet
from bench.data.catalog import dataset_of
from bench.data.rows import Row, text_digest

# No row here is one that a suite tests on.
RETRIEVAL: Mapping[str, str] = {
    "wikiqa": "reranking/wikiqa:train",
    "trecqa": "reranking/trecqa:train",
    "semeval16_qq": "reranking/semeval16_qq:train_part1+train_part2",
    "quora": "paraphrase/quora:dev#train",
}


@dataclass(frozen=True)
class Query:
    """A query and its candidates.

    Attributes:
        text: The query.
        positives: Texts that answer it, at least one.
        negatives: Texts that were judged not to, possibly none.
    """

    text: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True)
class Queries(TrainingSet):
    """Queries that have a positive, by the names of their sets.

    Attributes:
        name: ``wikiqa``, ``trecqa``, ``semeval16_qq`` or ``quora`` (its duplicates: a question
            and those that ask the same, without negatives), or several joined with ``+``.
        each: Number of queries of each set, or None for all.
    """

    name: str
    each: int | None = None

    def load(self, data: DataAccess) -> list[Query]:
        """Load the queries of all sets in the order of their SHA-256, which no seed changes.

        Raises:
            DataError: There is no such set, or its data is missing or changed.
        """
        queries = [query for of_set in self.load_sets(data).values() for query in of_set]
        return _ordered(queries)

    def load_sets(self, data: DataAccess) -> dict[str, list[Query]]:
        """Load each set on its own, by its name.

        Raises:
            DataError: There is no such set, or its data is missing or changed.
        """
        return {name: _read(ref, data)[: self.each] for name, ref in self._refs.items()}

    def fingerprint(self, data: DataAccess) -> str:
        """Identify the sets, of which ``each`` is a setting."""
        return fingerprint([data.sha256(ref) for ref in self._refs.values()])

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets of datasets.toml that the queries come from, ``family/set``.

        Raises:
            DataError: There is no such set.
        """
        return tuple(dataset_of(ref) for ref in self._refs.values())

    def texts(self, data: DataAccess) -> Iterator[str]:
        """Queries, and their positives and negatives."""
        for query in self.load(data):
            yield from (query.text, *query.positives, *query.negatives)

    @property
    def _refs(self) -> dict[str, str]:
        parts = self.name.split("+")
        for part in parts:
            if part not in RETRIEVAL:
                known = ", ".join(RETRIEVAL)
                raise DataError(
                    f"unknown retrieval set {part!r}; choose one of {known}, or several joined "
                    "with +"
                )
        return {part: RETRIEVAL[part] for part in parts}


def _read(ref: str, data: DataAccess) -> list[Query]:
    made_of = _duplicates if ref.startswith("paraphrase/") else _ranked
    return _ordered(
        query for query in made_of(data.rows(ref)) if query.text.strip() and query.positives
    )


def _ordered(queries: Iterable[Query]) -> list[Query]:
    return sorted(queries, key=lambda query: text_digest(query.text))


def _ranked(rows: Iterable[Row]) -> Iterator[Query]:
    for row in rows:
        yield Query(row["query"], _texts(row["positive"]), _texts(row["negative"]))


def _duplicates(rows: Iterable[Row]) -> Iterator[Query]:
    duplicates: dict[str, list[str]] = {}
    for row in rows:
        if row["label"] == 1:
            duplicates.setdefault(row["sentence1"], []).append(row["sentence2"])
    for text, same in duplicates.items():
        yield Query(text, _texts(same), ())


def _texts(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in given if text.strip()))
