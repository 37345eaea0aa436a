"""Ranks of methods by differences that are significant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from bench.protocol import differing_protocols, most_common
from bench.record import Record
from bench.report.compare import LEVEL, Side, difference
from bench.stats.multiple import benjamini_hochberg
from bench.suite import AVERAGE


def ranks(sides: Sequence[Side]) -> list[int | None]:
    """Rank methods by their average: 1 + the number of those that are significantly better.

    Methods that differ by chance alone share a rank. All pairs are compared by the paired
    bootstrap, at a false discovery rate of 5% (Benjamini and Hochberg).

    Args:
        sides: Methods scored on the same suite.

    Returns:
        Ranks in the same order; None for what has no items to resample or too few of them, or was
        scored on other rows or by another protocol than most, of all rows if any was.
    """
    found: list[int | None] = [None] * len(sides)
    members = _members(sides)
    pairs = list(combinations(members, 2))
    differences = [difference(AVERAGE, sides[i], sides[j]) for i, j in pairs]
    adjusted = benjamini_hochberg(np.array([one.p for one in differences]))
    for member in members:
        found[member] = 1
    for (i, j), one, p in zip(pairs, differences, adjusted, strict=True):
        if p < LEVEL and one.delta != 0:
            worse = j if one.delta > 0 else i
            found[worse] = (found[worse] or 0) + 1
    return found


def _members(sides: Sequence[Side]) -> list[int]:
    keys = [_key(side.first) for side in sides]
    counts = Counter(keys)
    rows = max(keys, key=lambda key: (key[0] is None, counts[key]))
    same = [i for i, key in enumerate(keys) if key == rows]
    usual = most_common([sides[i].first for i in same])
    return [
        i
        for i in same
        if not differing_protocols(usual, sides[i].first) and _can_be_resampled(sides[i])
    ]


def _can_be_resampled(side: Side) -> bool:
    if side.first.average_ci95 is None:
        return False
    return bool(np.isfinite(side.replicates(AVERAGE)).all())


def _key(record: Record) -> tuple[object, ...]:
    return record.limit, *record.scored_rows
