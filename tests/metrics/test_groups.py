"""Sums over groups against a table of items by groups."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics.groups import Groups


@given(st.data())
def test_sums_are_those_of_a_one_hot_table(data: st.DataObject) -> None:
    size, n = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    items = np.array(data.draw(st.sets(st.integers(0, n - 1)).map(sorted)), dtype=np.intp)
    numbers = data.draw(st.lists(st.integers(0, size - 1), min_size=n, max_size=n))
    values = np.random.default_rng(n).integers(0, 9, size=(3, n)).astype(np.int16)
    groups = np.array(numbers)
    one_hot = np.eye(size)[groups]
    assert (Groups(groups, size).sums(values) == values @ one_hot).all()
    part = Groups(groups[items], size, items).sums(values)
    assert (part == values[:, items] @ one_hot[items]).all()
