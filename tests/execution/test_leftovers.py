"""What killed runs leave goes with the next run; what others work on, or can go on with, stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bench.core.cache import Cache
from bench.core.files import MACHINE, temporary_folder
from bench.execution.leftovers import find_leftovers, remove_leftovers
from tests.support.suites import Bench, write_suite

LEFT = [
    f"cache/.hashes.json.bench-{MACHINE[:4]}2c3d",
    "cache/.hashes.json.abcd_123",
    f"cache/.grid.bench-{MACHINE[:4]}2c3d/x",
    "cache/grid-abcd_123/x",
    f"cache/models/.0123.bench-{MACHINE[:4]}2c3d/model.safetensors",
    "cache/models/.0123.abcd_123/model.safetensors",
    f"cache/models/0123/.labels.json.bench-{MACHINE[:4]}2c3d",
    f"cache/work/.tmp.bench-{MACHINE[:4]}2c3d/x",
    "cache/work/tmpabcd_123/x",
    f"cache/vectors/0123/.x.safetensors.bench-{MACHINE[:4]}2c3d",
    f"cache/data/sts/sts12/.test.jsonl.gz.bench-{MACHINE[:4]}2c3d",
    f"out/.write.bench-{MACHINE[:4]}2c3d",
    "out/.write-4711",
    f"out/small/.x-seed0.items.safetensors.bench-{MACHINE[:4]}2c3d",
    "out/small/.x-seed0.items.safetensors.abcd_123",
    "out/small/.x-seed0.json.abcd_123",
]
OTHERS = "0000" if not MACHINE.startswith("0000") else "1111"
KEPT = [
    # Another machine may be at work on it.
    f"cache/.grid.bench-{OTHERS}2c3d/x",
    "cache/hashes.json",
    "cache/models/0123/model.safetensors",
    "cache/work/4567/checkpoints/checkpoint-2/model.safetensors",
    "cache/vectors/0123/x.safetensors",
    "cache/data/downloads/0123-rows.tsv.part",
    "cache/data/downloads/.lock",
    "cache/data/hub-cache/.locks/x",
    "out/.gitignore",
    "out/.notes.personal",
    "out/small/.notes.bench-report",
    "out/small/x-seed0.json",
    "out/small/.x.json.swp",
]


def _fill(folder: Path) -> Cache:
    for name in (*LEFT, *KEPT):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return Cache(folder / "cache")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_leftovers_go_and_all_else_stays(tmp_path: Path) -> None:
    cache = _fill(tmp_path)
    with temporary_folder(cache.work) as held:
        (held / "x").touch()
        assert held not in find_leftovers(cache)
        remove_leftovers(cache, tmp_path / "out")
        assert _files(tmp_path) == {*KEPT, str((held / "x").relative_to(tmp_path))}


def test_what_a_killed_lock_has_left_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    left = cache.locks / f".0123.lease.bench-{MACHINE[:4]}2c3d"
    left.parent.mkdir()
    left.touch()
    remove_leftovers(cache)
    assert not left.exists()


def test_work_goes_once_its_model_is_there_unless_it_is_in_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for name in ("done", "doing", "unfinished"):
        (cache.work / name).mkdir(parents=True)
    for name in ("done", "doing"):
        (cache.models / name).mkdir(parents=True)
    with cache.alone("doing"):
        remove_leftovers(cache)
    assert {path.name for path in cache.work.iterdir()} == {"doing", "unfinished"}


def test_the_next_run_removes_them(bench: Bench, tmp_path: Path) -> None:
    _fill(tmp_path)
    (tmp_path / "cache/hashes.json").unlink()
    code, _, err = bench(
        "run", "--suite", write_suite(tmp_path), "--methods", "good", "--output", "out"
    )
    assert code == 0, err
    assert not set(LEFT) & _files(tmp_path)


def test_the_cache_is_shown_by_kind_and_age(bench: Bench, tmp_path: Path) -> None:
    _fill(tmp_path)
    code, out, _ = bench("cache", "size")
    assert code == 0
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()[3:]}
    assert list(lines) == ["models", "exports", "vectors", "work", "data", "leftovers"]
    assert lines["leftovers"][0] == "11"
    old = tmp_path / "cache/work/4567/checkpoints/checkpoint-2/model.safetensors"
    os.utime(old, (time.time() - 9 * 86_400,) * 2)
    _, out, _ = bench("cache", "size")
    assert any(line.startswith("work") and "9 days" in line for line in out.splitlines())


@pytest.mark.parametrize(("days", "there"), [("10", True), ("8", False)])
def test_the_cache_is_cleared_by_kind_and_age(
    bench: Bench, tmp_path: Path, days: str, there: bool
) -> None:
    cache = _fill(tmp_path)
    old = cache.work / "4567/checkpoints/checkpoint-2/model.safetensors"
    os.utime(old, (time.time() - 9 * 86_400,) * 2)
    (cache.work / "89").mkdir()
    assert bench("cache", "clear", "work", "--older-than", days, "--yes")[0] == 0
    assert old.exists() is there
    assert (cache.work / "89").exists() and (cache.models / "0123").exists()
    assert bench("cache", "clear", "leftovers", "--yes")[0] == 0
    assert find_leftovers(cache) == []
    assert bench("cache", "clear", "--yes")[0] == 0
    assert not [path for part in Cache.PARTS for path in (cache.root / part).glob("*")]
    assert not (cache.root / "hashes.json").exists()


def test_work_that_a_run_does_now_is_not_cleared(bench: Bench, tmp_path: Path) -> None:
    cache = _fill(tmp_path)
    with cache.alone("4567"):
        assert bench("cache", "clear", "--yes")[0] == 0
        assert (cache.work / "4567").is_dir()
    assert not cache.models.joinpath("0123").exists()
