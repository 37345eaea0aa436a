"""What becomes of rows, step by step."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.errors import DataError
from bench.data.steps import Step, text_key
from tests.support.steps import STEP, applied, texts

KINDS = get_args(get_args(Step)[0])
ROW = {
    "text": " Two  Words ",
    "number": "1",
    "list": ["one text", "", "another"],
    "premise": "p",
    "hypothesis": "h",
    "label": "entailment",
    "source": "s",
}
EXAMPLES: list[dict[str, Any]] = [
    {"step": "only", "column": "text", "pattern": "o"},
    {"step": "replace", "columns": ["text"], "pattern": "o", "by": "0"},
    {"step": "fill", "column": "new", "template": "{text}"},
    {"step": "values", "column": "number", "values": {"1": 2}},
    {"step": "number", "column": "number", "type": "int"},
    {"step": "lower", "column": "text"},
    {"step": "gather", "columns": ["text", "number"], "into": "both"},
    {"step": "flatten", "column": "list"},
    {
        "step": "candidates",
        "by": "text",
        "query": "premise",
        "candidate": "hypothesis",
        "relevance": "number",
        "relevant": ["1"],
    },
    {"step": "unlike", "columns": ["text", "list"]},
    {"step": "distinct", "columns": ["text"]},
    {"step": "sorted", "columns": ["text"]},
    {"step": "shuffle", "seed": 0},
    {"step": "sentences", "column": "text", "least": 1, "most": 9},
    {
        "step": "word_split",
        "word": "text",
        "definition": "premise",
        "small": ["valid", "test"],
        "large": "train",
        "words_in": 10,
        "seed": 0,
    },
    {"step": "triplets"},
]
NAMES = [given["step"] for given in EXAMPLES]


def test_each_step_has_its_own_word() -> None:
    found = [type(STEP.validate_python(given)) for given in EXAMPLES]
    assert found == list(KINDS)
    words = [get_args(kind.model_fields["step"].annotation) for kind in KINDS]
    assert words == [(name,) for name in NAMES]
    assert len(set(NAMES)) == len(KINDS)


@pytest.mark.parametrize("options", EXAMPLES, ids=NAMES)
@given(option=st.text(min_size=1))
def test_unknown_options_are_refused(options: dict[str, Any], option: str) -> None:
    if option not in type(STEP.validate_python(options)).model_fields:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            STEP.validate_python({**options, option: 1})


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ValidationError, match="'sort' found using 'step' does not match"):
        STEP.validate_python({"step": "sort", "columns": ["text"]})


@pytest.mark.parametrize("options", EXAMPLES, ids=NAMES)
def test_rows_that_are_given_stay_as_they_are(options: dict[str, Any]) -> None:
    rows = [ROW, {**ROW, "text": "other", "hypothesis": "i", "label": "contradiction"}]
    before = copy.deepcopy(rows)
    assert applied(rows, options)
    assert rows == before


@pytest.mark.parametrize("options", EXAMPLES, ids=NAMES)
def test_no_rows_stay_none(options: dict[str, Any]) -> None:
    assert applied([], options) == []


@pytest.mark.parametrize(
    "options",
    [given for given in EXAMPLES if given["step"] != "shuffle"],
    ids=lambda options: options["step"],
)
def test_a_row_without_a_column_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^a row has no column '\w+'$"):
        applied([{"other": "x"}], options)


def test_steps_follow_each_other() -> None:
    steps: list[dict[str, Any]] = [
        {"step": "fill", "column": "number", "template": "{text}"},
        {"step": "number", "column": "number", "type": "int"},
        {"step": "only", "column": "text", "pattern": "1"},
    ]
    assert applied(texts("12", "2"), *steps) == [{"text": "12", "number": 12, "kept": 0}]
    assert applied(texts("12")) == texts("12")


@given(st.text(), st.text())
def test_the_key_of_a_text_holds_latin_letters_and_digits_only(one: str, other: str) -> None:
    assert set(text_key(one)) <= set("abcdefghijklmnopqrstuvwxyz0123456789")
    assert text_key(text_key(one)) == text_key(one)
    assert text_key(f"{one} ,;. {other}") == text_key(one) + text_key(other)


def test_texts_that_differ_in_case_blanks_and_marks_have_one_key() -> None:
    assert text_key("It's  a Test, No. 1!") == text_key("its a test no 1") == "itsatestno1"


def test_only_rows_that_match_are_kept() -> None:
    only = {"step": "only", "column": "text", "pattern": r"\S"}
    assert applied(texts("a", " \t", " b"), only) == [
        {"text": "a", "kept": 0},
        {"text": " b", "kept": 2},
    ]


def test_what_matches_is_replaced_and_blanks_around_are_dropped() -> None:
    rows = [{"a": ' "x  y" ', "b": "x y", "c": " x  y "}]
    replace = {"step": "replace", "columns": ["a", "b"], "pattern": r'"|( )+', "by": r"\1"}
    assert applied(rows, replace) == [{"a": "x y", "b": "x y", "c": " x  y "}]


def test_a_column_is_made_by_a_template() -> None:
    rows = [{"title": "A", "text": "b {title}", "label": 1}]
    fill = {"step": "fill", "column": "text", "template": "{title} {text} {label}"}
    assert applied(rows, fill) == [{"title": "A", "text": "A b {title} 1", "label": 1}]


def test_whole_values_are_replaced_and_others_are_an_error() -> None:
    values = {"step": "values", "column": "text", "values": {"yes": 1, "no": "0"}}
    assert [row["text"] for row in applied(texts("yes", "no"), values)] == [1, "0"]
    with pytest.raises(DataError, match=r"^row 2: text is 'yes '$"):
        applied(texts("yes", "yes "), values)


def test_numbers_are_made_of_texts() -> None:
    rows = texts(" 3 ", "-1.0", "1e2", 4)
    whole = applied(rows, {"step": "number", "column": "text", "type": "int"})
    broken = applied([*rows, *texts("0.25")], {"step": "number", "column": "text", "type": "float"})
    assert [(row["text"], type(row["text"])) for row in whole] == [
        (number, int) for number in (3, -1, 100, 4)
    ]
    assert [(row["text"], type(row["text"])) for row in broken] == [
        (number, float) for number in (3.0, -1.0, 100.0, 4.0, 0.25)
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [(kind, text) for kind in ("int", "float") for text in ("", "one", "1,5", "nan", "-inf")]
    + [("int", "0.5")],
)
def test_what_is_no_number_is_an_error(kind: str, text: str) -> None:
    with pytest.raises(DataError, match=rf"^row 2: text is '{text}', not a number$"):
        applied(texts("1", text), {"step": "number", "column": "text", "type": kind})


def test_a_column_in_lower_case() -> None:
    lower = {"step": "lower", "column": "text"}
    assert applied(texts(" NEUTRAL Ü "), lower) == texts("neutral ü")


def test_columns_are_gathered_and_flattened() -> None:
    rows = [{"r1": "b", "id": 1, "r0": "a"}]
    gather = {"step": "gather", "columns": ["r0", "r1"], "into": "all"}
    flatten = {"step": "flatten", "column": "all"}
    assert applied(rows, gather) == [{"id": 1, "all": ["a", "b"]}]
    assert applied(rows, gather, flatten) == [{"id": 1, "all": "a"}, {"id": 1, "all": "b"}]
    assert applied([{"all": "text"}, {"all": []}], flatten) == [{"all": "text"}]


def test_candidates_of_a_query_come_together() -> None:
    columns = ("id", "query", "candidate", "relevance")
    rows = [
        dict(zip(columns, values, strict=True))
        for values in [
            ("2", "Why?", "a", "Good"),
            ("1", "How?", "b", "Bad"),
            ("2", "Why not?", "c", "Bad"),
            ("2", "Why?", "d", "Best"),
            ("2 ", "why", "e", "good"),
        ]
    ]
    candidates = {"step": "candidates", "by": "id", "relevant": ["Good", "Best"]}
    others = {"query": "How?", "positive": [], "negative": ["b"]}
    assert applied(rows, candidates) == [
        {"query": "Why?", "positive": ["a", "d"], "negative": ["c"]},
        others,
        {"query": "why", "positive": [], "negative": ["e"]},
    ]
    assert applied(rows, {**candidates, "loose": True}) == [
        {"query": "Why?", "positive": ["a", "d"], "negative": ["c", "e"]},
        others,
    ]


def test_rows_with_a_text_of_the_evaluation_splits_are_left_out() -> None:
    rows = [{"a": "One two.", "b": "x"}, {"a": "x", "b": "ONE, two"}, {"a": "one", "b": "two"}]
    assert applied(rows, {"step": "unlike", "columns": ["a", "b"]}, held=["one two"]) == rows[2:]
    assert applied(rows, {"step": "unlike", "columns": ["a"]}, held=["one two"]) == rows[1:]


def test_rows_with_a_text_of_another_split_are_left_out() -> None:
    others = {"f/s:test": [{"a": "one", "b": "TWO!", "c": "three"}]}
    unlike = {"step": "unlike", "columns": ["text"], "ref": "f/s:test", "ref_columns": ["a", "b"]}
    rows = texts("One", "two", "three", "four")
    assert applied(rows, unlike, others=others, held=["four"]) == rows[2:]


def test_rows_of_lists_lose_texts_and_go_where_fewer_than_two_are_left() -> None:
    rows = texts(["a", "held", "", "b"], ["a", "Held."], ["a"], ["a", "b"], [])
    unlike = {"step": "unlike", "columns": ["text"]}
    assert applied(rows, unlike, held=["held"]) == [
        {"text": ["a", "b"], "kept": 0},
        {"text": ["a", "b"], "kept": 3},
    ]


def test_lists_and_texts_of_a_row_count_together() -> None:
    rows = [{"q": "held", "l": ["a", "b"]}, {"q": "x", "l": ["a", "b", "held"]}]
    unlike = {"step": "unlike", "columns": ["q", "l"]}
    assert applied(rows, unlike, held=["held"]) == [{"q": "x", "l": ["a", "b"]}]


@pytest.mark.parametrize("options", EXAMPLES, ids=NAMES)
def test_what_a_step_reads_besides_its_rows(options: dict[str, Any]) -> None:
    step = STEP.validate_python(options)
    assert step.refs == ()
    assert step.reads_evaluation == (options["step"] == "unlike")


def test_a_step_says_which_other_split_it_reads() -> None:
    unlike = STEP.validate_python({"step": "unlike", "columns": ["text"], "ref": "f/s:test"})
    assert unlike.refs == ("f/s:test",)
    assert not unlike.reads_evaluation


@pytest.mark.parametrize(
    ("step", "value"),
    [
        ({"step": "only", "column": "text", "pattern": "x"}, 1),
        ({"step": "lower", "column": "text"}, 1),
        ({"step": "distinct", "columns": ["text"]}, None),
        ({"step": "fill", "column": "new", "template": "{}"}, "a"),
        ({"step": "fill", "column": "new", "template": "{text.x}"}, "a"),
        ({"step": "number", "column": "text", "type": "float"}, "1_000"),
        ({"step": "number", "column": "text", "type": "int"}, "1.5"),
        ({"step": "number", "column": "text", "type": "float"}, "1e999"),
        ({"step": "values", "column": "text", "values": {"a": 1}}, ["a"]),
    ],
)
def test_values_that_a_step_cannot_take(step: dict[str, Any], value: object) -> None:
    with pytest.raises(DataError):
        applied(texts(value), step)


def test_whole_numbers_are_exact() -> None:
    step = {"step": "number", "column": "text", "type": "int"}
    rows = applied(texts("9007199254740993", "2.0", " -3 "), step)
    assert [row["text"] for row in rows] == [9007199254740993, 2, -3]


def test_patterns_are_checked_before_they_are_used() -> None:
    with pytest.raises(ValidationError, match="is not a regular expression"):
        STEP.validate_python({"step": "only", "column": "text", "pattern": "("})
