"""Scores over commits: a panel a method, with intervals and what a gate lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt

from bench.core.escape import plain
from bench.report.charts.drawing import COLOURS, Panel, axis_names, data
from bench.report.charts.suites import save_suite
from bench.report.history import name_of, numbers_of
from bench.verdicts.history import History

_SIZE = (560, 170)
_ROOM = 0.06
_LABELS = 14


def draw(histories: Sequence[History], path: Path) -> None:
    """Draw the histories of one suite, one below the other.

    Raises:
        UsageError: There are several suites, or the file cannot be drawn or written.
        DataError: There are none.
    """
    by_suite: dict[str, list[Panel]] = {}
    for history in histories:
        by_suite.setdefault(history.suite, []).append(panel(history))
    save_suite(by_suite, path, of="history", absent="no history found to draw", columns=1)


def panels(histories: Sequence[History]) -> list[Panel]:
    """A panel for each history."""
    return [panel(history) for history in histories]


def panel(history: History) -> Panel:
    """A method's scores by commit, the earliest first."""
    numbers = list(numbers_of(history))
    values = [
        {
            "place": place,
            "score": 100 * one["score"],
            "low": None if one["ci95_low"] is None else 100 * one["ci95_low"],
            "high": None if one["ci95_high"] is None else 100 * one["ci95_high"],
            "lowest": None if one["lowest"] is None else 100 * one["lowest"],
            "failed": bool(one["failed"]),
        }
        for place, one in enumerate(numbers)
    ]
    names = [name_of(point) for point in history.points]
    chart = alt.layer(*_layers(values, names)).properties(width=_SIZE[0], height=_SIZE[1])
    told = f"{history.method}, {history.task}"
    failed = [names[value["place"]] for value in values if value["failed"]]
    text = (
        f"{told} over {len(values)} commits, from {values[0]['score']:.2f} to "
        f"{values[-1]['score']:.2f}. " + (f"Failed at {', '.join(failed)}." if failed else "")
    )
    return Panel(plain(told), chart, text.strip())


def _layers(values: Sequence[dict[str, float]], names: Sequence[str]) -> list[alt.Chart]:
    heights = [
        value[name]
        for value in values
        for name in ("score", "low", "high", "lowest")
        if value[name]
    ]
    room = _ROOM * (max(heights) - min(heights)) or 1
    every = 1 + (len(names) - 1) // _LABELS
    x = alt.X("place:Q", title="Commit").scale(domain=[-0.5, len(names) - 0.5], nice=False)
    x = x.axis(values=[*range(0, len(names), every)], labelExpr=axis_names(names), labelAngle=-35)
    y = alt.Y("score:Q", title="Score × 100").axis(tickCount=4)
    y = y.scale(domain=[min(heights) - room, max(heights) + room], nice=False, zero=False)
    plot = alt.Chart(data(values)).encode(x=x, y=y)
    muted, accent, warm = (COLOURS[name] for name in ("muted", "accent", "warm"))
    known = plot.transform_filter("datum.low !== null")
    return [
        known.mark_rule(color=muted, opacity=0.55).encode(y="low:Q", y2="high:Q"),
        plot.transform_filter("datum.lowest !== null")
        .mark_tick(orient="horizontal", color=muted, thickness=1.4, size=14)
        .encode(y="lowest:Q"),
        plot.mark_line(color=accent, strokeWidth=1.2),
        plot.transform_filter("!datum.failed").mark_circle(color=accent, size=36, opacity=1),
        plot.transform_filter("datum.failed").mark_point(
            color=warm, size=90, shape="diamond", filled=True, opacity=1
        ),
    ]
