"""The six whitenings by their formulas."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import CellError, UsageError
from bench.core.spec import parse_method_spec
from bench.encoding.maps import Affine, Floats
from bench.method import resolve
from bench.methods import whitening
from bench.metrics.isotropy import isoscore
from bench.transforms.covariance import Shrinkage, WhiteningKind, fit_whitening

KINDS: tuple[WhiteningKind, ...] = get_args(WhiteningKind)
COR = ("pca-cor", "zca-cor")
CHOLESKY = ("cholesky", "cholesky-cov")
D = 6


def fit(vectors: Floats, kind: WhiteningKind, dim: int | None = None, ridge: float = 0.0) -> Floats:
    """Matrix of a whitening, (d, k)."""
    found = fit_whitening(vectors, kind=kind, dim=dim, ridge=ridge).map
    assert isinstance(found, Affine)
    return found.matrix


def shrunk(vectors: Floats, kind: WhiteningKind, shrinkage: Shrinkage) -> Floats:
    """Matrix of a whitening of an estimated covariance, (d, k)."""
    found = fit_whitening(vectors, kind=kind, dim=None, ridge=0.0, shrinkage=shrinkage).map
    assert isinstance(found, Affine)
    return found.matrix


def whiten(vectors: Floats, kind: WhiteningKind, dim: int | None = None) -> Floats:
    return fit_whitening(vectors, kind=kind, dim=dim, ridge=0.0).map(vectors)


def sample(seed: int, n: int = 200, d: int = D) -> Floats:
    """Correlated rows of full rank, with deviations of 0.3 to 3 in turned directions."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((d, d)))
    spread = rng.standard_normal((n, d)) * np.logspace(-0.5, 0.5, d)
    return np.asarray(spread @ axes + rng.standard_normal(d))


def cosines(z: Floats) -> Floats:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


seeds = st.integers(0, 10_000)
many = settings(max_examples=10, deadline=None)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
@many
def test_the_covariance_is_the_identity(kind: WhiteningKind, seed: int) -> None:
    z = whiten(sample(seed), kind)
    assert np.abs(np.cov(z.T) - np.eye(D)).max() < 1e-6
    assert np.abs(z.mean(axis=0)).max() < 1e-7


@given(seed=seeds)
@many
def test_zca_stays_nearest_to_the_vectors(seed: int) -> None:
    x = sample(seed)
    centred = x - x.mean(axis=0)
    standard = centred / x.std(axis=0, ddof=1)
    near = {kind: np.mean((whiten(x, kind) - centred) ** 2) for kind in KINDS}
    assert near["zca"] <= min(near.values()) + 1e-9
    near = {kind: np.mean((whiten(x, kind) - standard) ** 2) for kind in KINDS}
    assert near["zca-cor"] <= min(near.values()) + 1e-9
    trace = {kind: np.trace(whiten(x, kind).T @ standard) for kind in KINDS}
    assert trace["zca-cor"] >= max(trace.values()) - 1e-6
    matrix = fit(x, "zca")
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-8 * np.abs(matrix).max())


@given(seed=seeds)
@many
def test_the_matrix_of_cholesky_is_triangular(seed: int) -> None:
    x = sample(seed)
    lower = fit(x, "cholesky")
    assert (np.triu(lower, 1) == 0).all()
    assert (np.diag(lower) > 0).all()
    precision = lower @ lower.T
    np.testing.assert_allclose(precision @ np.cov(x.T), np.eye(D), atol=1e-6)


@given(seed=seeds)
@many
def test_the_matrix_of_the_other_cholesky_is_triangular(seed: int) -> None:
    x = sample(seed)
    matrix = fit(x, "cholesky-cov").T
    assert (np.triu(matrix, 1) == 0).all()
    np.testing.assert_allclose(matrix @ np.linalg.cholesky(np.cov(x.T)), np.eye(D), atol=1e-6)
    # The first column is only scaled, where that of the other one is mixed from all.
    np.testing.assert_allclose(
        whiten(x, "cholesky-cov")[:, 0], (x - x.mean(0))[:, 0] / x[:, 0].std(ddof=1), atol=1e-6
    )


@given(seed=seeds)
@many
def test_all_kinds_differ_by_a_rotation(seed: int) -> None:
    x = sample(seed, 60)
    expected = whiten(x, "pca")
    for kind in KINDS[1:]:
        z = whiten(x, kind)
        np.testing.assert_allclose(z @ z.T, expected @ expected.T, atol=1e-6)
        np.testing.assert_allclose(cosines(z), cosines(expected), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
@many
def test_inverse_and_again(kind: WhiteningKind, seed: int) -> None:
    x = sample(seed)
    matrix, z = fit(x, kind), whiten(x, kind)
    back = z @ np.linalg.pinv(matrix) + x.mean(axis=0)
    np.testing.assert_allclose(back, x, atol=1e-7 * np.abs(x).max())
    turned = fit(z, kind)
    np.testing.assert_allclose(turned @ turned.T, np.eye(D), atol=1e-6)
    if kind.startswith("zca"):
        np.testing.assert_allclose(turned, np.eye(D), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, scale=st.floats(0.1, 10))
@many
def test_shift_and_scale(kind: WhiteningKind, seed: int, scale: float) -> None:
    x = sample(seed)
    z = whiten(x, kind)
    np.testing.assert_allclose(whiten(scale * x + 3, kind), z, atol=1e-6)
    np.testing.assert_allclose(whiten(-scale * x + 3, kind), -z, atol=1e-6)
    columns = np.logspace(-1, 1, D)
    scaled = whiten(x * columns, kind)
    np.testing.assert_allclose(cosines(scaled), cosines(z), atol=1e-6)
    if kind in (*COR, *CHOLESKY):
        np.testing.assert_allclose(scaled, z, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in CHOLESKY])
def test_directions_without_variance_are_dropped(kind: WhiteningKind) -> None:
    x = np.random.default_rng(0).standard_normal((20, 32))
    found = fit_whitening(x, kind=kind, dim=None, ridge=0.0)
    z = found.map(x)
    assert found.rank == 19
    assert z.shape[1] == (19 if kind.startswith("pca") else 32)
    projector = np.cov(z.T)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-6)
    assert np.trace(projector) == pytest.approx(19)
    held_out = found.map(np.random.default_rng(1).standard_normal((50, 32)))
    assert np.abs(held_out).max() < 50


@pytest.mark.parametrize(("n", "rank"), [(500, 8), (5, 4)])
def test_isoscore_of_whitened_vectors(n: int, rank: int) -> None:
    x = sample(3, n, 8)
    assert isoscore(x) < 0.9 * (rank - 1) / 7
    assert isoscore(whiten(x, "zca")) == pytest.approx((rank - 1) / 7, abs=1e-6)


@given(seed=seeds, dim=st.integers(1, D))
@many
def test_whitening_k_is_the_first_columns(seed: int, dim: int) -> None:
    x = sample(seed)
    for kind in ("pca", "pca-cor"):
        np.testing.assert_allclose(whiten(x, kind, dim), whiten(x, kind)[:, :dim], atol=1e-12)
    np.testing.assert_allclose(cosines(whiten(x, "pca", D)), cosines(whiten(x, "zca")), atol=1e-6)


def test_it_is_the_whitening_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    x = sample(7)
    expected = PCA(whiten=True, svd_solver="full").fit_transform(x)
    np.testing.assert_allclose(np.abs(whiten(x, "pca")), np.abs(expected), atol=1e-8)


@pytest.mark.parametrize("kind", COR)
def test_a_constant_column_counts_as_one_of_deviation_one(kind: WhiteningKind) -> None:
    x = sample(0)
    x[:, 2] = 0.1
    rest = np.delete(x, 2, axis=1)
    z, expected = whiten(x, kind), whiten(rest, kind)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(cosines(z), cosines(expected), atol=1e-6)


def test_what_cannot_be_fitted() -> None:
    x = sample(0)
    flat = np.hstack([x, x[:, :1]])
    for kind in CHOLESKY:
        with pytest.raises(CellError, match=rf"kind={kind}\] .* have rank 6 of 7; .* or set ridge"):
            fit(flat, kind)
        assert np.isfinite(fit(flat, kind, ridge=1e-6)).all()
    with pytest.raises(CellError, match="have rank 6 of 7; choose dim=6 or less"):
        fit(flat, "pca", 7)
    with pytest.raises(CellError, match="3 vectors, all the same"):
        fit(np.ones((3, 2)), "zca")
    with pytest.raises(CellError, match="no vectors"):
        fit(np.ones((0, 2)), "zca")


def test_a_ridge_is_a_share_of_the_mean_variance() -> None:
    x = sample(0)
    covariance = np.cov(x.T)
    covariance += 0.5 * np.mean(np.linalg.eigvalsh(covariance)) * np.eye(D)
    for kind in KINDS:
        matrix = fit(x, kind, ridge=0.5)
        np.testing.assert_allclose(matrix @ matrix.T @ covariance, np.eye(D), atol=1e-8)


@pytest.mark.parametrize("n", [200, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_shrunk_as_scikit_learn_does(kind: WhiteningKind, n: int) -> None:
    from sklearn.covariance import LedoitWolf

    x = sample(1, n, 32)
    known = LedoitWolf().fit(x)
    matrix = shrunk(x, kind, "ledoit-wolf")
    assert matrix.shape == (32, 32)
    np.testing.assert_allclose(matrix @ matrix.T @ known.covariance_, np.eye(32), atol=1e-8)
    if kind == "zca":
        from scipy.linalg import sqrtm

        np.testing.assert_allclose(matrix, sqrtm(known.precision_), atol=1e-8)
    # What the rows lack is not blown up.
    assert np.abs((sample(2, 50, 32) - x.mean(axis=0)) @ matrix).max() < 50


@pytest.mark.parametrize("n", [200, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_se_plus_adds_to_eigenvalues_and_drops_none(kind: WhiteningKind, n: int) -> None:
    x = 0.01 * sample(1, n, 32)
    covariance = np.cov(x.T)
    deviation = np.sqrt(np.diag(covariance)) if kind in COR else np.ones(32)
    added = covariance / np.outer(deviation, deviation) + 1e-5 * np.eye(32)
    matrix = shrunk(x, kind, "se+")
    assert matrix.shape == (32, 32)
    white = deviation[:, None] * matrix
    np.testing.assert_allclose(white @ white.T @ added, np.eye(32), atol=1e-6)
    # Rows of its own fit stay bounded, as they have nothing outside of their span.
    z = (x - x.mean(axis=0)) @ matrix
    values = np.linalg.eigvalsh(np.cov(z.T))
    assert values.max() < 1
    if n == 20:
        assert np.sum(values > 1e-6) == 19


@pytest.mark.parametrize("kind", COR)
def test_a_constant_column_is_shrunk_too(kind: WhiteningKind) -> None:
    x = sample(0)
    x[:, 2] = 0.1
    for shrinkage in ("ledoit-wolf", "se+"):
        assert np.abs(shrunk(x, kind, shrinkage)).max() < 1e4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("shrinkage=se+", "set fit=test, or another shrinkage"),
        ("shrinkage=se+,fit=corpus", "set fit=test, or another shrinkage"),
        ("shrinkage=ledoit-wolf,ridge=0.1", "leave one out"),
        ("pairs=features,fit=corpus", "a corpus has no pairs"),
        ("shrinkage=oas", "shrinkage: input should be 'none', 'ledoit-wolf' or 'se\\+'"),
    ],
)
def test_settings_that_do_not_go_together(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(whitening.Whitening, parse_method_spec(f"whitening[{options}]"), "local")


def test_dim_goes_with_ordered_columns() -> None:
    spec = parse_method_spec("whitening[dim=3,kind=zca]")
    with pytest.raises(UsageError, match=r"kind=zca have no order .* dim goes with kind=pca"):
        resolve(whitening.Whitening, spec, "local")
