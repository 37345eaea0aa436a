"""Pictures: the Pareto front, where names stand, and what becomes part of a page."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.table import Costs, TableRow
from tests.support.charts import drawing

cost = drawing("charts.cost")
drawings = drawing("charts.drawing")
labels = drawing("charts.labels")
lines = drawing("charts.lines")
heat = drawing("charts.heat")
forest = drawing("charts.forest")

FREE = TableRow(
    spec="m",
    base=None,
    trained=False,
    profile=None,
    limit=None,
    setup="",
    device="cpu",
    dimension=None,
    parameters=None,
    seeds=1,
    tasks={},
    average=0.5,
    sd=None,
    ci95=None,
    below_base=False,
)
EVIL = "</script><img src=x onerror=alert(1)>\"'&${x}"


def row(name: str, speed: float, score: float) -> TableRow:
    return replace(FREE, spec=name, average=score, costs=Costs(texts_per_second=speed))


def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a != b and a[0] >= b[0] and a[1] >= b[1]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_what_no_row_beats(points: list[tuple[int, int]]) -> None:
    rows = [row(f"m{i}", speed, score / 10) for i, (speed, score) in enumerate(points)]
    front = cost.pareto_front(rows, cost.COSTS[0])
    expected = {point for point in points if not any(beats(other, point) for other in points)}
    shown = [(one.costs.texts_per_second, round(10 * (one.average or 0))) for one in front]
    assert set(shown) == expected
    assert len(shown) == len(expected)
    assert shown == sorted(shown, reverse=True)


def test_less_of_a_cost_is_better_unless_it_is_speed() -> None:
    rows = [
        replace(row(name, 1, score), dimension=size)
        for name, size, score in [("small", 2, 0.5), ("large", 8, 0.5), ("best", 16, 0.6)]
    ]
    front = cost.pareto_front(rows, next(c for c in cost.COSTS if c.name.startswith("Dim")))
    assert [one.spec for one in front] == ["small", "best"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 240)), max_size=12))
def test_names_cover_neither_each_other_nor_points(points: list[tuple[int, int]]) -> None:
    dots = [labels.dot(point) for point in points]
    placed = labels.place_labels(
        [f"method-{i}" for i in range(len(points))], points, dots, (300, 240)
    )
    boxes = [label.box for label in placed]
    assert not any(labels._meet(a, b) for a, b in combinations(boxes, 2))
    assert not any(labels._meet(box, dot) for box in boxes for dot in dots)


@given(st.lists(st.floats(-1e3, 1e3), max_size=8).map(sorted), st.floats(0.1, 10))
def test_names_of_lines_keep_their_distance_and_order(heights: list[float], least: float) -> None:
    moved = lines.spaced(heights, least)
    assert len(moved) == len(heights)
    assert all(b - a >= least - 1e-6 for a, b in pairwise(moved))
    if heights and all(b - a >= least for a, b in pairwise(heights)):
        assert moved == pytest.approx(heights)


def test_shades_begin_at_the_tenth_percentile() -> None:
    scores = [0.02, *(0.5 + i / 100 for i in range(20))]
    assert heat.shade(0.02, scores) == heat.shade(0.5, scores) == 0
    assert heat.shade(0.69, scores) == 1
    assert 0.4 < heat.shade(0.6, scores) < 0.6
    assert heat.shade(0.5, [0.5, 0.5]) == 0.5


def tags_of(svg: str) -> dict[str, set[str]]:
    """Names of elements, and of the attributes that each has somewhere."""
    tags: dict[str, set[str]] = {}
    for element in ElementTree.fromstring(svg).iter():
        tags.setdefault(element.tag, set()).update(element.attrib)
    return tags


def test_a_picture_of_a_page_holds_nothing_active() -> None:
    strands = [
        forest.Strand(EVIL, 1.0, (0.5, 1.5), True, 2.0),
        forest.Strand("b", 0, (-1, 1), False),
    ]
    panel = forest.panel(EVIL, "Points", strands)
    svg = drawings.page_svg(panel)
    assert svg == drawings.page_svg(panel)
    assert tags_of(svg).keys() <= {"svg", "g", "path", "line", "text", "circle", "rect"}
    assert not {"style", "onerror", "href", "id", "src"} & set().union(*tags_of(svg).values())
    # Texts and strokes are in the page's own colours, which change in the dark.
    assert not re.search(r'"#[0-9a-f]{6}"', svg)
    assert 'fill="var(--accent)"' in svg
    assert svg.count('role="img"') == 1
    assert "&lt;/script&gt;" in svg


def test_two_rows_of_one_name_are_two_rows() -> None:
    panel = forest.panel("x", "Points", [forest.Strand("same", 1.0, (0, 2), True)] * 2)
    assert drawings.page_svg(panel).count(">same<") == 2
