"""Gold scores from which no correlation can be had."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError


def check_spread(where: str, gold: NDArray[np.float64]) -> None:
    """Refuse gold scores that are all equal.

    Args:
        where: What the rows are called in an error.
        gold: Gold scores of shape (n,).

    Raises:
        DataError: They are.
    """
    if len(gold) == 1:
        raise DataError(
            f"{where}: has one row, and a correlation needs two with different gold scores"
        )
    if not np.ptp(gold):
        raise DataError(
            f"{where}: the gold scores of its {len(gold)} rows are all {gold[0]:g}, so no "
            "correlation with them is defined"
        )
