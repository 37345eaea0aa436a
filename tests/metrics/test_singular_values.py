"""Rank, entropy and condition of vectors, and how alike tokens are: exact cases, and NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.singular_values import (
    condition_number,
    effective_rank,
    numerical_rank,
    singular_entropy,
    singular_values,
    token_similarity,
)


def low_rank(n: int, d: int, rank: int) -> np.ndarray:
    rng = np.random.default_rng(n + d + rank)
    return (rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))).astype(np.float32)


@pytest.mark.parametrize(("n", "d", "rank"), [(60, 8, 3), (8, 60, 5), (50, 12, 12)])
def test_the_rank_is_that_of_numpy(n: int, d: int, rank: int) -> None:
    vectors = low_rank(n, d, rank)
    sizes = singular_values(vectors)
    assert len(sizes) == min(n, d)
    # Products of float32 have all singular values, some of the size of roundings.
    assert numerical_rank(sizes, max(n, d)) == rank == np.linalg.matrix_rank(vectors)
    assert condition_number(sizes, max(n, d)) == pytest.approx(sizes[0] / sizes[rank - 1])


def test_the_condition_is_that_of_numpy() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 7))
    assert condition_number(singular_values(vectors), 40) == pytest.approx(np.linalg.cond(vectors))


def test_entropy_of_known_spectra() -> None:
    assert singular_entropy(np.array([3.0, 0.0])) == 0
    assert singular_entropy(np.ones(5)) == pytest.approx(np.log(5))
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert singular_entropy(np.array([3.0, 1.0])) == pytest.approx(expected)
    axes = np.vstack([np.eye(4), -np.eye(4)])
    assert effective_rank(axes) == pytest.approx(4)


def test_vectors_are_taken_as_they_are() -> None:
    line = np.outer(np.ones(9), np.arange(1.0, 4))
    assert numerical_rank(singular_values(line), 9) == 1
    assert numerical_rank(singular_values(line + np.eye(9, 3)), 9) == 3
    with pytest.raises(ValueError, match="all zero"):
        singular_values(np.zeros((4, 3)))


def test_tokens_are_compared_within_their_text() -> None:
    one, other = np.array([[1.0, 0], [1, 1]]), np.array([[0, 1.0], [0, 2], [0, 3]])
    assert token_similarity([one]) == pytest.approx(np.sqrt(0.5))
    # Each text counts once, however long, and one of a single token not at all.
    alone = np.array([[5.0, 1]])
    assert token_similarity([one, alone, other]) == pytest.approx((np.sqrt(0.5) + 1) / 2)
    with pytest.raises(ValueError, match="single token"):
        token_similarity([alone])
