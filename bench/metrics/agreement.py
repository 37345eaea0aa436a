"""How alike the errors of two predictors are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics.pearson import pearson
from bench.metrics.spearman import spearman

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def correlations(one: Floats, two: Floats) -> tuple[float, float]:
    """Pearson's and Spearman's correlation of two sets of n errors; NaN where one is constant."""
    return pearson(one, two), spearman(one, two)


def disagreement(one: Flags, two: Flags) -> float:
    """Share of n items on which exactly one of two predictors is right."""
    return float((one != two).mean())


def q_statistic(one: Flags, two: Flags) -> float:
    """Yule's Q of being right: 1 where two are right on the same items, 0 where by chance.

    (N11·N00 − N01·N10) / (N11·N00 + N01·N10) over n items; NaN where both products are 0.
    """
    both, neither = float((one & two).sum()), float((~one & ~two).sum())
    first, second = float((one & ~two).sum()), float((~one & two).sum())
    same, other = both * neither, first * second
    return (same - other) / (same + other) if same + other else float("nan")


def kappa(one: Flags, two: Flags) -> float:
    """Cohen's κ of being right: agreement beyond what two shares of right items make likely.

    NaN where chance alone agrees always.
    """
    observed = float((one == two).mean())
    expected = float(one.mean() * two.mean() + (1 - one.mean()) * (1 - two.mean()))
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
