"""Queries to train on: none without a positive, one order, none of a test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core.cache import Cache
from bench.core.errors import DataError
from bench.data.access import DataAccess
from bench.data.retrieval import (
    RETRIEVAL,
    Queries,
    Query,
)

ROWS = {
    "reranking/wikiqa:train": [
        {"query": "where", "positive": ["here", "", "here"], "negative": ["there", " "]},
        {"query": "why", "positive": [], "negative": ["so"]},
        {"query": "", "positive": ["so"], "negative": []},
        {"query": "when", "positive": ["now"], "negative": []},
    ],
    "paraphrase/quora:dev#train": [
        {"sentence1": "who", "sentence2": "what person", "label": 1},
        {"sentence1": "how", "sentence2": "what way", "label": 0},
        {"sentence1": "who", "sentence2": "which one", "label": 1},
    ],
}


class Made:
    """Rows that are made up."""

    def rows(self, ref: str) -> list[dict[str, Any]]:
        """Rows of a reference."""
        return ROWS[ref]

    def sha256(self, ref: str) -> str:
        """The reference itself."""
        return ref


MADE: Any = Made()


@pytest.fixture
def data(data_folder: Path, tmp_path: Path) -> DataAccess:
    """The data folder."""
    cache = Cache(tmp_path)
    return DataAccess(data_folder, cache.data, cache.hashes(), offline=True)


def test_queries_have_positives_and_no_empty_text() -> None:
    found = Queries("wikiqa").load(MADE)
    assert set(found) == {Query("where", ("here",), ("there",)), Query("when", ("now",), ())}


def test_duplicates_of_a_question_are_its_positives() -> None:
    assert Queries("quora").load(MADE) == [Query("who", ("what person", "which one"), ())]


def test_several_sets_are_one_list_in_an_order_of_its_own() -> None:
    joined, turned = (Queries(name).load(MADE) for name in ("wikiqa+quora", "quora+wikiqa"))
    assert joined == turned
    assert len(joined) == 3
    each = Queries("wikiqa+quora", each=1)
    assert each.load_sets(MADE) == {
        name: Queries(name, each=1).load(MADE) for name in ("wikiqa", "quora")
    }
    assert Queries("quora+quora").load(MADE) == Queries("quora").load(MADE)


def test_identity_and_data_sets_follow_the_name() -> None:
    names = ("wikiqa", "quora", "wikiqa+quora")
    assert len({Queries(name).fingerprint(MADE) for name in names}) == 3
    assert Queries("wikiqa+quora").datasets == ("reranking/wikiqa", "paraphrase/quora")


def test_an_unknown_set_is_named_with_the_known_ones() -> None:
    unknown = Queries("wikiqa+msmarco")
    for ask in (unknown.load, unknown.fingerprint):
        with pytest.raises(DataError, match="'msmarco'; choose one of wikiqa, trecqa, semeval"):
            ask(MADE)
    with pytest.raises(DataError, match="unknown retrieval set ''"):
        _ = Queries("").datasets


def test_the_published_rows(data: DataAccess) -> None:
    counts = {name: len(Queries(name).load(data)) for name in RETRIEVAL}
    assert counts["wikiqa"] == 873
    assert counts["trecqa"] == 83
    assert counts["semeval16_qq"] == 237
    assert 4_000 < counts["quora"] < 5_000
    assert len(Queries("+".join(RETRIEVAL)).load(data)) == sum(counts.values())
    assert max(len(query.positives) for query in Queries("quora").load(data)) > 1
    assert all(not query.negatives for query in Queries("quora").load(data))
    first = Queries("wikiqa", each=5).load(data)
    assert first == Queries("wikiqa").load(data)[:5]
    assert len(Queries("+".join(RETRIEVAL)).fingerprint(data)) == 32
