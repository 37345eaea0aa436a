"""McNemar's test of two classifiers on the same items, and what it can be asked of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mcnemar_p(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value: McNemar (1947), Psychometrika 12, with binomial tails.

    Under the null an item that one method alone gets right is as likely either method's.

    Args:
        first: Whether the first method is right, (n,).
        second: Whether the second method is right, (n,).

    Returns:
        The p-value; 1 where no item tells the methods apart.

    Raises:
        ValueError: The shapes differ, or a value is neither 0 nor 1.
    """
    # SciPy takes most of a second to import, and tables need no exact test.
    from scipy.special import bdtr

    if np.shape(first) != np.shape(second):
        raise ValueError(f"McNemar: shapes {np.shape(first)} and {np.shape(second)} differ")
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise ValueError("McNemar: items must be right (1) or wrong (0)")
    only_first, only_second = int(np.sum(first > second)), int(np.sum(first < second))
    tail = bdtr(min(only_first, only_second), only_first + only_second, 0.5)
    return min(1.0, 2 * float(tail))


def are_right_or_wrong(values: NDArray[Any]) -> bool:
    """Whether each item is right (1) or wrong (0), and none is partly so.

    Args:
        values: Values of the items, (n,).
    """
    return set(np.unique(values).tolist()) <= {0.0, 1.0}


def are_votes(values: NDArray[Any], score: float) -> bool:
    """Whether a score is the share of the items that are right.

    A mean over folds weighs the items of each fold alike, a mean over experiments leaves items
    partly right: neither is such a share.

    Args:
        values: Values of the items, (n,).
        score: The score, a fraction.
    """
    return bool(np.isclose(values.mean(), score)) and are_right_or_wrong(values)
