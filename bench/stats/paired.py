"""Differences of two methods on the same items: size, interval, p-value and effect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.stats.bootstrap import mean_replicates, percentile_interval
from bench.stats.checks import finite_pair
from bench.stats.difference import Difference
from bench.stats.intervals import bca_interval, jackknife_mean
from bench.stats.mcnemar import mcnemar_p
from bench.stats.permutation import sign_flip_p
from bench.stats.resampling import replicate

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def difference_of_replicates(
    points: tuple[float, float],
    replicates: Pair,
    items: Pair | None = None,
) -> Difference:
    """Compare two methods by their scores on the same resamples.

    Args:
        points: Score of each method.
        replicates: Scores (R,) of each method on the same resamples.
        items: Values (n,) of each method on the same items, for the effect size.

    Raises:
        ValueError: Arrays of a pair differ in shape, or a value is NaN or infinite.
    """
    first, second = finite_pair("replicates", *replicates)
    delta, change = points[0] - points[1], first - second
    return Difference(
        delta=delta,
        ci95=percentile_interval(change),
        p=bootstrap_p(delta, change),
        method="paired bootstrap, percentile interval",
        effect=None if items is None else cohens_dz(*items),
    )


def difference_of_items(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
) -> Difference:
    """Compare two methods by their means over the same items, such as MAP, MRR or accuracy.

    The p-value is that of sign flips, the interval BCa, both with 10,000 replicates.

    Args:
        first: Values of the first method, (n,).
        second: Values of the second method, (n,).
        rng: Source of resamples and flips.

    Raises:
        ValueError: The shapes differ, or a value is NaN or infinite.
    """
    first, second = finite_pair("values", first, second)
    interval = _interval_of_means(first, second, rng)
    p = sign_flip_p(first, second, rng)
    return Difference(
        delta=float(np.mean(first - second)),
        ci95=interval,
        p=p,
        method="permutation test, BCa interval",
        effect=cohens_dz(first, second),
    )


def difference_of_correct(
    first: NDArray[np.bool_], second: NDArray[np.bool_], rng: np.random.Generator
) -> Difference:
    """Compare the accuracies of two methods by McNemar's exact test, with a BCa interval.

    Args:
        first: Whether the first method is right, (n,).
        second: Whether the second method is right, (n,).
        rng: Source of resamples.

    Raises:
        ValueError: The shapes differ, there are no items, or a value is neither 0 nor 1.
    """
    p = mcnemar_p(first, second)
    a, b = finite_pair("items", first.astype(np.float64), second.astype(np.float64))
    return Difference(
        delta=float(np.mean(a - b)),
        ci95=_interval_of_means(a, b, rng),
        p=p,
        method="McNemar's exact test, BCa interval",
        effect=cohens_dz(a, b),
    )


def _interval_of_means(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float]:
    change = first - second
    replicates = replicate(lambda counts: mean_replicates(change, counts), len(change), rng)
    return bca_interval(replicates, float(change.mean()), jackknife_mean(change))


def bootstrap_p(delta: float, replicates: NDArray[np.float64]) -> float:
    """Two-sided bootstrap p-value (k + 1) / (R + 1).

    The replicates are shifted by the difference, so that their centre is the null; k of them are
    at least as far from it as the difference. Efron and Tibshirani (1993), "An introduction to
    the bootstrap", section 16.4; the added one is Davison and Hinkley's (1997), equation 4.11.

    Args:
        delta: Difference of the scores.
        replicates: Differences on the resamples, (R,).
    """
    large = np.abs(replicates - delta) >= abs(delta) * (1 - 1e-12)
    return (int(np.sum(large)) + 1) / (len(replicates) + 1)


def cohens_dz(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Mean of the paired item differences over their standard deviation.

    Cohen (1988), "Statistical power analysis for the behavioral sciences", section 2.3.5: d_z.

    Args:
        first: Values of the first method, (n,).
        second: Values of the second method, (n,).

    Returns:
        The effect; 0 where all values are equal, None where all differences are the same but
        not 0, or there is one item only.

    Raises:
        ValueError: The shapes differ, or a value is NaN or infinite.
    """
    first, second = finite_pair("items", first, second)
    change = first - second
    if not change.any():
        return 0.0
    if len(change) == 1 or np.ptp(change) <= 1e-14 * np.abs(change).max():
        return None
    return float(change.mean() / change.std(ddof=1))
