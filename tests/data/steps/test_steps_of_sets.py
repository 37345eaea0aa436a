"""Steps that look at all rows of a set: order, repeats, splits by words, triplets."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from bench.data.rows import Row
from bench.data.steps import text_key
from tests.support.steps import applied, labelled, texts, word_split, words_of

WORDS = st.text("abAB-", min_size=1, max_size=3)


def test_the_first_of_the_same_texts_is_kept() -> None:
    rows = [{"a": "One", "b": "two"}, {"a": "one!", "b": "Two"}, {"a": "onetwo", "b": ""}]
    assert applied(rows, {"step": "distinct", "columns": ["a", "b"]}) == [rows[0], rows[2]]


def test_rows_are_sorted_each_once() -> None:
    rows = [{"a": a, "b": b, "kept": True} for a, b in ("bx", "ab", "Bx", "bx", "aa")]
    found = applied(rows, {"step": "sorted", "columns": ["a", "b"]})
    assert [row["a"] + row["b"] for row in found] == ["Bx", "aa", "ab", "bx"]
    assert all(row["kept"] for row in found)


@given(st.lists(st.text(), max_size=30), st.integers())
def test_the_seed_alone_decides_an_order(values: list[str], seed: int) -> None:
    shuffle = {"step": "shuffle", "seed": seed}
    found = applied(texts(*values), shuffle)
    assert found == applied(iter(texts(*values)), shuffle)
    assert sorted(found, key=lambda row: row["kept"]) == texts(*values)


def test_another_seed_gives_another_order() -> None:
    rows = texts(*map(str, range(50)))
    orders = [applied(rows, {"step": "shuffle", "seed": seed}) for seed in (0, 1)]
    assert rows not in orders
    assert orders[0] != orders[1]


def test_sentences_are_told_by_their_length_and_letters() -> None:
    rows = texts("two words", " now\u2028three \t words ", "four of the words", "NO LOWER CASE")
    rows += texts("a lost \ufffd", "five of these words here", "", "Ü ß 1")
    found = applied(rows, {"step": "sentences", "column": "text", "least": 3, "most": 4})
    assert found == [
        {"text": "now three words", "kept": 1},
        {"text": "four of the words", "kept": 2},
    ]


def test_words_are_split_in_shares_whatever_their_case() -> None:
    rows = [
        {"word": word, "definition": f"{kind} {number}"}
        for number in range(205)
        for kind, word in (("noun", f"word{number}"), ("verb", f"Word{number}"))
    ]
    parts = {split: word_split(rows, split) for split in ("train", "valid", "test")}
    assert {split: len(words_of(part)) for split, part in parts.items()} == {
        "train": 165,
        "valid": 20,
        "test": 20,
    }
    assert sorted(chain(*parts.values()), key=rows.index) == rows
    for split, part in parts.items():
        assert part == sorted(part, key=rows.index)
        assert word_split(rows, split) == part
        assert words_of(word_split(rows[::-1], split)) == words_of(part)
    assert word_split(rows, "test", seed=1) != parts["test"]


@given(st.lists(st.fixed_dictionaries({"word": WORDS, "definition": WORDS})), st.integers(2, 4))
def test_no_word_is_in_two_splits_and_no_definition_is_told_in_training(
    rows: list[Row], words_in: int
) -> None:
    train, valid, test = (word_split(rows, split, words_in) for split in ("train", "valid", "test"))
    words = [words_of(part) for part in (train, valid, test)]
    assert sum(map(len, words)) == len(set.union(*words))
    told = {text_key(row["definition"]) for row in train}
    assert not {text_key(row["definition"]) for row in (*valid, *test)} & told
    left = [row for row in rows if row not in (*train, *valid, *test)]
    assert all(text_key(row["definition"]) in told for row in left)


def test_triplets_go_through_the_shorter_list_again() -> None:
    rows = labelled(
        ("s", "p", "yes 1", "Entailment"),
        ("s", "p", "no 1", "contradiction"),
        ("s", "q", "yes 4", "entailment"),
        ("s", "p", "yes 2", "ENTAILMENT"),
        ("s", "p", "maybe", "neutral"),
        ("s", "p", "no 2", "contradiction"),
        ("s", "p", "yes 3", "entailment"),
        ("s", "r", "no 3", "contradiction"),
    )
    found = applied(rows, {"step": "triplets"})
    assert [tuple(row.values()) for row in found] == [
        ("p", "yes 1", "no 1", "s"),
        ("p", "yes 2", "no 2", "s"),
        ("p", "yes 3", "no 1", "s"),
    ]
    assert {tuple(row) for row in found} == {("sent0", "sent1", "hard_neg", "source")}


def test_triplets_are_of_one_source_and_each_once() -> None:
    rows = labelled(
        ("s", "p", "yes", "entailment"),
        ("t", "p", "no", "contradiction"),
        ("s", "p", "no", "contradiction"),
        ("s", "p", "no", "contradiction"),
        ("t", "p", "yes", "entailment"),
        ("u", "p", "yes", "entailment"),
    )
    triplet = {"sent0": "p", "sent1": "yes", "hard_neg": "no"}
    assert applied(rows, {"step": "triplets"}) == [{**triplet, "source": "s"}]


def test_triplets_of_other_labels() -> None:
    rows = labelled(("s", "p", "yes", "1"), ("s", "p", "no", "0"))
    found = applied(rows, {"step": "triplets", "entailment": "1", "contradiction": "0"})
    assert found == [{"sent0": "p", "sent1": "yes", "hard_neg": "no", "source": "s"}]
