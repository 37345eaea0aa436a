"""Bootstrap over seeds and items.

Replicates of all seeds resample the same items. Resampling S seeds spreads their mean by
(S - 1) / S of its variance on average, so intervals from two or three seeds are too narrow
(Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.stats.bootstrap import percentile_interval
from bench.stats.checks import finite
from bench.stats.paired import Difference, bootstrap_p


def seed_replicates(
    replicates: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean over seeds drawn with replacement, again for each resample of the items.

    Args:
        replicates: Scores of each seed on the same resamples, (S, R).
        rng: Source of the seeds drawn.

    Returns:
        Float64 of shape (R,).

    Raises:
        ValueError: A value is NaN or infinite, or there are none.
    """
    replicates = finite("replicates of the seeds", replicates)
    seeds, count = replicates.shape
    drawn = rng.integers(0, seeds, size=(seeds, count))
    return np.asarray(np.take_along_axis(replicates, drawn, axis=0).mean(axis=0))


def difference_over_seeds(
    points: tuple[NDArray[np.float64], NDArray[np.float64]],
    replicates: tuple[NDArray[np.float64], NDArray[np.float64]],
    rng: np.random.Generator,
    *,
    paired: bool = False,
) -> Difference:
    """Compare two methods over their seeds and the same items.

    Items are paired; seeds are not, unless they are said to be: the same number starts unrelated
    trainings.

    Args:
        points: Scores of each method's seeds, (S,) and (T,).
        replicates: Scores on the same resamples, (S, R) and (T, R).
        rng: Source of the seeds drawn.
        paired: Whether both have the same trainings, S = T, as where only the scoring differs.

    Raises:
        ValueError: The resamples or seeds do not match, or a value is NaN or infinite.
    """
    if replicates[0].shape[1] != replicates[1].shape[1]:
        raise ValueError("replicates of the seeds: not paired, their numbers differ")
    if any(len(own) != len(rows) for own, rows in zip(points, replicates, strict=True)):
        raise ValueError("replicates of the seeds: one row per seed is needed")
    if paired and len(points[0]) != len(points[1]):
        raise ValueError("replicates of the seeds: not paired, their numbers differ")
    means = [float(finite("scores of the seeds", own).mean()) for own in points]
    delta = means[0] - means[1]
    if paired:
        change = seed_replicates(np.subtract(*replicates), rng)
    else:
        change = np.subtract(*(seed_replicates(rows, rng) for rows in replicates))
    return Difference(
        delta=delta,
        ci95=percentile_interval(change),
        p=bootstrap_p(delta, change),
        method="paired bootstrap over seeds and items, percentile interval",
        effect=None,
    )
