"""McNemar's exact test against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from bench.stats.mcnemar import mcnemar_p


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.floats(0, 1))
def test_equal_to_statsmodels_and_symmetric(seed: int, n: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random(n) < rate, rng.random(n) < 0.5
    table = [[np.sum(first & second), np.sum(first & ~second)]]
    table += [[np.sum(~first & second), np.sum(~first & ~second)]]
    expected = mcnemar(table, exact=True).pvalue
    assert mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9, abs=0)
    assert mcnemar_p(second, first) == mcnemar_p(first, second)


def test_edges() -> None:
    right = np.array([True, False])
    assert mcnemar_p(right, right) == 1
    assert mcnemar_p(np.array([True]), np.array([False])) == 1
    with pytest.raises(ValueError, match="right \\(1\\) or wrong \\(0\\)"):
        mcnemar_p(np.array([1, np.nan]), np.array([1, 0]))
    with pytest.raises(ValueError, match="differ"):
        mcnemar_p(right, right[:1])
