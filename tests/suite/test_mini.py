"""The embedded sets are what their datasheets say, and no two rows of theirs are alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from bench.data.rows import Row, read_rows
from bench.suite import load_suite

FOLDER = load_suite("mini").path.parent / "mini"
SETS = ("sts-mini", "intent-mini", "nli-mini", "rerank-mini")


def rows(name: str) -> list[Row]:
    return read_rows(FOLDER / f"{name}.jsonl")


def texts(row: Row) -> Iterator[str]:
    for column, value in row.items():
        if column not in {"label", "phenomenon", "score"}:
            yield from value if isinstance(value, list) else [value]


def four_grams(row: Row) -> set[tuple[str, ...]]:
    words = [re.findall(r"[\w']+", text.lower()) for text in texts(row)]
    return {tuple(w[i : i + 4]) for w in words for i in range(len(w) - 3)}


@pytest.mark.parametrize("name", SETS)
def test_rows_share_next_to_no_four_grams(name: str) -> None:
    counts = Counter(gram for row in rows(name) for gram in four_grams(row))
    assert max(counts.values()) <= 2
    assert sum(count > 1 for count in counts.values()) <= 10


@pytest.mark.parametrize("name", SETS)
def test_no_text_comes_twice_and_every_row_names_its_phenomenon(name: str) -> None:
    plain = [re.sub(r"\W+", " ", t).strip().lower() for row in rows(name) for t in texts(row)]
    assert all(plain)
    assert len(set(plain)) == len(plain)
    assert all(re.fullmatch(r"[a-z_]+", row["phenomenon"]) for row in rows(name))


def test_labels_are_even() -> None:
    assert set(Counter(row["label"] for row in rows("intent-mini")).values()) == {40}
    assert set(Counter(row["label"] for row in rows("nli-mini")).values()) == {80}
    pairs = Counter((row["phenomenon"], row["label"]) for row in rows("nli-mini"))
    assert len(pairs) == 27


def test_queries_have_three_of_twelve_candidates_right() -> None:
    found = rows("rerank-mini")
    assert len(found) == 40
    assert {(len(row["positive"]), len(row["negative"])) for row in found} == {(3, 9)}


def test_sts_scores_are_spread_evenly() -> None:
    scores = [row["score"] for row in rows("sts-mini")]
    assert len(scores) >= 200
    sixths = Counter(min(int(score / 5 * 6), 5) for score in scores)
    assert max(sixths.values()) <= 1.5 * min(sixths.values())


@pytest.mark.parametrize("name", SETS)
def test_datasheets_count_the_phenomena(name: str) -> None:
    sheet = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([a-z]+_?[a-z]+) \| (\d+) \| [a-z]", sheet, re.MULTILINE)
    if name != "rerank-mini":
        counted = Counter(row["phenomenon"] for row in rows(name))
        assert {phenomenon: int(n) for phenomenon, n in listed} == counted
