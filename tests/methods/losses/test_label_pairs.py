"""Deletion noise, the correction of imbalance, and pairs (spec §5.3, §10.1, §10.4, §10.5)."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.losses.denoising import delete_words, noisy_copies
from bench.methods.losses.label_pairs import (
    Correction,
    corrected,
    cosine_of,
    draw_pairs,
    path_of,
    repetitions,
    share_of_ratio,
    shuffles,
    without_stop_words,
)

PAPER, EXTRA, NONE = Correction(4, 1.5), Correction(20, 1.5), Correction(1, 1)
LARGEST = st.integers(2, 5_000)


@given(LARGEST, st.floats(0, 1))
def test_the_share_falls_linearly_in_the_logarithm(largest: int, a: float) -> None:
    assert share_of_ratio(1, largest, 4) == pytest.approx(4)
    assert share_of_ratio(largest, largest, 4) == pytest.approx(0, abs=1e-9)
    size: float = largest**a
    assert share_of_ratio(size, largest, 4) == pytest.approx(4 * (1 - a), abs=1e-9)
    base_two = 4 * math.log2(largest / size) / math.log2(largest)
    assert share_of_ratio(size, largest, 4) == pytest.approx(base_two, abs=1e-9)


def test_the_share_has_the_edges_of_the_paper() -> None:
    assert share_of_ratio(1000, 10_000, 4) == pytest.approx(1)  # M^(3/4)
    assert share_of_ratio(32, 256, 4) == pytest.approx(1.5)  # M^(5/8)
    found = [share_of_ratio(size, 1000, 4) for size in range(1, 1001)]
    assert all(one > two for one, two in pairwise(found))


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (1000, {1: 4, 2: 4, 5: 3, 10: 3, 50: 2, 100: 1, 1000: 1}),
        (100, {1: 4, 2: 3, 5: 3, 10: 2, 50: 1, 100: 1}),
    ],
)
def test_repetitions_of_the_paper(largest: int, expected: dict[int, int]) -> None:
    assert {size: repetitions(size, largest, PAPER) for size in expected} == expected


@given(LARGEST, st.data())
def test_the_steps_of_the_repetitions(largest: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, largest))
    exponent = math.log(size) / math.log(largest)
    if min(abs(exponent - edge) for edge in (1 / 8, 3 / 8, 5 / 8)) < 1e-6:
        return
    expected = 4 if exponent < 1 / 8 else 3 if exponent < 3 / 8 else 2 if exponent < 5 / 8 else 1
    assert repetitions(size, largest, PAPER) == expected


def test_edges_that_floats_miss() -> None:
    # x = M^(1/8), M^(3/8) and M^(5/8) of M = 2^8 and 3^8: the even one of two, and r itself.
    for base in (2, 3):
        assert [repetitions(base**k, base**8, PAPER) for k in (1, 3, 5)] == [4, 2, 2]


@given(LARGEST, st.data())
def test_no_class_shrinks(largest: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, largest))
    for correction in (PAPER, EXTRA):
        ratio = repetitions(size, largest, correction)
        assert 1 <= ratio <= correction.max_ratio
        edge = largest ** (1 - correction.min_ratio / correction.max_ratio)
        if size == largest or size > edge * (1 + 1e-6):
            assert ratio == 1
    assert repetitions(size, largest, NONE) == 1
    if largest >= 4:
        assert repetitions(size, largest, PAPER) * size <= largest


def test_with_a_large_ratio_a_class_may_overtake() -> None:
    assert repetitions(1667, 5000, EXTRA) * 1667 > 5000


def test_a_single_row_divides_by_nothing() -> None:
    assert repetitions(1, 1, PAPER) == 1
    texts = ["one", "two", "three"]
    assert corrected(texts, [0, 1, 2], PAPER) == (texts, [0, 1, 2])
    assert corrected(texts * 5, [0, 1, 2] * 5, EXTRA) == (texts * 5, [0, 1, 2] * 5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.booleans())
def test_rows_that_are_added_are_of_their_class(classes: list[int], stop_words: bool) -> None:
    texts = [f"the row {i} of it" for i in range(len(classes))]
    found, numbers = corrected(texts, classes, Correction(4, 1.5, stop_words))
    assert (found[: len(texts)], numbers[: len(texts)]) == (texts, classes)
    own = dict(zip(texts, classes, strict=True))
    own |= {f"row {i}": number for i, number in enumerate(classes)}
    assert all(own[text] == number for text, number in zip(found, numbers, strict=True))
    if not stop_words:
        before, after = Counter(classes), Counter(numbers)
        most = max(before.values())
        for number, size in before.items():
            assert after[number] == size * repetitions(size, most, PAPER)


def test_repeated_classes_have_texts_without_stop_words_once() -> None:
    texts = ["where is it", "book a table", *(f"play number {i}" for i in range(64))]
    classes = [0, 1, *[2] * 64]
    found, numbers = corrected(texts, classes, PAPER)
    counts = Counter(zip(found, numbers, strict=True))
    # Nothing is left of the first; the second has two rows then, each of them four or three times.
    assert counts["where is it", 0] == 4
    assert counts["book a table", 1] == counts["book table", 1] == repetitions(2, 64, PAPER) == 3
    assert sum(number == 2 for number in numbers) == 64
    assert corrected(texts, classes, NONE) == (texts, classes)
    assert without_stop_words("Book THE table") == "Book table"
    assert without_stop_words("book table") is without_stop_words("where is it") is None


def test_labels_are_paths() -> None:
    assert path_of("LOC:city", ":") == ("LOC", "city")
    assert path_of("LOC:city", "") == ("LOC:city",)
    assert path_of(3, ":") == ("3",)
    labels = [("LOC", "city"), ("LOC", "state"), ("NUM", "city"), ("NUM", "count")]
    found = {(a, b): cosine_of(a, b, 2) for a in labels for b in labels}
    assert set(found.values()) == {0, 0.5, 1}
    assert all(found[a, b] == found[b, a] for a, b in found)
    assert found[labels[0], labels[1]] == 0.5
    assert found[labels[0], labels[2]] == 0  # the second level alone
    flat = [cosine_of((a,), (b,), 1) for a in "xyz" for b in "xyz"]
    assert Counter(flat) == {1.0: 3, 0.0: 6}
    assert cosine_of(("LOC",), ("LOC",), 2) == 1
    assert cosine_of(("LOC",), ("LOC", "city"), 2) == 0.5


@pytest.mark.parametrize(
    ("classes", "expected"), [(2, 4), (3, 4), (4, 8), (7, 8), (10, 12), (99, 24), (100, 4)]
)
def test_shuffles(classes: int, expected: int) -> None:
    assert shuffles(classes, 4) == expected


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["A:x", "A:y", "B:x"]), min_size=2, max_size=30), st.integers(0, 9))
def test_pairs_are_different_balanced_and_repeatable(labels: list[str], seed: int) -> None:
    # Two rows in three have a text of their own.
    texts = [f"text {i - i % 3 // 2}" for i in range(len(labels))]
    paths = [path_of(label, ":") for label in labels]
    found = draw_pairs(texts, paths, 6, seed)
    keys = [frozenset(pair) for pair in found.texts]
    assert all(len(key) == 2 for key in keys)
    distinct = len(set(texts))
    assert len(set(keys)) == len(keys) <= distinct * (distinct - 1) / 2
    assert len(set(Counter(found.cosines).values())) <= 1
    assert found == draw_pairs(texts, paths, 6, seed)


def test_pairs_have_a_limit() -> None:
    texts = [f"text {i}" for i in range(60)]
    paths = [(str(i % 3),) for i in range(60)]
    few = draw_pairs(texts, paths, 6, 0, 20)
    assert Counter(few.cosines) == {0.0: 10, 1.0: 10}
    assert draw_pairs(texts, paths, 6, 1, 20).texts != few.texts
    alone = draw_pairs(["a", "b"], [("0",), ("1",)], 5, 0)
    assert [sorted(pair) for pair in alone.texts] == [["a", "b"]]
    assert len(draw_pairs(["a", "a"], [("0",), ("1",)], 5, 0)) == 0


WORDS = st.lists(st.text("abc,.", min_size=1, max_size=4), min_size=1, max_size=30)


@given(WORDS, st.floats(0, 1), st.integers(0, 99))
def test_noise_leaves_a_subsequence(words: list[str], ratio: float, seed: int) -> None:
    kept = delete_words("  ".join(words), ratio, np.random.default_rng(seed)).split(" ")
    left = iter(words)
    assert kept != [""]
    assert all(word in left for word in kept)


def test_noise_at_both_ends_and_on_the_mean() -> None:
    rng = np.random.default_rng(0)
    text = " ".join(f"w{i}" for i in range(400))
    assert delete_words("a\tb  c", 0, rng) == "a b c"
    assert len(delete_words(text, 1, rng).split()) == 1
    shares = [len(delete_words(text, 0.6, rng).split()) / 400 for _ in range(50)]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.02)


def test_every_copy_has_noise_of_its_own() -> None:
    text = " ".join(f"w{i}" for i in range(30))
    rows = noisy_copies([text, "", " ", "one"], 3, 0.5, 0)
    assert Counter(whole for _, whole in rows) == {text: 3, "one": 3}
    assert len({noisy for noisy, whole in rows if whole == text}) == 3
    assert rows == noisy_copies([text, "", " ", "one"], 3, 0.5, 0)
    assert {whole for _, whole in noisy_copies([text, "one"], 3, 0.5, 0, limit=2)} == {text, "one"}
    assert noisy_copies(["", " "], 3, 0.5, 0) == []
