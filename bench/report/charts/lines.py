"""Lines in a panel, each with its name at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.report.charts.drawing import SERIES, Panel, Points, data, shortened

_SIZE = (260, 190)
_APART = 13.0
_DASHES = ([1, 0], [5, 2], [2, 2], [7, 2, 2, 2])


def line_panel(
    title: str,
    axes: tuple[str, str],
    points: Points,
    *,
    log: bool = False,
    domain: tuple[float, float] | None = None,
    named: bool = True,
) -> Panel:
    """Draw lines; the dashes change as well as the colours, for who cannot tell these apart.

    Args:
        title: What the panel is of.
        axes: Names of both axes.
        points: ``x``, ``y`` and ``line``, the name; ``part`` where a name has several lines.
        log: Whether sizes double from tick to tick.
        domain: Least and greatest value of y, or None for those of the points.
        named: Whether names stand at the ends.
    """
    lines = list(dict.fromkeys(str(point["line"]) for point in points))
    values = [{"part": "", **point} for point in points]
    sizes = sorted({float(point["x"]) for point in points})
    x = alt.X("x:Q", title=axes[0])
    if log:
        ticks = [size for i, size in enumerate(reversed(sizes)) if i % (1 + len(sizes) // 7) == 0]
        x = x.scale(type="log", nice=False).axis(values=ticks, format="d")
    else:
        x = x.scale(nice=False).axis(tickCount=4, format="~s")
    y = alt.Y("y:Q", title=axes[1])
    y = y.scale(zero=False) if domain is None else y.scale(domain=list(domain))
    colour = alt.Color("line:N", legend=None).scale(domain=lines, range=_cycled(SERIES, lines))
    dash = alt.StrokeDash("line:N", legend=None).scale(domain=lines, range=_cycled(_DASHES, lines))
    plot = alt.Chart(data(values)).encode(x=x, y=y.axis(tickCount=4), color=colour)
    layers = [
        plot.mark_line(strokeWidth=1.6).encode(strokeDash=dash, detail="part:N"),
        plot.mark_circle(size=14, opacity=1),
    ]
    if named:
        layers.append(_names(values, lines, colour, domain))
    chart = alt.layer(*layers).properties(width=_SIZE[0], height=_SIZE[1])
    ends = "; ".join(f"{line} ends at {_end(values, line)['y']:.2f}" for line in lines)
    return Panel(title, chart, f"{title}. {axes[1]} by {axes[0].lower()}: {ends}.")


def _names(
    values: Points, lines: Sequence[str], colour: alt.Color, domain: tuple[float, float] | None
) -> alt.Chart:
    ends = sorted((_end(values, line) for line in lines), key=lambda end: end["y"])
    heights = [value["y"] for value in values]
    low, high = domain or (min(heights), max(heights))
    places = spaced([end["y"] for end in ends], _APART / _SIZE[1] * (high - low))
    named = [
        {**end, "y": place, "name": shortened(end["line"])}
        for end, place in zip(ends, places, strict=True)
    ]
    plot = alt.Chart(data(named)).mark_text(align="left", dx=6, fontSize=10)
    named_ends: alt.Chart = plot.encode(x="x:Q", y="y:Q", text="name:N", color=colour)
    return named_ends


def spaced(heights: Sequence[float], least: float) -> list[float]:
    """Move rising heights apart, up and down alike.

    Args:
        heights: The heights, rising.
        least: Least distance of two.
    """
    up: list[float] = []
    down: list[float] = []
    for height in heights:
        up.append(max(height, up[-1] + least) if up else height)
    for height in reversed(heights):
        down.append(min(height, down[-1] - least) if down else height)
    # Both keep the distance, and so does their mean.
    return [(a + b) / 2 for a, b in zip(up, reversed(down), strict=True)]


def _end(values: Points, line: str) -> dict[str, Any]:
    """The last point of a line."""
    return dict(max((v for v in values if v["line"] == line), key=lambda value: value["x"]))


def _cycled(scale: Sequence[Any], lines: Sequence[str]) -> list[Any]:
    return [scale[i % len(scale)] for i in range(len(lines))]
