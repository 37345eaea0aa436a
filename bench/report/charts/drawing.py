"""How all pictures look: colours, type, and the way into a page or a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import altair as alt
import vl_convert

from bench.core.errors import UsageError
from bench.core.escape import one_line
from bench.core.files import write_atomic
from bench.report.charts.files import check_drawable

Points: TypeAlias = "Sequence[Mapping[str, Any]]"
# Names of the page's variables, which have another value in the dark, and their value on paper.
# The series are apart for all common kinds of colour blindness, and dark enough for text.
COLOURS = {
    "ink": "#1b1f24",
    "muted": "#5b636d",
    "faint": "#b9c0c8",
    "rule": "#e3e6ea",
    "paper": "#ffffff",
    "accent": "#0a5fb4",
    "warm": "#b54708",
    "series-3": "#00745b",
    "series-4": "#8f3f97",
    "series-5": "#846200",
    "series-6": "#3c5a78",
}
SERIES = [COLOURS[name] for name in ("accent", "warm", "series-3", "series-4", "series-5")]
SERIES.append(COLOURS["series-6"])
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
_PIXELS = 2.0
_LABEL = 30
_ROOT = re.compile(r"<svg [^>]*>")
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
# What tells a screen reader about each stroke, for which the picture has one text instead; and the
# type, which is that of the page.
_TOLD = re.compile(
    r' (?:role|aria-[a-z]+|pointer-events|cursor|class|font-family)="[^"]*"| opacity="1"'
)
_EMPTY = re.compile(r'<path d="M0,0h0v0h0Z"/>|<path d="" display="none"/>')
_PRECISE = re.compile(r"(?<![#\w])-?\d+\.\d{3,}")


@dataclass(frozen=True)
class Panel:
    """A picture.

    Attributes:
        title: What it is of.
        chart: The picture itself.
        text: The same in words, for who does not see it.
    """

    title: str
    chart: Any
    text: str


def shortened(name: str) -> str:
    """A name that is not too long for a label."""
    return name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"


def axis_names(names: Sequence[str]) -> str:
    """An expression of Vega that names the rows of an axis by their number, as two may be alike."""
    return f"{json.dumps([one_line(name) for name in names])}[datum.value]"


def data(values: Points) -> alt.InlineData:
    """Rows of a chart; texts from elsewhere on one line."""
    rows = [
        {name: one_line(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in values
    ]
    return alt.InlineData(values=rows)


def page_svg(panel: Panel) -> str:
    """A picture as part of a page, in the page's own colours, with one text for all of it."""
    svg = _EMPTY.sub("", _TOLD.sub("", _svg(panel.chart)))
    svg = _PRECISE.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"var(--{name})"')
    root = _ROOT.match(svg)
    size = _SIZE.search(root[0]) if root else None
    if root is None or size is None:
        raise ValueError("vl-convert wrote no SVG")
    width, height = size.groups()
    start = (
        f'<svg role="img" aria-label="{escape(one_line(panel.text))}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">'
    )
    return start + svg[root.end() :]


def save(title: str, panels: Sequence[Panel], path: Path, columns: int = 1) -> None:
    """Draw panels into a file, the same bytes for the same panels.

    Args:
        title: What stands above them.
        panels: The panels, row by row.
        path: File, .svg or .png.
        columns: Panels in a row.

    Raises:
        UsageError: See ``check_drawable``; or the file cannot be written.
    """
    check_drawable(path)
    titled = [panel.chart.properties(title=one_line(panel.title)) for panel in panels]
    chart = alt.concat(*titled, columns=columns).properties(
        title=alt.TitleParams(one_line(title), fontSize=14, anchor="start", offset=12)
    )
    content = _png(chart) if path.suffix == ".png" else _svg(chart, background="paper").encode()
    try:
        write_atomic(path, content)
    except OSError as error:
        raise UsageError(f"--plot {path}: cannot be written: {error.strerror}") from None


def _svg(chart: Any, background: str | None = None) -> str:
    svg: str = vl_convert.vegalite_to_svg(_spec(chart, background), allowed_base_urls=[])
    return svg


def _png(chart: Any) -> bytes:
    spec = _spec(chart, "paper")
    png: bytes = vl_convert.vegalite_to_png(spec, scale=_PIXELS, allowed_base_urls=[])
    return png


def _spec(chart: Any, background: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec["background"] = COLOURS[background] if background else None
    spec["config"] = _config()
    return spec


def _config() -> dict[str, Any]:
    muted, ink = COLOURS["muted"], COLOURS["ink"]
    axis = {
        "labelColor": muted,
        "titleColor": muted,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "domainColor": COLOURS["faint"],
        "tickColor": COLOURS["faint"],
        "gridColor": COLOURS["rule"],
        "tickSize": 4,
        "labelPadding": 4,
        "titlePadding": 8,
    }
    return {
        "aria": False,
        "font": _FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "title": {"color": ink, "fontSize": 12, "fontWeight": 600, "anchor": "start", "offset": 8},
        "text": {"color": ink, "fontSize": 11},
        "concat": {"spacing": 28},
    }
