"""Retrieval and what may never be retrieved (invariants 2 and 9 of the method)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.ensemble.augment import augment, replace_words
from bench.methods.ensemble.retrieval import HeldOut, clean_pool, drawn, item_vectors
from bench.methods.parts.nearest import ABSENT, nearest

TABLE = {"farm": ("ranch",), "hound": ("dog", "mutt")}


def units(n: int, d: int, seed: int) -> np.ndarray:
    vectors: Any = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@given(st.integers(1, 6), st.integers(0, 9), st.integers(1, 12), st.booleans())
def test_neighbours_are_the_nearest_and_sorted(n: int, m: int, k: int, own: bool) -> None:
    pool, queries = units(m, 4, 0), units(n, 4, 1)
    rows = np.arange(n) % m if own and m else None
    if rows is not None:
        queries = pool[rows]
    found = nearest(queries, pool, k, None if rows is None else rows[:, None])
    for i in range(n):
        others = [j for j in range(m) if rows is None or j != rows[i]]
        expected = sorted(others, key=lambda j: (-float(queries[i] @ pool[j]), j))[:k]
        kept = found.rows[i][found.rows[i] != ABSENT]
        cosines = found.similarity[i][: len(kept)]
        assert len(kept) == len(expected)
        assert (np.diff(cosines) <= 0).all()
        np.testing.assert_allclose(cosines, [queries[i] @ pool[j] for j in expected], atol=1e-6)
        assert np.isnan(found.similarity[i][len(kept) :]).all()


def test_equal_cosines_come_in_the_order_of_the_pool() -> None:
    pool = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    found = nearest(pool[1:2], pool, 3, [[2]])
    assert found.rows.tolist() == [[1, 3, 0]]


@given(st.integers(0, 7), st.integers(1, 9), st.integers(0, 3))
def test_drawn_neighbours_are_others_and_none_twice(m: int, k: int, seed: int) -> None:
    own = np.arange(m)
    rows = drawn(m, m, k, seed, own)
    for i in range(m):
        kept = rows[i][rows[i] != ABSENT]
        assert len(set(kept)) == len(kept) == min(k, m - 1)
        assert i not in kept
        assert ((kept >= 0) & (kept < m)).all()
    assert (rows == drawn(m, m, k, seed, own)).all()


def test_pairs_have_the_mean_of_both_cosines() -> None:
    vectors = {"a": [1.0, 0], "b": [0, 2.0], "c": [3.0, 3.0]}

    def encode(texts: Sequence[str]) -> Any:
        return np.array([vectors[text] for text in texts], np.float32)

    one, two = item_vectors([("a", "b"), ("c", "b")], encode)
    assert one @ two == pytest.approx((np.sqrt(0.5) + 1) / 2)
    assert one @ one == pytest.approx(1)


def test_a_poisoned_pool_is_cleaned() -> None:
    pool = [
        ("A test row.",),
        ("a TEST   row",),
        ("in the dev rows",),
        ("gold text",),
        ("Gold, text!",),
        ("fine",),
        ("Fine.",),
        ("?!",),
        ("!?",),
        ("other",),
    ]
    gold = [("gold text",), ("!",)]
    found = clean_pool(pool, gold, HeldOut([("A test row.",), ("in the dev rows",), ("?!",)]))
    assert [pool[row][0] for row in found.rows] == ["fine", "!?", "other"]
    assert found.removed == {"held_out": 4, "gold": 2, "repeated": 1}


def test_a_poisoned_pool_of_pairs_is_cleaned() -> None:
    pool = [("t1", "x"), ("y", "T2!"), ("g2", "g1"), ("g1", "z"), ("u", "v"), ("V", "U")]
    found = clean_pool(pool, [("g1", "g2")], HeldOut([("t1", "t2")]))
    assert [pool[row] for row in found.rows] == [("g1", "z"), ("u", "v")]
    assert found.removed == {"held_out": 2, "gold": 1, "repeated": 1}


@given(st.lists(st.sampled_from(["one", "One!", "two", "test", " TEST", "g", "G."]), max_size=9))
def test_nothing_that_is_left_is_held_out_or_gold_or_twice(texts: list[str]) -> None:
    pool = [(text,) for text in texts]
    found = clean_pool(pool, [("g",)], HeldOut([("Test",)]))
    left = [texts[row].strip(" !.").lower() for row in found.rows]
    assert len(set(left)) == len(left)
    assert not {"test", "g"} & set(left)
    assert len(left) + sum(found.removed.values()) == len(texts)


def test_about_a_tenth_of_the_words_are_replaced_and_one_at_least() -> None:
    text = " ".join(["farm"] * 500)
    (found,) = replace_words([text], TABLE, 0)
    assert 25 < found.split().count("ranch") < 80
    assert replace_words(["Old farm, no hay."], TABLE, 0, rate=0.0) == ["Old ranch, no hay."]
    assert replace_words(["nothing here"], TABLE, 0) == ["nothing here"]
    assert replace_words([text], TABLE, 1) != [found]


def test_variants_stay_near_and_are_not_held_out() -> None:
    items = [("farm one",), ("far off",), ("same",), ("leak",)]
    made = {"farm one": "ranch one", "far off": "up there", "same": "Same!", "leak": "a test row"}
    places = {"ranch one": [1.0, 0.1], "up there": [0.0, 1.0], "a test row": [1.0, 0.0]}

    def encode(texts: Sequence[str]) -> Any:
        return np.array([places.get(text, [1.0, 0.0]) for text in texts], np.float32)

    found = augment(
        items,
        item_vectors(items, encode),
        {"syn": lambda texts: [made[text] for text in texts], "none": list},
        encode,
        0.7,
        HeldOut([("A test row",)]),
    )
    assert found.items == [("ranch one",)]
    assert found.sources.tolist() == [0]
    assert (found.made, found.kept) == ({"syn": 2, "none": 0}, {"syn": 1, "none": 0})
