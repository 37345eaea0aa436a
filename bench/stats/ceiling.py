"""The highest Spearman correlation of predictors that tell K levels apart.

The idea is that of Zhang and Li, "Pcc-tuning: Breaking the Contrastive Learning Ceiling in STS",
EMNLP 2024, arXiv 2406.09790. Its 0.875 is the value of the formula for ranks without ties for two
classes of equal size; the coefficient that is corrected for ties is 0.866 there. Both bound
predictors of K values. They do not bound models trained to tell two classes apart, as the cosines
of such a model take many values.

Let a predictor cut the n items, sorted by gold value, into blocks of c_1, ..., c_K, and let gold
values be shared by g_1, g_2, ... items. A block's rank is the mean of the gold ranks in it, so
that Σd² is the gold ranks' sum of squares within blocks, (Σc³ − Σg³) / 12, and

    with ties     √(1 − Σd² / (sum of squares in all)) = √((n³ − Σc³) / (n³ − Σg³))
    without ties  1 − 6Σd² / (n³ − n) = 1 − (Σc³ − Σg³) / (2(n³ − n)).

Both grow as Σc³ falls. No other predictor of K values does better than the best blocks: its Σd² is
at least the sum of squares within its groups of items, its correlation at most that of the groups'
mean gold ranks, and groups of consecutive gold ranks have the least sum of squares within.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.checks import finite


@dataclass(frozen=True)
class Ceiling:
    """What the best predictor of at most K values reaches.

    Attributes:
        spearman: Its Spearman correlation with gold, ties by mid-ranks.
        shortcut: The same by 1 − 6Σd² / (n(n² − 1)), which ignores ties.
        thresholds: Lowest gold value of each of its levels but the first, ascending.
    """

    spearman: float
    shortcut: float
    thresholds: tuple[float, ...]


def two_level_bound(gold: NDArray[np.float64]) -> Ceiling:
    """Bound the predictors that say no more than whether an item is above a threshold.

    Args:
        gold: Gold values, (n,).

    Raises:
        ValueError: The gold values are all the same, or one is NaN or infinite.
    """
    return level_bound(gold, 2)


def level_bound(gold: NDArray[np.float64], levels: int) -> Ceiling:
    """Bound the predictors of at most K values, by the thresholds on gold that suit them best.

    It takes time O(n log n + K·m log m) and memory O(K·m) for m different gold values, with two
    levels O(n log n) and O(n).

    Args:
        gold: Gold values, (n,).
        levels: Number K of values, at least 2.

    Raises:
        ValueError: K is below 2, the gold values are all the same, or one is NaN or infinite.
    """
    if levels < 2:
        raise ValueError(f"a predictor of {levels} values has no rank correlation; 2 are needed")
    values, sizes = np.unique(finite("gold values", gold), return_counts=True)
    if len(values) == 1:
        raise ValueError("gold values: all are the same, so nothing correlates with them")
    below = np.concatenate([[0.0], np.cumsum(sizes, dtype=np.float64)])
    cuts = _best_cuts(below, levels)
    n, cubes = below[-1], np.sum(np.diff(below[cuts]) ** 3)
    cubes_of_ties = np.sum(sizes.astype(np.float64) ** 3)
    return Ceiling(
        spearman=float(np.sqrt((n**3 - cubes) / (n**3 - cubes_of_ties))),
        shortcut=float(1 - (cubes - cubes_of_ties) / (2 * (n**3 - n))),
        thresholds=tuple(values[cuts[1:-1]].tolist()),
    )


def _best_cuts(below: NDArray[np.float64], levels: int) -> NDArray[np.intp]:
    """Cut into at most K blocks whose cubed sizes have the least sum.

    Args:
        below: Items below each of the m gold values, and all items at the end, (m + 1,).
        levels: Most blocks K.

    Returns:
        Places in ``below`` where blocks begin or end, from 0 to m.
    """
    least, layers = below**3, []
    for _ in range(levels - 2):
        starts = _starts_of_last_block(below, least)
        least = least[starts] + (below - below[starts]) ** 3
        layers.append(starts)
    cuts = [len(below) - 1, int(np.argmin(least + (below[-1] - below) ** 3))]
    for starts in reversed(layers):
        cuts.append(int(starts[cuts[-1]]))
    return np.unique([0, *cuts])


def _starts_of_last_block(
    below: NDArray[np.float64], least: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Find where the last block best starts that ends at each place; it may be empty.

    As cubes are convex, the first of the best starts never moves back when the end moves on
    (Yao 1980, "Efficient dynamic programming using quadrangle inequalities"). So the starts of
    every second end lie between those of its neighbours, and ends of one depth are searched at
    once.

    Args:
        below: As ``_best_cuts``, (m + 1,).
        least: Least sum of cubes of the blocks before each place, (m + 1,).
    """
    last = len(below) - 1
    starts = np.zeros(len(below), dtype=np.intp)
    step = 1 << last.bit_length()
    while step := step // 2:
        ends = np.arange(step, last + 1, 2 * step)
        after = ends + step
        known = np.where(after <= last, starts[np.minimum(after, last)], last)
        right = np.minimum(known, ends)
        starts[ends] = _search(below, least, ends, starts[ends - step], right)
    return starts


def _search(
    below: NDArray[np.float64],
    least: NDArray[np.float64],
    ends: NDArray[np.intp],
    left: NDArray[np.intp],
    right: NDArray[np.intp],
) -> NDArray[np.intp]:
    """First best start of each of some ends, all (e,), from ``left`` to ``right`` inclusive."""
    counts = right - left + 1
    first = np.cumsum(counts) - counts
    starts = np.arange(counts.sum()) + np.repeat(left - first, counts)
    sums = least[starts] + (below[np.repeat(ends, counts)] - below[starts]) ** 3
    best = np.flatnonzero(sums == np.repeat(np.minimum.reduceat(sums, first), counts))
    return np.asarray(starts[best[np.searchsorted(best, first)]])
