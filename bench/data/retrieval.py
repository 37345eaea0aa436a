"""Queries with the texts that answer them, to train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
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


def load_retrieval(name: str, data: DataAccess, limit: int | None = None) -> list[Query]:
    """Load the queries that have a positive, the first ``limit`` of their fixed order.

    Args:
        name: ``wikiqa``, ``trecqa``, ``semeval16_qq`` or ``quora`` (its duplicates: a question
            and those that ask the same, without negatives), or several joined with ``+``.
        data: Access to the data sets.
        limit: Number of queries of all sets together, or None for all.

    Returns:
        Queries in the order of the SHA-256 of their texts, which no seed changes.

    Raises:
        DataError: There is no such set, or its data is missing or changed.
    """
    found = [
        query
        for ref in _refs(name)
        for query in (_duplicates if ref.startswith("paraphrase/") else _ranked)(data.rows(ref))
    ]
    kept = [query for query in found if query.text.strip() and query.positives]
    return sorted(kept, key=lambda query: text_digest(query.text))[:limit]


def retrieval_fingerprint(name: str, data: DataAccess) -> str:
    """Identify the queries without reading them, and check that all sets are there.

    Raises:
        DataError: There is no such set, or its data is missing or changed.
    """
    return fingerprint([data.sha256(ref) for ref in _refs(name)])


def retrieval_datasets(name: str) -> tuple[str, ...]:
    """Data sets of datasets.toml that the queries come from, ``family/set``.

    Raises:
        DataError: There is no such set.
    """
    return tuple(ref.partition(":")[0] for ref in _refs(name))


def _refs(name: str) -> list[str]:
    parts = name.split("+")
    for part in parts:
        if part not in RETRIEVAL:
            known = ", ".join(RETRIEVAL)
            raise DataError(
                f"unknown retrieval set {part!r}; choose one of {known}, or several joined with +"
            )
    return [RETRIEVAL[part] for part in dict.fromkeys(parts)]


def _ranked(rows: Iterable[Row]) -> Iterator[Query]:
    for row in rows:
        yield Query(row["query"], _texts(row["positive"]), _texts(row["negative"]))


def _duplicates(rows: Iterable[Row]) -> Iterator[Query]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["label"] == 1:
            found.setdefault(row["sentence1"], []).append(row["sentence2"])
    for text, same in found.items():
        yield Query(text, _texts(same), ())


def _texts(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in given if text.strip()))
