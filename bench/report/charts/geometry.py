"""How vectors lie: pairs that mean the same against evenness, and against the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import numpy as np

from bench.records.entries import Record
from bench.report.charts.drawing import COLOURS, Panel, data
from bench.report.charts.labels import dot, labels_layer, place_labels
from bench.report.charts.suites import save_suite
from bench.report.views.page import Names, by_row, names_of

_SIZE = (300, 240)
_ROOM = 0.1


def draw(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the vectors of the suite that has pairs. See ``bench.report.views.Draw``."""
    save_suite(
        {suite: panels(group) for suite, group in by_suite.items()},
        path,
        of="alignment and uniformity",
        absent="fewer than two methods have pairs that mean the same; "
        "'bench run --suite sts7' writes them",
    )


def panels(records: Sequence[Record], names: Names | None = None) -> list[Panel]:
    """Alignment against uniformity of each method (Wang and Isola, 2020), lower is better in both.

    Args:
        records: Records of one suite.
        names: What its rows are called; left out, as ``names_of`` has it.
    """
    rows = by_row(records)
    names = names or names_of(rows)
    points = {
        names[key]: point for key, group in rows.items() if (point := _point(group)) is not None
    }
    if len(points) < 2:
        return []
    return [_panel(points)]


def _point(group: Sequence[Record]) -> tuple[float, float] | None:
    """Uniformity and alignment, over tasks and seeds that have both."""
    both = [
        (entry.uniformity, entry.alignment)
        for record in group
        for entry in record.geometry.values()
        if entry.uniformity is not None and entry.alignment is not None
    ]
    if not both:
        return None
    x, y = np.mean(both, axis=0)
    return float(x), float(y)


def _panel(points: dict[str, tuple[float, float]]) -> Panel:
    xs, ys = zip(*points.values(), strict=True)
    (left, right), (low, high) = _range(xs), _range(ys)
    values = [{"x": x, "y": y} for x, y in points.values()]
    plot = alt.Chart(data(values)).encode(
        x=alt.X("x:Q", title="Uniformity (lower is more even)").scale(
            domain=[left, right], nice=False
        ),
        y=alt.Y("y:Q", title="Alignment (lower: pairs lie closer)").scale(
            domain=[low, high], nice=False
        ),
    )
    places = [
        (_SIZE[0] * (x - left) / (right - left), _SIZE[1] * (1 - (y - low) / (high - low)))
        for x, y in points.values()
    ]
    labels = place_labels([*points], places, [dot(place) for place in places], _SIZE)
    layers = [
        plot.mark_circle(size=40, color=COLOURS["accent"], opacity=0.8),
        *labels_layer(labels),
    ]
    chart = alt.layer(*layers).properties(width=_SIZE[0], height=_SIZE[1])
    told = "; ".join(f"{name}: {y:.3f} and {x:.2f}" for name, (x, y) in points.items())
    return Panel("Alignment and uniformity", chart, f"Alignment and uniformity. {told}.")


def _range(values: Sequence[float]) -> tuple[float, float]:
    room = _ROOM * (max(values) - min(values) or 1)
    return min(values) - room, max(values) + room
