"""Checksums that are remembered: never those of other bytes than a file has now."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from bench.core import fingerprint
from bench.core.fingerprint import FileHashes, file_sha256
from tests.faults.worlds import shown
from tests.support.models import tiny_bert
from tests.support.suites import Bench, write_suite


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once."""
    monkeypatch.setattr(fingerprint, "_SETTLED", -1)


def replaced_with_the_same_times(path: Path, content: bytes) -> None:
    """Give a file other bytes of the same number, as tar, zip and ``rsync -t`` do."""
    stat = path.stat()
    assert len(content) == stat.st_size
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("how", ["in place", "another file"])
def test_other_bytes_of_the_same_size_and_time_are_hashed_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    hashes = FileHashes(tmp_path / "hashes.json")
    first = hashes.sha256(path)
    time.sleep(0.02)
    if how == "in place":
        replaced_with_the_same_times(path, b"two")
    else:
        other = tmp_path / "other"
        shutil.copy2(path, other)
        replaced_with_the_same_times(other, b"two")
        other.replace(path)
    assert hashes.sha256(path) == file_sha256(path) != first
    assert FileHashes(tmp_path / "hashes.json").sha256(path) == file_sha256(path)


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    read: list[Path] = []

    def compute(path: Path) -> str:
        read.append(path)
        return "sum"

    for _ in range(2):
        assert FileHashes(tmp_path / "hashes.json").sha256(path, "kind", compute) == "sum"
    assert len(read) == 1
    FileHashes(tmp_path / "hashes.json", trusted=False).sha256(path, "kind", compute)
    assert len(read) == 2


def test_what_changed_while_it_was_read_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    hashes = FileHashes(tmp_path / "hashes.json")

    def compute(path: Path) -> str:
        found = file_sha256(path)
        path.write_bytes(b"other")
        return found

    hashes.sha256(path, compute=compute)
    assert hashes.sha256(path) == file_sha256(path)


def test_what_was_just_written_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    path = tmp_path / "file"
    path.write_bytes(b"one")
    FileHashes(tmp_path / "hashes.json").sha256(path)
    assert not (tmp_path / "hashes.json").exists()


def test_a_damaged_memory_is_not_believed_and_that_is_said(tmp_path: Path) -> None:
    path, memory = tmp_path / "file", tmp_path / "hashes.json"
    path.write_bytes(b"one")
    right = FileHashes(memory).sha256(path)
    memory.write_bytes(memory.read_bytes().replace(right[:8].encode(), b"00000000"))
    said: list[str] = []
    assert FileHashes(memory, note=said.append).sha256(path) == right
    assert said == [f"{memory} is damaged; the files whose checksums it keeps are read again"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": 3, "sha256": ""}', b"\xff"])
def test_any_bytes_may_be_there(tmp_path: Path, content: bytes) -> None:
    path, memory = tmp_path / "file", tmp_path / "hashes.json"
    path.write_bytes(b"one")
    memory.write_bytes(content)
    assert FileHashes(memory).sha256(path) == file_sha256(path)


def test_two_runs_keep_what_the_other_has_found(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    runs = [FileHashes(tmp_path / "hashes.json") for _ in paths]
    for path, run in zip(paths, runs, strict=True):
        path.write_bytes(b"x")
        run.sha256(path, compute=lambda _: "sum")
    later = FileHashes(tmp_path / "hashes.json")
    assert [later.sha256(path) for path in paths] == ["sum", "sum"]


def test_without_room_for_it_nothing_is_remembered_and_all_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    (tmp_path / "hashes.json").mkdir()
    assert FileHashes(tmp_path / "hashes.json").sha256(path) == file_sha256(path)


def test_rerun_all_reads_a_model_again(bench: Bench, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    base = tiny_bert(tmp_path / "tiny")
    arguments = ["run", "--suite", suite, "--methods", f"sbert@{base}"]
    code, first, err = bench(*arguments)
    assert code == 0, err
    memory = tmp_path / "cache/hashes.json"
    weights = base / "model.safetensors"
    content = bytearray(weights.read_bytes())
    time.sleep(0.02)
    for place in range(len(content) - 4000, len(content), 4):
        content[place + 3] ^= 0x80
    replaced_with_the_same_times(weights, bytes(content))
    code, changed, err = bench(*arguments)
    assert code == 0, err
    assert shown(changed) != shown(first) and "sbert" in err
    # Even a memory that holds for the changed file is not asked.
    known = FileHashes(memory)
    assert known.sha256(weights) == file_sha256(weights)
    memory.write_bytes(memory.read_bytes().replace(file_sha256(weights).encode(), b"0" * 64))
    code, again, err = bench(*arguments, "--rerun", "all")
    assert (code, shown(again)) == (0, shown(changed)), err
