"""Adjusted p-values against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from bench.stats.multiple import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


@given(P_VALUES)
def test_equal_to_statsmodels(p: np.ndarray) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)


@given(P_VALUES)
def test_holm_is_at_least_bh_at_least_raw_and_both_keep_the_order(p: np.ndarray) -> None:
    order = np.argsort(p)
    slack = 1e-12
    assert (holm(p) >= benjamini_hochberg(p) - slack).all()
    assert (benjamini_hochberg(p) >= p - slack).all()
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assert (np.diff(adjusted[order]) >= 0).all()
        assert adjusted.max() <= 1


def test_edges() -> None:
    for adjust in (holm, benjamini_hochberg):
        assert adjust(np.array([])).shape == (0,)
        assert adjust(np.array([0.03])) == pytest.approx([0.03])
        with pytest.raises(ValueError, match="nan is not between 0 and 1"):
            adjust(np.array([0.1, np.nan]))
