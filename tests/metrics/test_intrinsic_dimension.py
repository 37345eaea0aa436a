"""Intrinsic dimension: Gaussians whose dimension is known, and what must not count."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from bench.metrics.intrinsic_dimension import (
    covariance_spectrum,
    different_neighbours,
    levina_bickel,
    nearest_distances,
    participation_ratio,
    pca_dimension,
    top_share,
    twonn,
    twonn_fit,
)

Vectors = NDArray[np.float64]


def embedded(dimension: int, n: int = 5000, ambient: int = 100) -> Vectors:
    """A Gaussian of some dimension, turned into a space of more."""
    rng = np.random.default_rng(0)
    frame, _ = np.linalg.qr(rng.normal(size=(ambient, ambient)))
    return np.asarray(rng.normal(size=(n, dimension)) @ frame[:dimension])


def nearest(vectors: Vectors, k: int = 20) -> NDArray[np.float64]:
    return nearest_distances(vectors, k)


@pytest.fixture(scope="module")
def estimates() -> dict[int, tuple[float, float, float]]:
    """TwoNN in both forms and MLE for Gaussians of several dimensions (5,000 vectors)."""
    found = {}
    for dimension in (2, 5, 10, 20, 40):
        distances = nearest(embedded(dimension))
        found[dimension] = (twonn(distances), twonn_fit(distances), levina_bickel(distances))
    return found


def test_twonn_of_low_dimensions(estimates: dict[int, tuple[float, float, float]]) -> None:
    for dimension in (2, 5, 10):
        likelihood, fit, _ = estimates[dimension]
        assert likelihood == pytest.approx(dimension, rel=0.1)
        assert fit == pytest.approx(likelihood, abs=0.3)


def test_high_dimensions_are_told_apart_and_underestimated(
    estimates: dict[int, tuple[float, float, float]],
) -> None:
    for measure in range(3):
        values = [found[measure] for found in estimates.values()]
        assert all(low < high for low, high in pairwise(values))
    assert estimates[20][0] == pytest.approx(17.3, abs=0.8)
    assert estimates[40][0] == pytest.approx(28.5, abs=1.5)
    assert estimates[20][2] == pytest.approx(15.9, abs=0.3)
    assert estimates[40][2] == pytest.approx(25.8, abs=0.3)


def test_isometry_and_scale_do_not_count() -> None:
    vectors = embedded(4, n=300, ambient=4)
    wide = np.hstack([vectors, np.zeros((300, 20))])
    frame, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(24, 24)))
    for measure in (twonn, twonn_fit, levina_bickel):
        want = measure(nearest(vectors))
        for moved in (wide, wide @ frame, 1000 * vectors, vectors + 7):
            assert measure(nearest(moved)) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(("dimension", "ambient"), [(3, 5), (10, 100), (30, 60)])
def test_estimates_are_those_of_scikit_dimension(dimension: int, ambient: int) -> None:
    skdim = pytest.importorskip("skdim.id", reason="scikit-dimension is not installed")
    vectors = embedded(dimension, n=600, ambient=ambient)
    distances = nearest(vectors)
    assert twonn_fit(distances) == pytest.approx(skdim.TwoNN().fit_transform(vectors))
    # Its estimate is made unbiased by one point less.
    likelihood = skdim.TwoNN(discard_fraction=0, method="mle").fit_transform(vectors)
    assert twonn(distances) * 599 / 600 == pytest.approx(likelihood)
    assert levina_bickel(distances) == pytest.approx(skdim.MLE().fit_predict(vectors))


def test_repeats_and_zeros_are_left_out() -> None:
    vectors = embedded(5, n=40, ambient=6)
    rounded = vectors[7:9] * (1 + 1e-7)
    mixed = np.vstack([vectors[:10], np.zeros((1, 6)), rounded, vectors[10:], vectors[3:4]])
    kept, found = different_neighbours(mixed, 4)
    assert kept.tolist() == [*range(10), *range(13, 43)]
    assert found == pytest.approx(nearest(vectors, 4))
    kept, found = different_neighbours(vectors, 50)
    assert (len(kept), found.shape) == (40, (40, 39))
    kept, found = different_neighbours(np.ones((5, 3)), 2)
    assert (kept.tolist(), found.shape) == ([0], (1, 0))
    kept, found = different_neighbours(np.zeros((5, 3)), 2)
    assert (kept.tolist(), found.shape) == ([], (0, 0))


def test_a_permutation_of_columns_changes_nothing() -> None:
    vectors = embedded(4, n=200, ambient=9)
    mixed = vectors[:, np.random.default_rng(2).permutation(9)]
    assert twonn(nearest(mixed)) == pytest.approx(twonn(nearest(vectors)))
    spectra = [covariance_spectrum(one) for one in (vectors, mixed)]
    assert spectra[0] == pytest.approx(spectra[1])


def test_neighbours_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.metrics.vectors._CELLS", 7 * 60)
    vectors = embedded(5, n=60, ambient=6) + 3
    want, _ = NearestNeighbors(n_neighbors=4).fit(vectors).kneighbors()
    assert nearest(vectors, 4) == pytest.approx(want)
    with pytest.raises(ValueError, match="60 neighbours need more than 60"):
        nearest(vectors, 60)


@pytest.mark.parametrize("measure", [twonn, twonn_fit, levina_bickel])
def test_equal_and_equidistant_vectors_have_no_dimension(measure) -> None:
    # Whole numbers, as processors may round the products of others so that none is 0.
    vectors = np.random.default_rng(0).permutation(np.mgrid[:5, :5, :5].reshape(3, -1).T)[:30]
    with pytest.raises(ValueError, match="two vectors are equal"):
        measure(nearest(np.vstack([vectors, vectors[:1]]), 3))
    with pytest.raises(ValueError, match="equally far"):
        measure(nearest(np.eye(6), 3))


def test_the_fit_is_the_least_squares_line() -> None:
    ratios = np.exp(np.random.default_rng(0).exponential(1 / 3, size=50))
    distances = np.stack([np.ones(50), ratios], axis=1)
    x = np.sort(np.log(ratios))[:45]
    y = -np.log(1 - np.arange(1, 46) / 50)
    (slope,), *_ = np.linalg.lstsq(x[:, None], y, rcond=None)
    assert twonn_fit(distances) == pytest.approx(slope)


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(1, 30), st.integers(0, 99))
def test_the_spectrum_is_that_of_pca(n: int, d: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, d)) * np.geomspace(1, 5, d) + 2
    spectrum = covariance_spectrum(vectors)
    pca = PCA().fit(vectors)
    assert spectrum == pytest.approx(pca.explained_variance_, abs=1e-9)
    shares = pca.explained_variance_ratio_
    assert top_share(spectrum) == pytest.approx(shares[0])
    axes = pca_dimension(spectrum)
    assert shares[:axes].sum() >= 0.95 - 1e-9
    assert shares[: axes - 1].sum() < 0.95
    assert 1 - 1e-9 <= participation_ratio(spectrum) <= min(n - 1, d) + 1e-9


def test_known_spectra() -> None:
    even = np.concatenate([np.eye(8), -np.eye(8)])
    spectrum = covariance_spectrum(even)
    assert participation_ratio(spectrum) == pytest.approx(8)
    assert (top_share(spectrum), pca_dimension(spectrum)) == (pytest.approx(1 / 8), 8)
    assert pca_dimension(np.array([95.0, 5.0])) == 1
    assert pca_dimension(np.array([94.0, 6.0])) == 2
    with pytest.raises(ValueError, match="all equal"):
        covariance_spectrum(np.ones((4, 3)))


def test_pca_keeps_at_least_the_variance_of_the_first_columns() -> None:
    vectors = np.random.default_rng(3).normal(size=(200, 12)) @ np.diag(np.arange(1, 13))
    spectrum, columns = covariance_spectrum(vectors), vectors.var(axis=0, ddof=1)
    for dim in range(1, 13):
        assert spectrum[:dim].sum() >= columns[:dim].sum() - 1e-9
    assert spectrum.sum() == pytest.approx(columns.sum())
