"""The view of geometry: measures averaged over tasks and seeds, beside the score."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from bench.records.entries import GeometryEntry, Record
from bench.report.views.geometry import render
from tests.support.records import make_record

SCORES = {"S1": 0.5, "C": 0.3}


def entry(isoscore: float | None, apart: bool | None = True, **more: float) -> GeometryEntry:
    return GeometryEntry(texts=100, vectors=90, pairs=0, isoscore=isoscore, apart=apart, **more)


@pytest.fixture
def records() -> list[Record]:
    return [
        make_record("low", SCORES, geometry={"S1": entry(0.2), "C": entry(None)}),
        make_record(
            "high",
            {"S1": 0.9, "C": 0.7},
            trained=True,
            geometry={"S1": entry(0.1, alignment=0.5), "C": entry(0.3)},
        ),
        make_record(
            "high",
            {"S1": 0.8, "C": 0.6},
            trained=True,
            seed=1,
            geometry={"S1": entry(0.3, alignment=0.7), "C": entry(0.5)},
        ),
        make_record("old", SCORES),
    ]


def grid(text: str | None) -> list[list[str]]:
    assert text is not None
    return [line.split() for line in text.split("\n\n")[1].splitlines()]


def test_tasks_and_seeds_are_averaged(records: list[Record]) -> None:
    assert grid(render("cuts", records)) == [
        ["Method", "Dim", "Vectors", "IsoScore", "Align", "Avg"],
        *[["-" * len(rule) for rule in grid(render("cuts", records))[1]]],
        ["high", "local", "8", "90", "0.3000", "0.600", "75.00"],
        ["low", "8", "90", "0.2000*", "40.00"],
    ]


def test_what_is_not_defined_everywhere_is_marked(records: list[Record]) -> None:
    text = render("cuts", records)
    assert text is not None
    assert "* over fewer tasks than in other rows" in text
    alone = render("cuts", records[1:3])
    assert alone is not None
    assert "over fewer tasks" not in alone


def test_texts_that_may_be_of_one_pair_are_marked(records: list[Record]) -> None:
    old = make_record("older", SCORES, geometry={"S1": entry(0.2, None, alignment=0.5)})
    text = render("cuts", [*records, old])
    assert text is not None
    assert "¶ of texts of which two may be of one pair" in text
    rows = {row[0]: row for row in grid(text)}
    assert rows["older"] == ["older", "8", "90*¶", "0.2000*¶", "0.500", "40.00"]
    assert not any("¶" in cell for cell in rows["high"])
    alone = render("cuts", records)
    assert alone is not None and "¶" not in alone


def test_partial_records_keep_a_row_of_their_own(records: list[Record]) -> None:
    partial = make_record("low", SCORES, limit=5, geometry={"S1": entry(0.4)})
    rows = grid(render("cuts", [*records, partial]))
    assert [row[:3] for row in rows if "first" in row] == [["low", "first", "5"]]


def test_narrow_terminals_get_more_grids(records: list[Record]) -> None:
    text = render("cuts", records, width=34)
    assert text is not None
    grids = text.split("\n\n")[1:-1]
    assert len(grids) > 1
    assert all(found.startswith("Method") for found in grids)
    assert max(len(line) for line in text.splitlines()[2:]) <= 34


def test_markdown(records: list[Record]) -> None:
    evil = make_record("a", SCORES, geometry={"S1": entry(0.9)})
    evil = evil.model_copy(
        update={"method": evil.method.model_copy(update={"spec": "x|y`<img src=z>*"})}
    )
    text = render("cu*ts", [*records, evil], style="markdown")
    assert text is not None
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("td_open") == 3 * kinds.count("th_open")
    inline = {child.type for token in tokens for child in token.children or []}
    assert inline == {"text", "code_inline"}


def test_without_measures_there_is_nothing(records: list[Record]) -> None:
    assert render("cuts", records[3:]) is None
    assert render("cuts", []) is None
