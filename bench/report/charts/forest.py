"""Differences with their intervals, a line each, and what was published as a diamond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from bench.records.entries import Interval
from bench.report.charts.drawing import COLOURS, Panel, axis_names, data

_WIDTH = 420
_STEP = 18


@dataclass(frozen=True)
class Strand:
    """A difference.

    Attributes:
        name: What it is of.
        delta: Size, in points.
        ci95: Its interval, in points.
        shown: Whether it is more than chance.
        published: What a paper prints, in points, or None.
    """

    name: str
    delta: float
    ci95: Interval
    shown: bool
    published: float | None = None


def panel(title: str, axis: str, strands: Sequence[Strand]) -> Panel:
    """A forest plot, in the order of its strands.

    Args:
        title: What it is of.
        axis: What the differences are.
        strands: The differences.
    """
    values = [
        {
            "row": number,
            "delta": strand.delta,
            "low": strand.ci95[0],
            "high": strand.ci95[1],
            "shown": strand.shown,
            "published": strand.published,
        }
        for number, strand in enumerate(strands)
    ]
    y = alt.Y("row:O", title=None).axis(
        labelExpr=axis_names([strand.name for strand in strands]), labelLimit=0, grid=False
    )
    colour = alt.condition("datum.shown", alt.value(COLOURS["accent"]), alt.value(COLOURS["muted"]))
    plot = alt.Chart(data(values)).encode(y=y)
    zero = alt.Chart(data([{"x": 0}])).mark_rule(color=COLOURS["muted"]).encode(x="x:Q")
    interval = plot.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q", color=colour
    )
    point = plot.mark_circle(size=46, opacity=1).encode(x="delta:Q", color=colour)
    paper = (
        plot.transform_filter("isValid(datum.published)")
        .mark_point(shape="diamond", size=54, color=COLOURS["warm"], filled=False)
        .encode(x="published:Q")
    )
    layers = [zero, interval, point]
    if any(strand.published is not None for strand in strands):
        layers.append(paper)
    chart = alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(_STEP))
    told = "; ".join(f"{strand.name} {strand.delta:+.2f}" for strand in strands)
    return Panel(title, chart, f"{axis}: {told}.")
