"""Where a value lies in a cell, as a share of its width, and numbers as texts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.records.entries import Interval

_STEPS = (1, 2, 2.5, 5, 10)
_ROOM = 0.04


@dataclass(frozen=True)
class Span:
    """A range that a cell is as wide as.

    Attributes:
        low: Value at its left end.
        high: Value at its right end.
    """

    low: float
    high: float

    @classmethod
    def around(cls, intervals: Iterable[Interval], *also: float) -> Span:
        """The range of all intervals, with some room."""
        ends = [end for interval in intervals for end in interval] + [*also]
        low, high = min(ends, default=0.0), max(ends, default=1.0)
        room = _ROOM * (high - low) or 1.0
        return cls(low - room, high + room)

    def place(self, value: float) -> str:
        """Percentage of the width at which a value lies, 0 or 100 where it is outside."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value <= self.high

    def ticks(self, most: int = 5) -> list[tuple[str, str]]:
        """Place and text of round values, at most so many."""
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in _STEPS if power * factor >= raw)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [
            (self.place(step * count), signless(step * count)) for count in range(first, last + 1)
        ]


def signless(value: float) -> str:
    """A round number, with a minus that is as wide as a plus."""
    return f"{value:g}".replace("-", "−")


def points(fraction: float) -> str:
    """A difference of fractions in points."""
    return f"{100 * fraction:+.2f}".replace("-", "−")


def interval_text(interval: Interval) -> str:
    """An interval of differences in points."""
    return f"{points(interval[0])} to {points(interval[1])}"


def p_text(value: float) -> str:
    """A p-value."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
