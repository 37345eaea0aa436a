"""Spearman's rank correlation."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ConstantInputWarning, spearmanr


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Rank correlation in [-1, 1], ties by mid-ranks; NaN where an input is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(x, y).statistic)
