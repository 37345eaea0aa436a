"""The view of ceilings: bounds of the rows that were scored, and how far methods are from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bench.core.errors import DataError
from bench.records.entries import Record
from bench.report.views.ceiling import render
from tests.support.records import record_of, task_of

GOLD = {"one": np.arange(200) % 100, "two": np.array([0.0, 1, 1, 2]), "other": np.arange(8)}


class Items:
    """The gold scores of all tasks, and how often they were read."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self, record: Record) -> Mapping[str, NDArray[Any]]:
        self.read += 1
        return {
            f"{name}/gold": GOLD[task.data_sha256]
            for name, task in record.tasks.items()
            if task.kind == "sts"
        }


def sts(rows: str, score: float, **changes: Any) -> Any:
    # The main score may be another one, such as the mean of subsets.
    metrics = {"spearman_all": score}
    return task_of("sts", 0.1, metrics=metrics, data_sha256=rows, **changes)


def record(spec: str, first: float, second: float, **changes: Any) -> Record:
    return record_of(spec, {"STS A": sts("one", first), "STS B": sts("two", second)}, **changes)


@pytest.fixture
def records() -> list[Record]:
    return [
        record("low", 0.5, 0.5),
        record("high", 0.9, 0.8, seed=0),
        record("high", 0.8, 0.7, seed=1),
    ]


def tables(text: str | None) -> list[list[list[str]]]:
    """Cells of each grid, rules left out."""
    assert text is not None
    grids = text.split("\n\n")[1:-1]
    return [
        [line.replace("STS ", "STS-").split() for line in grid.splitlines() if "--" not in line]
        for grid in grids
    ]


def best_of_two(gold: NDArray[Any]) -> float:
    found = [spearmanr(gold >= threshold, gold).statistic for threshold in np.unique(gold)[1:]]
    return 100 * float(max(found))


def test_bounds_are_of_the_rows_that_were_scored(records: list[Record]) -> None:
    bounds = tables(render("small", records, items=Items()))[0]
    assert bounds[0] == ["Task", "Pairs", "Grades", "Two", "Two,", "no", "ties", "Three"]
    assert [row[:3] for row in bounds[1:]] == [["STS-A", "200", "100"], ["STS-B", "4", "3"]]
    for row, rows in zip(bounds[1:], ("one", "two"), strict=True):
        assert float(row[3]) == pytest.approx(best_of_two(GOLD[rows]), abs=0.005)
        assert float(row[3]) < float(row[5])
    # Three values tell three grades apart.
    assert bounds[2][5] == "100.00"
    assert float(bounds[1][4]) == pytest.approx(87.5, abs=0.05)


def test_scores_are_beside_their_distance(records: list[Record]) -> None:
    methods = tables(render("small", records, items=Items()))[1]
    one, two = (best_of_two(GOLD[rows]) for rows in ("one", "two"))
    low = [f"{50 - bound:+.1f}" for bound in ((one + two) / 2, one, two)]
    high = [
        f"{score - bound:+.1f}" for score, bound in ((80, (one + two) / 2), (85, one), (75, two))
    ]
    assert methods == [
        ["Method", "Avg", "To", "87.5", "STS-A", "STS-B"],
        ["high", "80.0", high[0], "-7.5", "85.0", high[1], "75.0", high[2]],
        ["low", "50.0", low[0], "-37.5", "50.0", low[1], "50.0", low[2]],
    ]


def test_other_rows_have_bounds_of_their_own(records: list[Record]) -> None:
    part = record_of("low", {"STS A": sts("other", 0.5)}, limit=8)
    bounds, methods = tables(render("small", [*records, part], items=Items()))
    assert ["STS-A", "first", "8", "8", "8"] in [row[:5] for row in bounds]
    expected = f"{50 - best_of_two(GOLD['other']):+.1f}"
    # It has no second task.
    assert ["low", "first", "8", "50.0", expected, "-37.5", "50.0", expected] in methods


def test_an_average_is_of_sts_tasks_that_the_suite_averages(records: list[Record]) -> None:
    only = [one.model_copy(update={"averaged_tasks": ("STS B",)}) for one in records]
    assert tables(render("small", only, items=Items()))[1][0] == ["Method", "STS-A", "STS-B"]
    more = record_of("x", {**records[0].tasks, "C": task_of("clustering", 0.9)})
    assert tables(render("small", [more], items=Items()))[1][1][1] == "50.0"


def test_rows_are_read_once(records: list[Record]) -> None:
    items = Items()
    render("small", records, items=items)
    assert items.read == 1


def test_it_fits_eighty_columns(records: list[Record]) -> None:
    tasks = {f"STS{i}": sts("one", 0.5) for i in range(9)}
    text = render("small", [record_of("sup-simcse[base=minilm]", tasks)], items=Items(), width=80)
    assert text is not None
    assert max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in tasks)


def test_markdown(records: list[Record]) -> None:
    evil = record_of("x", {"<img src=z>|*": sts("one", 0.5)})
    evil = evil.model_copy(update={"method": evil.method.model_copy(update={"spec": "x|`<b>*"})})
    text = render("sm*ll", [*records, evil], items=Items(), style="markdown")
    assert text is not None
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 2
    inline = {child.type for token in tokens for child in token.children or []}
    assert inline == {"text", "code_inline"}


def test_without_sts_there_is_nothing_and_equal_gold_is_named(records: list[Record]) -> None:
    assert (
        render("small", [record_of("x", {"C": task_of("clustering", 0.5)})], items=Items()) is None
    )
    with pytest.raises(DataError, match=r"^low, task STS A: gold values: all are the same"):
        render("small", records, items=lambda _: {"STS A/gold": np.ones(3)})
