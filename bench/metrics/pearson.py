"""Pearson's correlation."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ConstantInputWarning, pearsonr


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Linear correlation in [-1, 1]; NaN where an input is constant, as a single value is."""
    if len(x) < 2:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(pearsonr(x, y).statistic)
