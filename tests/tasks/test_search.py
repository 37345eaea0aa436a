"""Exact search by blocks: what a plain product and a stable sort find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.metrics.vectors import unit_rows
from bench.tasks import search
from bench.tasks.search import nearest

Floats = NDArray[np.float32]


class OnDisk:
    """Rows that are taken by slices alone."""

    def __init__(self, rows: Floats) -> None:
        self._rows = rows
        self.most = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> Floats:
        taken = self._rows[rows]
        self.most = max(self.most, len(taken))
        return taken


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "QUERIES", 3)
    monkeypatch.setattr(search, "DOCUMENTS", 5)


def plain(queries: Floats, documents: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    cosines = queries @ documents.T
    places = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return places, np.take_along_axis(cosines, places, axis=1)


def axes(rng: np.random.Generator, n: int) -> Floats:
    """Vectors along four axes, or zero: their cosines are exact, and nearly all tie."""
    return np.asarray(
        np.vstack([np.eye(4), -np.eye(4), np.zeros((1, 4))])[rng.integers(0, 9, n)], np.float32
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), count=st.integers(1, 70))
def test_equal_cosines_keep_the_order_of_the_documents(seed: int, n: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    queries, documents = axes(rng, 7), axes(rng, n)
    places, cosines = nearest(queries, documents, count)
    expected, their = plain(queries, documents, count)
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(cosines, their)


@pytest.mark.parametrize("count", [1, 4, 200])
@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_any_order_of_the_documents(order: str, count: int) -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(8, 16)).astype(np.float32)
    documents = rng.normal(size=(200, 16)).astype(np.float32) * rng.uniform(0.1, 9, (200, 1))
    ranks = np.argsort(unit_rows(documents) @ unit_rows(queries)[0])
    orders = {"random": np.arange(200), "rising": ranks, "falling": ranks[::-1]}
    documents = documents[orders[order]]
    places, cosines = nearest(queries, documents.astype(np.float32), count)
    exact = unit_rows(queries) @ unit_rows(documents).T
    best = -np.sort(-exact, axis=1)[:, :count]
    np.testing.assert_allclose(np.take_along_axis(exact, places, axis=1), best, atol=1e-6)
    np.testing.assert_allclose(cosines, best, atol=1e-6)
    assert all(len({*row}) == count for row in places.tolist())


def test_documents_are_taken_a_block_at_a_time() -> None:
    rng = np.random.default_rng(0)
    documents = OnDisk(rng.normal(size=(23, 4)).astype(np.float32))
    places, _ = nearest(rng.normal(size=(4, 4)).astype(np.float32), documents, 3)
    assert places.shape == (4, 3)
    assert documents.most == 5


def test_small_negative_cosines_are_in_order() -> None:
    documents = np.array([[-1, 1e-3], [-1, 0], [0, 1], [-1e-3, 1], [0, -1]], np.float32)
    places, cosines = nearest(np.array([[1, 0]], np.float32), documents, 5)
    assert places.tolist() == [[2, 4, 3, 0, 1]]
    assert (np.diff(cosines[0]) <= 0).all()
