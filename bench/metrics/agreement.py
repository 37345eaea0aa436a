"""How alike the errors of two predictors are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics.pearson import pearson
from bench.metrics.spearman import spearman

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def correlations(a: Floats, b: Floats) -> tuple[float, float]:
    """Pearson's and Spearman's correlation of two sets of n errors; NaN where one is constant."""
    return pearson(a, b), spearman(a, b)


def disagreement(a: Flags, b: Flags) -> float:
    """Share of n items on which exactly one of two predictors is right."""
    return float((a != b).mean())


def q_statistic(a: Flags, b: Flags) -> float:
    """Yule's Q of being right: 1 where two are right on the same items, 0 where by chance.

    (N11·N00 − N01·N10) / (N11·N00 + N01·N10) over n items; NaN where both products are 0.
    """
    both_right, neither_right = float((a & b).sum()), float((~a & ~b).sum())
    only_a, only_b = float((a & ~b).sum()), float((~a & b).sum())
    concordant, discordant = both_right * neither_right, only_a * only_b
    total = concordant + discordant
    return (concordant - discordant) / total if total else float("nan")


def kappa(a: Flags, b: Flags) -> float:
    """Cohen's κ of being right: agreement beyond what two shares of right items make likely.

    NaN where chance alone agrees always.
    """
    observed = float((a == b).mean())
    expected = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
