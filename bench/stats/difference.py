"""The difference of two methods' scores, whichever statistic found it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """The first method's score minus the second's.

    Attributes:
        delta: Difference of the scores.
        ci95: Interval of the difference.
        p: Two-sided p-value of no difference.
        method: How interval and p-value were found.
        effect: Standardised mean of the item differences, see ``bench.stats.paired.cohens_dz``;
            None where it is undefined or there are no item values.
    """

    delta: float
    ci95: tuple[float, float]
    p: float
    method: str
    effect: float | None
