"""The vector store: look-ups by content, and what is read for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core import fingerprint
from bench.core.errors import CellError
from bench.encoding import shards
from bench.encoding.shards import Shard
from bench.encoding.store import ABSENT, VectorStore, _positions, text_keys

NUMBERED = [f"text {number}" for number in range(20)]
Texts = st.text(st.characters(categories=("L", "N", "Cs"), max_codepoint=0xDFFF), max_size=3)


def vectors_of(texts: list[str]) -> np.ndarray:
    """A vector that tells each of some texts apart."""
    return text_keys(texts)[:, :8].astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A space of two shards of ten texts each."""
    for half in (NUMBERED[:10], NUMBERED[10:]):
        VectorStore(tmp_path).put(half, vectors_of(half))
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Shards that are read whole."""
    paths: list[Path] = []

    def spy(path: Path) -> str:
        paths.append(path)
        return fingerprint.file_sha256(path)

    monkeypatch.setattr(shards, "file_sha256", spy)
    return paths


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every file count as written long ago."""
    monkeypatch.setattr(fingerprint, "_SETTLED", -1)


@given(st.lists(st.lists(Texts, max_size=6), max_size=5), st.lists(Texts, max_size=12))
def test_what_was_put_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, put: list[list[str]], asked: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("space")
    store = VectorStore(folder)
    for texts in filter(None, put):
        store.put(texts, vectors_of(texts))
    known = {text for texts in put for text in texts}
    for one in (store, VectorStore(folder)):
        places = one.find(text_keys(asked))
        assert (places != ABSENT).tolist() == [text in known for text in asked]
        there = [text for text in asked if text in known]
        got = one.take(places[places != ABSENT])
        assert got.dtype == np.float32
        assert got.tolist() == vectors_of(there).tolist()


@given(st.data())
def test_keys_that_begin_alike_are_told_apart(data: st.DataObject) -> None:
    rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12)
    known, wanted = data.draw(rows), data.draw(rows)
    expected = [known.index(row) if row in known else ABSENT for row in wanted]
    shape = (-1, 2)
    got = _positions(
        np.array(wanted, np.uint64).reshape(shape), np.array(known, np.uint64).reshape(shape)
    )
    assert got.tolist() == expected


def test_a_text_that_is_not_in_the_store_has_no_vector(folder: Path) -> None:
    store = VectorStore(folder)
    with pytest.raises(KeyError, match="not in the store"):
        store.take(store.find(text_keys(["text 1", "another"])))


def test_only_the_shards_that_are_asked_for_are_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rows = VectorStore(folder), list[int]()

    def spy(shard: Shard, chosen: np.ndarray) -> np.ndarray:
        rows.append(len(chosen))
        return taken(shard, chosen)

    taken = Shard.take
    monkeypatch.setattr(Shard, "take", spy)
    store.take(store.find(text_keys(["text 3", "text 1", "text 3"])))
    assert rows == [3]


def test_a_shard_is_read_whole_once_in_its_life(
    folder: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    VectorStore(folder)
    assert sorted(read) == sorted(folder.glob("*.safetensors"))
    VectorStore(folder)
    assert len(read) == 2


def test_a_shard_that_was_just_written_is_read_again(folder: Path, read: list[Path]) -> None:
    VectorStore(folder)
    VectorStore(folder)
    assert len(read) == 4


def flipped(content: bytes) -> bytes:
    """A byte of a vector, changed."""
    return content[:-700] + bytes([content[-700] ^ 1]) + content[-699:]


@pytest.mark.parametrize(
    "damage", [flipped, lambda b: b[:-1], lambda b: b + b"0", lambda b: b"", lambda b: b[::-1]]
)
def test_a_damaged_shard_is_dropped_though_it_was_verified(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    settle(monkeypatch)
    VectorStore(folder)
    damaged = min(folder.glob("*.safetensors"))
    before = damaged.stat()
    damaged.write_bytes(damage(damaged.read_bytes()))
    # Whoever copies files keeps their times.
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    store = VectorStore(folder)
    assert not damaged.exists()
    places = store.find(text_keys(NUMBERED))
    assert (places == ABSENT).sum() == 10
    kept = [text for text, place in zip(NUMBERED, places, strict=True) if place != ABSENT]
    assert store.take(places[places != ABSENT]).tolist() == vectors_of(kept).tolist()


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b'{"x": 1}', b"\xff", b"[" * 10**5])
def test_damage_to_what_is_remembered_costs_time_alone(
    folder: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    settle(monkeypatch)
    VectorStore(folder)
    read.clear()
    (folder / "verified.json").write_bytes(content)
    store = VectorStore(folder)
    assert len(read) == 2
    assert (store.find(text_keys(NUMBERED)) != ABSENT).all()


def test_a_shard_of_other_arrays_is_dropped(tmp_path: Path) -> None:
    from safetensors.numpy import save

    others: list[dict[str, Any]] = [
        {"keys": text_keys(["a"])},
        {"keys": text_keys(["a"]), "vectors": np.zeros((1, 2))},
        {"keys": text_keys(["a"]), "vectors": np.zeros(2, np.float32)},
        {"keys": text_keys(["a", "b"]), "vectors": np.zeros((1, 2), np.float32)},
        {"keys": text_keys(["a"])[:, :16], "vectors": np.zeros((1, 2), np.float32)},
    ]
    for arrays in others:
        content = save(arrays)
        (tmp_path / f"{shards.sha256(content)[:32]}.safetensors").write_bytes(content)
    assert (VectorStore(tmp_path).find(text_keys(["a", "b"])) == ABSENT).all()
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_shard_that_was_deleted_meanwhile_is_told(folder: Path) -> None:
    store = VectorStore(folder)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(CellError, match="was deleted while it was used; run the same command"):
        store.take(store.find(text_keys(NUMBERED)))


def test_vectors_of_different_sizes_are_refused(tmp_path: Path) -> None:
    store = VectorStore(tmp_path)
    store.put(["a"], np.zeros((1, 1), np.float32))
    store.put(["b"], np.zeros((1, 2), np.float32))
    assert store.take(store.find(text_keys(["b"]))).shape == (1, 2)
    with pytest.raises(CellError, match=r"different sizes: \[1, 2\]"):
        store.take(store.find(text_keys(["a", "b"])))


def test_runs_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    stores = [VectorStore(tmp_path) for _ in range(3)]
    for number, store in enumerate(stores):
        texts = NUMBERED[number : number + 5]
        store.put(texts, vectors_of(texts))
    later = VectorStore(tmp_path)
    places = later.find(text_keys(NUMBERED[:7]))
    assert later.take(places).tolist() == vectors_of(NUMBERED[:7]).tolist()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few files that a process may open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len([*Path("/proc/self/fd").iterdir()])
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("opened")
def test_a_space_may_have_more_shards_than_files_may_be_open(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(60)]
    for text in texts:
        VectorStore(tmp_path / text).put([text], vectors_of([text]))
        (shard,) = (tmp_path / text).glob("*.safetensors")
        shard.rename(tmp_path / shard.name)
    store = VectorStore(tmp_path)
    assert store.take(store.find(text_keys(texts))).tolist() == vectors_of(texts).tolist()
