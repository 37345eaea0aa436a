"""Names beside points, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.report.charts.drawing import shortened

_Box = tuple[float, float, float, float]
_WIDE, _HIGH, _AWAY, _DOT = 5.4, 12.0, 7.0, 3.5


@dataclass(frozen=True)
class Label:
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
    def box(self) -> _Box:
        """Left, top, right and bottom of what it covers, about."""
        wide = _WIDE * len(self.text)
        left = self.x if self.align == "left" else self.x - wide
        return left, self.y - _HIGH / 2, left + wide, self.y + _HIGH / 2


def place_labels(
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    others: Sequence[tuple[float, float]],
    size: tuple[float, float],
) -> list[Label]:
    """Place names beside points so that they cover neither each other nor a point.

    Args:
        names: The names; those for which there is no room are left out.
        points: Pixels of each from the left and the top.
        others: Pixels of all points.
        size: Pixels of the panel, which names may leave to the right.
    """
    taken: list[_Box] = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in others]
    labels = []
    # The last ones score highest.
    for name, point in reversed([*zip(names, points, strict=True)]):
        for label in _candidates(shortened(name), *point):
            left, top, right, bottom = label.box
            inside = left >= 0 and top >= -_HIGH and bottom <= size[1] and right <= size[0] + 40
            if inside and not any(_meet(label.box, box) for box in taken):
                labels.append(label)
                taken.append(label.box)
                break
    return labels


def _candidates(name: str, x: float, y: float) -> Iterator[Label]:
    for down in (0.0, -10.0, 10.0, -20.0, 20.0):
        yield Label(name, x + _AWAY, y + down, "left")
        yield Label(name, x - _AWAY, y + down, "right")


def _meet(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
