"""Peak memory by phase: what is measured, and records that know nothing of it."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

import bench
from bench.execution import environment
from bench.execution.environment import PhaseMemory
from bench.records.entries import PeakMemory
from bench.records.files import content_sha256, read_record
from tests.support.records import make_record
from tests.support.suites import write_suite

LARGE = 300_000_000


def test_memory_of_a_phase_is_not_told_of_the_next() -> None:
    memory = PhaseMemory()
    # Mapped for itself, as a training before may have told the allocator to keep what is freed.
    with mmap.mmap(-1, LARGE) as taken:
        for page in range(0, LARGE, mmap.PAGESIZE):
            taken[page] = 1
    memory.end("build")
    memory.end("score")
    by_phase = memory.by_phase
    if by_phase is None:
        pytest.skip("the system does not tell phases apart")
    assert by_phase["build"] >= by_phase["score"] + LARGE // 2
    assert memory.most == by_phase["build"]


def test_where_phases_cannot_be_told_apart_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "reset_peak_memory", lambda: False)
    memory = PhaseMemory()
    memory.end("build")
    assert memory.by_phase is None
    assert memory.most > 0


def test_a_record_has_the_peak_of_each_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "reset_peak_memory", lambda: True)
    peaks = iter([10, 30, 20])
    monkeypatch.setattr(environment, "peak_memory_bytes", lambda: next(peaks))
    bench.run(str(write_suite(tmp_path)), ["random"], output=tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("*-seed0.json")
    record = read_record(path)
    assert record.peak_memory == PeakMemory(build=10, encode=30, score=20)
    assert record.peak_memory_bytes == 30


def test_a_record_from_before_it_was_kept_has_the_checksum_of_that_time() -> None:
    record = make_record("random", {"S1": 0.5})
    assert record.peak_memory is None
    assert "peak_memory" not in record.model_dump()
    later = record.model_copy(update={"peak_memory": PeakMemory(build=1, encode=2, score=3)})
    assert later.model_dump()["peak_memory"] == {"build": 1, "encode": 2, "score": 3}
    assert content_sha256(later) != content_sha256(record)
