"""The encoding plan and the vector store."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import CellError
from bench.core.progress import Silent
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from tests.support.notes import Notes


class Lengths:
    """Encodes a text by its length and counts what it is asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts, *, role=None):
        self.seen += texts
        return np.array([[len(text), ord(text[0]), role == "query"] for text in texts], np.float32)


def _encode(encoder, columns, folder: Path, model: str = "m"):
    return encode_columns(
        encoder, columns, model_fingerprint=model, folder=folder, progress=Silent(), batch_size=3
    )


def test_every_text_once_and_rows_in_order(tmp_path: Path) -> None:
    encoder = Lengths()
    columns = {
        ("t", "a"): Column(["ccc", "a", "bb", "a"]),
        ("u", "a"): Column(["bb", "dddd"]),
    }
    result = _encode(encoder, columns, tmp_path)
    assert sorted(encoder.seen) == ["a", "bb", "ccc", "dddd"]
    assert result.vectors["t", "a"][:, 0].tolist() == [3, 1, 2, 1]
    assert (result.texts, result.distinct, result.encoded) == (6, 4, 4)


def test_nothing_is_encoded_again_and_never_across_models_or_roles(tmp_path: Path) -> None:
    columns = {("t", "a"): Column(["one", "three"])}
    _encode(Lengths(), columns, tmp_path)
    for model, column, expected in [
        ("m", Column(["one", "three"]), 0),
        ("other", Column(["one", "three"]), 2),
        ("m", Column(["one", "three"], role="query"), 2),
    ]:
        encoder = Lengths()
        result = _encode(encoder, {("t", "a"): column}, tmp_path, model)
        assert (len(encoder.seen), result.encoded) == (expected, expected)
        assert (result.vectors["t", "a"][:, 2] == (column.role == "query")).all()


class Growing:
    """Vectors of one number more at each call."""

    def __init__(self) -> None:
        self.calls = 1

    def encode(self, texts, *, role=None):
        self.calls += 1
        return np.ones((len(texts), self.calls), np.float32)


def test_vectors_of_different_sizes_are_refused(tmp_path: Path) -> None:
    columns = {("t", "a"): Column(["one", "two", "three", "four"])}
    with pytest.raises(CellError, match=r"different sizes: \[2, 3\]"):
        _encode(Growing(), columns, tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[:-5], lambda b: b[:-5] + b"wrong"])
def test_a_damaged_shard_is_encoded_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    columns = {("t", "a"): Column(["one", "three"])}
    first = _encode(Lengths(), columns, tmp_path)
    (shard,) = tmp_path.rglob("*.safetensors")
    shard.write_bytes(damage(shard.read_bytes()))
    again = _encode(Lengths(), columns, tmp_path)
    assert again.encoded == 2
    assert np.array_equal(again.vectors["t", "a"], first.vectors["t", "a"])


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (lambda n: np.full((n, 2), np.nan), "NaN"),
        (lambda n: np.zeros((n + 1, 2)), "shape"),
        (np.zeros, "shape"),
    ],
)
def test_bad_vectors_are_refused_and_not_stored(tmp_path: Path, vectors, message: str) -> None:
    class Broken:
        def encode(self, texts, *, role=None):
            return vectors(len(texts))

    with pytest.raises(CellError, match=message):
        _encode(Broken(), {("t", "a"): Column(["x", "y"])}, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("vector", "warned"),
    [
        (lambda text: [1.0, 2.0], True),
        (lambda text: [0.0, 0.0], True),
        (lambda text: [1.0 + 1e-7 * len(text), 2.0], True),
        (lambda text: [1.0, float(len(text))], False),
    ],
)
def test_one_vector_for_all_texts_is_told_each_time(
    tmp_path: Path, vector: Callable[[str], list[float]], warned: bool
) -> None:
    class Encoder:
        def encode(self, texts, *, role=None):
            return np.array([vector(text) for text in texts], np.float32)

    for _ in range(2):
        notes = Notes()
        encode_columns(
            Encoder(),
            {("t", "a"): Column(["x", "yy", "zzz"])},
            model_fingerprint="m",
            folder=tmp_path,
            progress=notes,
        )
        told = "all 3 different texts have the same vector" in "".join(notes.found)
        assert told == warned


def test_one_text_alone_is_no_reason_to_warn(tmp_path: Path) -> None:
    notes = Notes()
    columns = {("t", "a"): Column(["x", "x"])}
    encode_columns(Lengths(), columns, model_fingerprint="m", folder=tmp_path, progress=notes)
    assert not notes.found
