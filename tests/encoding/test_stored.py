"""Columns that stay on disk give what the whole array gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.progress import Silent
from bench.encoding import encode
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.encoding.store import VectorStore, text_keys
from bench.encoding.stored import StoredColumn

TEXTS = [f"text {number % 7}" for number in range(11)]


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    """Two shards of vectors of size 3."""
    store = VectorStore(tmp_path)
    for texts in (TEXTS[:4], TEXTS[4:7]):
        store.put(texts, text_keys(texts)[:, :3].astype(np.float32))
    return store


@pytest.mark.parametrize(
    "rows", [0, -1, slice(None), slice(2, 5), slice(3, 3), np.array([4, 0, 4]), [1, 2]]
)
def test_an_index_gives_what_it_gives_of_the_array(store: VectorStore, rows: Any) -> None:
    places = store.find(text_keys(TEXTS))
    column, whole = StoredColumn(store, places), store.take(places)
    assert (column.shape, len(column)) == (whole.shape, len(whole))
    assert column[rows].shape == whole[rows].shape
    assert (column[rows] == whole[rows]).all()


def test_it_becomes_an_array_where_one_is_asked_for(store: VectorStore) -> None:
    places = store.find(text_keys(TEXTS))
    column, whole = StoredColumn(store, places), store.take(places)
    for dtype in (None, np.float32, np.float64):
        made = np.asarray(column, dtype=dtype)
        assert made.dtype == np.dtype(dtype or np.float32)
        assert (made == whole).all()
    with pytest.raises(ValueError, match="no array without a copy"):
        np.array(column, copy=False)


@pytest.mark.parametrize(
    ("most", "kept"), [(4 * 11 * 2, np.ndarray), (4 * 11 * 2 - 1, StoredColumn)]
)
def test_a_streamed_column_stays_on_disk_where_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, kept: type
) -> None:
    class Encoder:
        def encode(self, texts, *, role=None):
            return np.array([[len(text), ord(text[-1])] for text in texts], np.float32)

    monkeypatch.setattr(encode, "MOST_BYTES", most)
    columns = {("t", "a"): Column(TEXTS), ("t", "b"): Column(TEXTS, streamed=True)}
    vectors = encode_columns(
        Encoder(), columns, model_fingerprint="m", folder=tmp_path, progress=Silent()
    ).vectors
    assert type(vectors["t", "a"]) is np.ndarray
    assert type(vectors["t", "b"]) is kept
    assert (np.asarray(vectors["t", "b"]) == vectors["t", "a"]).all()
