"""IsoScore: closed forms, what it does not see, and the steps of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity

from bench.metrics.intrinsic_dimension import covariance_spectrum, participation_ratio
from bench.metrics.isotropy import isoscore, mean_cosine, partition_isotropy


def gaussian(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, d))


def by_the_steps(vectors: NDArray[np.float64]) -> float:
    """The algorithm of the paper as it is written there."""
    d = vectors.shape[1]
    variances = np.linalg.eigvalsh(np.cov(vectors.T))
    normed = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normed - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    fraction = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float((d * fraction - 1) / (d - 1))


@pytest.mark.parametrize("shape", [(500, 8), (40, 8), (8, 40), (2, 2)])
def test_equals_the_steps_of_the_paper(shape: tuple[int, int]) -> None:
    vectors = gaussian(*shape) * np.geomspace(1, 20, shape[1]) + 3
    assert isoscore(vectors) == pytest.approx(by_the_steps(vectors), abs=1e-9)


def test_closed_forms() -> None:
    assert isoscore(gaussian(10_000, 8)) == pytest.approx(0.999, abs=5e-4)
    assert isoscore(gaussian(10_000, 64)) == pytest.approx(0.9932, abs=5e-4)
    line = np.outer(np.arange(50.0), np.arange(1, 7))
    assert isoscore(line) == pytest.approx(0, abs=1e-12)
    crossed = np.concatenate([np.eye(9)[:4], -np.eye(9)[:4]])
    assert isoscore(crossed) == pytest.approx(3 / 8)
    assert isoscore(np.concatenate([np.eye(9), -np.eye(9)])) == pytest.approx(1)


def test_shift_rotation_and_scale_do_not_count() -> None:
    vectors = gaussian(200, 6) * np.arange(1, 7)
    rotation, _ = np.linalg.qr(gaussian(6, 6, 1))
    moved = 7 * (vectors @ rotation) + 100
    assert isoscore(moved) == pytest.approx(isoscore(vectors))
    assert isoscore(vectors.astype(np.float32)) == pytest.approx(isoscore(vectors), abs=1e-6)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(5), r"shape \(n, d\)"),
        (np.ones((5, 1)), r"shape \(n, d\)"),
        (np.ones((1, 5)), r"shape \(n, d\)"),
        (np.full((5, 3), 0.1, dtype=np.float32), "all equal"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), "finite"),
    ],
)
def test_what_has_no_score(vectors: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        isoscore(vectors)


@pytest.mark.parametrize("shape", [(500, 8), (8, 40)])
def test_isoscore_is_the_normalised_participation_ratio(shape: tuple[int, int]) -> None:
    vectors = gaussian(*shape) * np.geomspace(1, 9, shape[1])
    ratio = participation_ratio(covariance_spectrum(vectors))
    assert isoscore(vectors) == pytest.approx((ratio - 1) / (shape[1] - 1), abs=1e-12)


def test_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = gaussian(40, 5) + 0.5
    cosines = cosine_similarity(vectors)[np.triu_indices(40, 1)]
    assert mean_cosine(vectors) == pytest.approx(cosines.mean())
    assert mean_cosine(np.ones((3, 4))) == pytest.approx(1)
    assert mean_cosine(np.array([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-1)


@pytest.mark.parametrize("shape", [(300, 6), (6, 20)])
def test_partition_by_its_definition(shape: tuple[int, int]) -> None:
    vectors = gaussian(*shape) * np.geomspace(0.1, 1, shape[1]) + 0.2
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    z = np.exp(vectors @ np.hstack([directions, -directions])).sum(axis=0)
    assert partition_isotropy(vectors) == pytest.approx(z.min() / z.max())
    rotation, _ = np.linalg.qr(gaussian(shape[1], shape[1], 1))
    assert partition_isotropy(vectors @ rotation) == pytest.approx(z.min() / z.max())


def test_partition_of_even_and_of_long_vectors() -> None:
    assert partition_isotropy(np.concatenate([np.eye(5), -np.eye(5)])) == pytest.approx(1)
    assert partition_isotropy(np.array([[1000.0, 0.0], [1000.0, 1.0]])) == 0


@pytest.mark.parametrize("measure", [mean_cosine, partition_isotropy])
def test_what_has_no_direction(measure: Any) -> None:
    for vectors, message in (
        (np.ones((1, 3)), "n ≥ 2"),
        (np.array([[np.inf, 0.0], [0.0, 1.0]]), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(vectors)
    with pytest.raises(ValueError, match="zeros"):
        mean_cosine(np.array([[0.0, 0.0], [0.0, 1.0]]))
