"""Similarities of pairs do not depend on how many pairs are held at a time."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import blocks
from bench.metrics.similarity import similarities


@pytest.mark.parametrize("mteb", [True, False])
@pytest.mark.parametrize("held", [1, 7, 40])
def test_values_are_those_of_all_pairs_at_once(
    monkeypatch: pytest.MonkeyPatch, mteb: bool, held: int
) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 19)).astype(np.float32)
    whole = similarities(a, b, mteb=mteb)
    monkeypatch.setattr(blocks, "_ROWS", held)
    parts = similarities(a, b, mteb=mteb)
    assert all((parts[name] == whole[name]).all() for name in whole)
    assert all(values.dtype == np.float64 for values in parts.values())


def test_few_pairs_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_ROWS", 3)
    held = []

    def spy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        held.append((len(a), len(b)))
        return np.zeros(len(a))

    blocks.by_rows(spy, np.zeros((8, 2)), np.zeros((8, 2)))
    assert held == [(3, 3), (3, 3), (2, 2)]


def test_sides_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="make no pairs"):
        blocks.by_rows(lambda a, b: np.zeros(len(a)), np.zeros((2, 3)), np.zeros((2, 2)))
