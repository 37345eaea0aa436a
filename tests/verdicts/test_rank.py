"""Ranks are those of comparing all pairs one by one, whatever is not computed on the way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from bench.stats.all_pairs import pair_p_values
from bench.stats.bootstrap import percentile_interval
from bench.stats.multiple import benjamini_hochberg
from bench.stats.paired import bootstrap_p
from bench.suite import AVERAGE
from bench.verdicts.difference import LEVEL, difference
from bench.verdicts.rank import ranks_by_average
from bench.verdicts.side import Side
from tests.support.records import items_of, record_of, task_of, write_in


def side(folder: Path, name: str, scores: Sequence[np.ndarray], models: str) -> Side:
    """A method whose seeds have these replicates, and their means as scores."""
    found = []
    for seed, replicates in enumerate(scores):
        interval = percentile_interval(replicates)
        task = task_of("sts", float(replicates.mean()), items=9, ci95=interval)
        items = items_of({"T": task}, {"T": replicates})
        record = record_of(
            name,
            {"T": task},
            items=items,
            seed=seed,
            average_ci95=interval,
            model_fingerprint=f"{models}{seed}",
        )
        found.append((write_in(folder, f"{name}-{seed}", record, items), record))
    return Side(found)


def one_by_one(sides: Sequence[Side]) -> list[int]:
    """Ranks by the definition: every pair compared, at a false discovery rate."""
    pairs = list(combinations(range(len(sides)), 2))
    differences = [difference(AVERAGE, sides[i], sides[j]) for i, j in pairs]
    adjusted = benjamini_hochberg(np.array([one.p for one in differences]))
    found = [1] * len(sides)
    for (i, j), one, p in zip(pairs, differences, adjusted, strict=True):
        if p < LEVEL and one.delta != 0:
            found[j if one.delta > 0 else i] += 1
    return found


@pytest.mark.parametrize("spread", [0.0, 0.004, 0.02, 0.1])
@pytest.mark.parametrize("most_seeds", [1, 3])
def test_ranks_are_those_of_all_pairs(spread: float, most_seeds: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([int(1e4 * spread), most_seeds])
    shared = rng.normal(0, 0.01, 1000)
    sides = []
    for i in range(14):
        level = 0.5 + spread * rng.normal()
        seeds = [
            level + shared + 0.004 * rng.normal(size=1000) + 0.002 * rng.normal()
            for _ in range(int(rng.integers(1, most_seeds + 1)))
        ]
        # Some are the same trainings, scored otherwise, and the last is the first again.
        last = sides[0].replicates(AVERAGE) if i == 13 else seeds
        sides.append(side(tmp_path, f"m{i}", list(last), f"m{i // 2}" if i < 8 else f"m{i}"))
    found = ranks_by_average(sides)
    assert found == one_by_one(sides)
    assert found[13] == found[0]
    if spread >= 0.02:
        assert max(rank or 0 for rank in found) > 5


def test_a_p_value_below_the_level_is_the_bootstraps() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0.5, 0.05, 40)
    scores = points[:, None] + rng.normal(0, 0.01, (40, 1000))
    found = pair_p_values(points, scores, LEVEL)
    kinds = set()
    for i, j in combinations(range(40), 2):
        exact = bootstrap_p(points[i] - points[j], scores[i] - scores[j])
        assert found[i, j] == (exact if exact < LEVEL else 1.0)
        kinds.add("least" if exact == 1 / 1001 else "some" if exact < LEVEL else "chance")
    assert kinds == {"least", "some", "chance"}
    assert (found[np.tril_indices(40)] == 1).all()


def test_other_numbers_of_resamples_are_not_ranked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {"a": 1000, "b": 1000, "c": 500}
    sides = [side(tmp_path, name, [rng.normal(0.5, 0.01, n)], name) for name, n in sizes.items()]
    assert ranks_by_average(sides) == [1, 1, None]
