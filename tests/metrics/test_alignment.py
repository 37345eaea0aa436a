"""Alignment and uniformity by their definitions, and at their ends."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.metrics.alignment import alignment, uniformity

RNG = np.random.default_rng(0)


def test_by_definition() -> None:
    a, b = RNG.normal(size=(2, 30, 5))
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    assert alignment(a, b) == pytest.approx(np.square(u - v).sum(axis=1).mean())
    kernel = [np.exp(-2 * np.sum((x - y) ** 2)) for x, y in combinations(u, 2)]
    assert uniformity(a) == pytest.approx(np.log(np.mean(kernel)))


def test_ends_of_the_scales() -> None:
    a = RNG.normal(size=(10, 4))
    assert alignment(a, 3 * a) == pytest.approx(0)
    assert alignment(a, -a) == pytest.approx(4)
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)
    assert uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-8)
    # Evenly spread in many dimensions, all distances are about the root of 2.
    assert uniformity(RNG.normal(size=(500, 2000))) == pytest.approx(-4, abs=0.01)


def test_zeros_have_no_direction() -> None:
    zero = np.vstack([np.zeros(3), np.ones(3)])
    with pytest.raises(ValueError, match="zeros"):
        uniformity(zero)
    with pytest.raises(ValueError, match="zeros"):
        alignment(np.ones((2, 3)), zero)
