"""Differences of methods over seeds and items.

The mean of S seeds varies with the seeds and with the items. Three seeds cannot show the whole
spread of all, so that the interval is Student's: to the variance of the items' bootstrap comes
s² / S of either method, and the degrees of freedom are those of Welch and Satterthwaite (Welch
1947), of which the items have as good as infinitely many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.checks import finite
from bench.stats.difference import Difference

Floats = NDArray[np.float64]
_LEVEL = 0.95
_MOST = 1e9


@dataclass(frozen=True)
class SeedMeans:
    """N methods, each the mean of its seeds.

    Attributes:
        points: Mean scores, (N,).
        replicates: Mean scores on the same resamples of the items, (N, R).
        variances: Variances of the mean scores over seeds, (N,); 0 of a single seed.
        seeds: Numbers of seeds, (N,).
    """

    points: Floats
    replicates: Floats
    variances: Floats
    seeds: NDArray[np.int64]

    @classmethod
    def of(cls, methods: list[tuple[Floats, Floats]]) -> SeedMeans:
        """Take the means of methods, each its scores (S,) and their replicates (S, R).

        Raises:
            ValueError: Scores and replicates do not match, or one is NaN or infinite.
        """
        for points, replicates in methods:
            if len(points) != len(replicates):
                raise ValueError("replicates of the seeds: one row per seed is needed")
            finite("scores of the seeds", points)
            finite("replicates of the seeds", replicates)
        if len({replicates.shape[1] for _, replicates in methods}) > 1:
            raise ValueError("replicates of the seeds: not paired, their numbers differ")
        return cls(
            points=np.array([points.mean() for points, _ in methods]),
            replicates=np.stack([replicates.mean(axis=0) for _, replicates in methods]),
            variances=np.array([_variance(points) for points, _ in methods]),
            seeds=np.array([len(points) for points, _ in methods]),
        )


def _variance(points: Floats) -> float:
    """Variance of the mean of S scores."""
    return float(points.var(ddof=1)) / len(points) if len(points) > 1 else 0.0


def _errors(means: SeedMeans) -> tuple[Floats, Floats]:
    """Standard errors of the differences of all pairs, and their degrees of freedom, (N, N)."""
    centred = means.replicates - means.replicates.mean(axis=1, keepdims=True)
    products = centred @ centred.T / centred.shape[1]
    own = products.diagonal()
    of_items = np.maximum(own[:, None] + own - 2 * products, 0)
    variance = of_items + means.variances[:, None] + means.variances
    shares = means.variances**2 / np.maximum(means.seeds - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (shares[:, None] + shares)
    # As good as infinite, which not every version of SciPy takes.
    return np.sqrt(variance), np.where(freedom < _MOST, freedom, _MOST)


def p_over_seeds(means: SeedMeans) -> Floats:
    """Two-sided p-values of no difference of all pairs, (N, N), by Student's t."""
    return _p(means.points[:, None] - means.points, *_errors(means))


def _p(delta: Floats, error: Floats, freedom: Floats) -> Floats:
    # Imported late, as most who import this compare nothing.
    from scipy.special import stdtr

    size = np.abs(delta)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(size == 0, 0, size / error)
    return np.asarray(2 * stdtr(freedom, -t))


def difference_over_seeds(
    points: tuple[Floats, Floats], replicates: tuple[Floats, Floats], *, paired: bool = False
) -> Difference:
    """Compare two methods over their seeds and the same items.

    Items are paired; seeds are not, unless they are said to be: the same number starts unrelated
    trainings.

    Args:
        points: Scores of each method's seeds, (S,) and (T,).
        replicates: Scores on the same resamples, (S, R) and (T, R).
        paired: Whether both have the same trainings, S = T, as where only the scoring differs.

    Raises:
        ValueError: The resamples or seeds do not match, or a value is NaN or infinite.
    """
    methods = list(zip(points, replicates, strict=True))
    means = SeedMeans.of(methods)
    if paired:
        if len(points[0]) != len(points[1]):
            raise ValueError("replicates of the seeds: not paired, their numbers differ")
        # As one method, the differences, against one that is always 0.
        change = np.subtract(*points), np.subtract(*replicates)
        means = SeedMeans.of([change, (np.zeros(1), np.zeros((1, change[1].shape[1])))])
    from scipy.special import stdtrit

    error, freedom = (values[0, 1] for values in _errors(means))
    delta = float(means.points[0] - means.points[1])
    reach = float(error * stdtrit(freedom, (1 + _LEVEL) / 2))
    return Difference(
        delta=delta,
        ci95=(delta - reach, delta + reach),
        p=float(_p(np.asarray(delta), error, freedom)),
        method="Student's t over seeds and resampled items",
        effect=None,
    )
