"""The filter of pseudo-labels (invariant 1 of the method)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import CellError
from bench.methods.ensemble.pseudo_labels import believed, errors, select, spread

GOLD = np.eye(2)[[0, 1, 0, 1]]
OUTPUTS = np.array([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75], [0.1, 0.9]])
SCORES, TRUE = np.array([[1.0], [2.0], [3.5]]), np.array([[1.0], [2.5], [3.0]])


@given(st.lists(st.floats(0, 2), min_size=2, max_size=6), st.booleans())
def test_more_is_kept_with_a_larger_tolerance(sigmas: list[float], classes: bool) -> None:
    outputs, gold = (OUTPUTS, GOLD) if classes else (SCORES, TRUE)
    counts = [
        believed("sigma", outputs, gold, classes=classes, sigma=sigma).sum()
        for sigma in sorted(sigmas)
    ]
    assert (np.diff(counts) >= 0).all()


@pytest.mark.parametrize(
    ("outputs", "gold", "classes"), [(OUTPUTS, GOLD, True), (SCORES, TRUE, False)]
)
def test_all_and_exact_hits_alone(outputs: np.ndarray, gold: np.ndarray, classes: bool) -> None:
    assert believed("sigma", outputs, gold, classes=classes, sigma=np.inf).all()
    none = believed("sigma", outputs, gold, classes=classes, sigma=0.0)
    assert none.tolist() == [True] + [False] * (len(outputs) - 1)


def test_the_tolerance_itself_is_kept() -> None:
    for sigma, kept in (
        (0.5, [True, True, False, True]),
        (np.nextafter(0.5, 0), [True, False, False, True]),
    ):
        assert believed("sigma", OUTPUTS, GOLD, classes=True, sigma=sigma).tolist() == kept
    below = believed("sigma", SCORES, TRUE, classes=False, sigma=np.nextafter(0.5, 0))
    assert below.tolist() == [True, False, False]
    assert believed("sigma", SCORES, TRUE, classes=False, sigma=0.5).all()


def test_other_filters() -> None:
    assert believed("none", OUTPUTS, GOLD, classes=True).all()
    sure = believed("confidence", OUTPUTS, GOLD, classes=True, threshold=0.75)
    assert sure.tolist() == [True, False, True, True]
    assert believed("agree", OUTPUTS, GOLD, classes=True).tolist() == [True, False, False, True]
    with pytest.raises(CellError, match="filter=agree is for classes"):
        believed("agree", SCORES, TRUE, classes=False)


def test_the_spread_is_that_of_the_errors() -> None:
    assert errors(OUTPUTS, GOLD, classes=True).tolist() == pytest.approx([0, 0.5, 0.75, 0.1])
    squares = [0, 0.25, 0.5625, 0.01]
    assert spread(OUTPUTS, GOLD, classes=True) == pytest.approx(np.sqrt(np.mean(squares)))
    assert spread(SCORES, TRUE, classes=False) == pytest.approx(np.std([0, -0.5, 0.5]))


def test_a_text_that_one_query_keeps_is_learnt_from_once() -> None:
    neighbours = np.array([[7, 2], [7, 4], [-1, -1]])
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    gold = np.eye(2)[[0, 1, 0]]
    found = select(neighbours, outputs, gold, "agree", classes=True)
    # Rows 2, 4 and 7 have the outputs in this order; 7 agrees with its second query alone.
    assert found.rows.tolist() == [2, 4, 7]
    assert found.kept.tolist() == [True, True, True]
    assert (found.pairs, found.kept_pairs) == (4, 3)
    none = select(np.full((3, 2), -1), np.empty((0, 2)), gold, "agree", classes=True)
    assert (len(none.rows), none.pairs) == (0, 0)
