"""Names beside points, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from bench.report.charts.drawing import data, shortened

# Pixels of the left, the top, the right and the bottom.
Box = tuple[float, float, float, float]
_WIDE, _HIGH, _AWAY, _DOT = 5.4, 12.0, 7.0, 3.5


@dataclass(frozen=True)
class PlacedName:
    """A name at some pixels.

    Attributes:
        text: The name.
        x: Pixels from the left to where it is aligned.
        y: Pixels from the top to its middle.
        align: Which of its ends is there.
    """

    text: str
    x: float
    y: float
    align: Literal["left", "right"]

    @property
    def box(self) -> Box:
        """Left, top, right and bottom of what it covers, about."""
        wide = _WIDE * len(self.text)
        left = self.x if self.align == "left" else self.x - wide
        return left, self.y - _HIGH / 2, left + wide, self.y + _HIGH / 2


def dot(place: tuple[float, float]) -> Box:
    """What a point covers."""
    x, y = place
    return x - _DOT, y - _DOT, x + _DOT, y + _DOT


def place_labels(
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    taken: Sequence[Box],
    size: tuple[float, float],
) -> list[PlacedName]:
    """Place names beside points so that they cover neither each other nor what is drawn.

    Args:
        names: The names; those for which there is no room are left out.
        points: Pixels of each from the left and the top.
        taken: What is drawn.
        size: Pixels of the panel, which names may leave to the right.
    """
    covered = [*taken]
    labels = []
    # The last ones score highest.
    for name, point in reversed([*zip(names, points, strict=True)]):
        for label in _candidates(shortened(name), *point):
            left, top, right, bottom = label.box
            inside = left >= 0 and top >= -_HIGH and bottom <= size[1] and right <= size[0] + 40
            if inside and not any(_meet(label.box, box) for box in covered):
                labels.append(label)
                covered.append(label.box)
                break
    return labels


def labels_layer(labels: Sequence[PlacedName]) -> list[alt.Chart]:
    """Layers of a chart with these names, one for each way in which they are aligned."""
    layers = []
    for align in ("left", "right"):
        texts = [
            {"x": label.x, "y": label.y, "name": label.text}
            for label in labels
            if label.align == align
        ]
        plot = alt.Chart(data(texts)).mark_text(align=align, baseline="middle", fontSize=10)
        x, y = alt.X("x:Q").scale(None), alt.Y("y:Q").scale(None)
        if texts:
            layers.append(plot.encode(x=x, y=y, text="name:N"))
    return layers


def _candidates(name: str, x: float, y: float) -> Iterator[PlacedName]:
    for down in (0.0, -9.0, 9.0, -18.0, 18.0):
        yield PlacedName(name, x + _AWAY, y + down, "left")
        yield PlacedName(name, x - _AWAY, y + down, "right")


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
