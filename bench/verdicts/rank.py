"""Ranks of methods by differences that are significant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.records.entries import Record
from bench.stats.all_pairs import pair_p_values
from bench.stats.hierarchical import SeedMeans, p_over_seeds
from bench.stats.multiple import benjamini_hochberg
from bench.suite import AVERAGE
from bench.verdicts.difference import LEVEL, difference
from bench.verdicts.protocol import differing_protocols, most_common
from bench.verdicts.side import Side

# Most methods that are ranked: time and memory are those of all pairs.
MOST = 1000


def ranks_by_average(sides: Sequence[Side]) -> list[int | None]:
    """Rank methods by their average: 1 + the number of those that are significantly better.

    Methods that differ by chance alone share a rank. All pairs are compared as by
    ``difference``, at a false discovery rate of 5% (Benjamini and Hochberg).

    Args:
        sides: Methods scored on the same suite.

    Returns:
        Ranks in the same order; None for what has no items to resample or too few of them, or was
        scored on other rows or by another protocol than most, of all rows if any was; and for all
        where they are more than ``MOST``.
    """
    ranks: list[int | None] = [None] * len(sides)
    if len(sides) > MOST:
        return ranks
    members = _members(sides)
    ranked = [sides[i] for i in members]
    points = np.array([side.points(AVERAGE).mean() for side in ranked])
    p = _p_values(ranked, points)
    pairs = np.triu_indices(len(ranked), 1)
    significant = np.zeros(p.shape, dtype=bool)
    significant[pairs] = benjamini_hochberg(p[pairs]) < LEVEL
    higher = points[:, None] > points[None, :]
    # A pair is above the diagonal alone: the method of its row lost, or that of its column.
    lost = (significant & ~higher & (points[:, None] != points[None, :])).sum(axis=1)
    lost += (significant & higher).sum(axis=0)
    for member, better in zip(members, lost.tolist(), strict=True):
        ranks[member] = 1 + better
    return ranks


def _members(sides: Sequence[Side]) -> list[int]:
    keys = [_key(side.first) for side in sides]
    counts = Counter(keys)
    rows = max(keys, key=lambda key: (key[0] is None, counts[key]))
    same = [i for i, key in enumerate(keys) if key == rows]
    usual = most_common([sides[i].first for i in same])
    alike = [
        i
        for i in same
        if not differing_protocols(usual, sides[i].first) and _can_be_resampled(sides[i])
    ]
    # Records of strangers may have other numbers of resamples, which are of other items.
    sizes = [sides[i].replicates(AVERAGE).shape[1] for i in alike]
    usual_size = Counter(sizes).most_common(1)[0][0] if sizes else 0
    return [i for i, size in zip(alike, sizes, strict=True) if size == usual_size]


def _p_values(sides: Sequence[Side], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values (N, N) of the pairs above the diagonal, as those of ``difference``.

    Those of two single seeds that are at least the level count as 1.
    """
    if len(sides) < 2:
        return np.ones((len(sides), len(sides)))
    scores = [(side.points(AVERAGE), side.replicates(AVERAGE)) for side in sides]
    means = SeedMeans.of(scores)
    p_values = np.triu(p_over_seeds(means), 1) + np.tri(len(sides))
    single = np.flatnonzero(means.seeds == 1)
    p_values[np.ix_(single, single)] = pair_p_values(
        points[single], means.replicates[single], LEVEL
    )
    for i, j in _of_the_same_models(sides):
        p_values[i, j] = difference(AVERAGE, sides[i], sides[j]).p
    return p_values


def _of_the_same_models(sides: Sequence[Side]) -> list[tuple[int, int]]:
    """Pairs whose seeds are paired too, as they are the same trainings."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, side in enumerate(sides):
        if len(side.records) > 1:
            groups.setdefault(tuple(side.models), []).append(place)
    return [pair for group in groups.values() for pair in combinations(group, 2)]


def _can_be_resampled(side: Side) -> bool:
    if side.first.average_ci95 is None:
        return False
    return bool(np.isfinite(side.replicates(AVERAGE)).all())


def _key(record: Record) -> tuple[object, ...]:
    return record.limit, *record.scored_rows
