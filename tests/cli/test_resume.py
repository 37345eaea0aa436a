"""Running again: nothing twice, and nothing finished changes, not even after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.files import find_records, read_items
from tests.support.suites import Bench

ROOT = Path(__file__).parents[2]


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_command_changes_nothing_and_one_more_method_adds_one(
    bench: Bench, suite: Path, tmp_path: Path
) -> None:
    code, first_table, _ = bench("run", "--suite", suite, "--methods", "good")
    before = _snapshot(tmp_path / "results")
    assert code == 0
    _, again, err = bench("run", "--suite", suite, "--methods", "good")
    assert (again, err) == (first_table, "")
    assert _snapshot(tmp_path / "results") == before
    _, _, err = bench("run", "--suite", suite, "--methods", "good,good2")
    assert "good2" in err and "good  seed" not in err
    assert before.items() <= _snapshot(tmp_path / "results").items()


def test_changed_options_and_limits_are_other_cells(bench: Bench, suite: Path) -> None:
    bench("run", "--suite", suite, "--methods", "good,good[count=2]", "--limit", "10")
    _, out, _ = bench("run", "--suite", suite, "--methods", "good")
    assert "*" not in out
    _, out, _ = bench("table")
    assert out.count("good") == 3
    assert "good[count=2] *" in out


def test_rerun_failed_runs_only_what_failed(bench: Bench, suite: Path) -> None:
    bench("run", "--suite", suite, "--methods", "nan")
    code, _, err = bench("run", "--suite", suite, "--methods", "nan,good", "--rerun", "failed")
    assert code == 3
    assert "good" not in err
    _, _, err = bench("run", "--suite", suite, "--methods", "good", "--rerun", "all")
    assert "good  seed 0" in err


def _spawn(arguments: list[str], tmp_path: Path) -> subprocess.Popen[bytes]:
    # Only the tests go on the path: the checkout's bench would hide the installed one.
    path = tmp_path / "path"
    path.mkdir()
    (path / "tests").symlink_to(ROOT / "tests")
    env = {**os.environ, "BENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(path)}
    command = [sys.executable, "-m", "tests.support.stub_methods", *arguments]
    return subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)


def _kill_when(path_exists, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not path_exists():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_kill_during_encoding(bench: Bench, suite: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    arguments = [
        "run",
        "--suite",
        str(suite),
        "--batch-size",
        "5",
        "--methods",
        f"good,slow[flag={flag}]",
    ]
    process = _spawn(arguments, tmp_path)
    _kill_when(flag.exists, process)
    kept = _snapshot(tmp_path / "results")
    # Its record, the items of that, and the file of the run.
    assert len(kept) == 3
    code, out, err = bench(*arguments)
    assert code == 0
    assert "slow" in out and "good  seed" not in err
    assert kept.items() <= _snapshot(tmp_path / "results").items()


@pytest.mark.parametrize("stop_before", ["items", "json"])
def test_death_while_writing_leaves_no_half_cell(
    bench: Bench, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_before: str
) -> None:
    class Died(BaseException):
        pass

    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if "small" in str(target) and target.name.endswith(
            ".items.safetensors" if stop_before == "items" else "seed0.json"
        ):
            raise Died
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Died):
        bench("run", "--suite", suite, "--methods", "good")
    assert not list(tmp_path.glob("results/runs/small/*seed0.json"))
    monkeypatch.setattr(Path, "replace", real)
    code, out, _ = bench("run", "--suite", suite, "--methods", "good")
    assert code == 0 and "good" in out


@pytest.mark.nightly
def test_kill_during_training_equals_never_killed(
    bench: Bench, suite: Path, tmp_path: Path
) -> None:
    from tests.support.models import tiny_bert

    base = tiny_bert(tmp_path / "tiny")
    spec = f"sct[base={base},max_steps=150]"
    arguments = ["run", "--suite", str(suite), "--profile", "smoke", "--methods", spec]
    process = _spawn(arguments, tmp_path)
    work = tmp_path / "cache/work"
    _kill_when(lambda: len(list(work.glob("*/checkpoints/checkpoint-*/loss.safetensors"))), process)
    code, _, _ = bench(*arguments)
    assert code == 0
    (resumed,) = (tmp_path / "cache/models").glob("*/model.safetensors")
    content = resumed.read_bytes()
    assert bench("cache", "clear", "--yes")[0] == 0
    assert bench(*arguments, "--rerun", "all")[0] == 0
    assert resumed.read_bytes() == content


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
def test_a_cell_without_its_items_is_run_again(
    bench: Bench, suite: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    run = ("run", "--suite", suite, "--methods", "good")
    assert bench(*run)[0] == 0
    (items,) = (tmp_path / "results").rglob("*.items.safetensors")
    content = items.read_bytes()
    damage(items)
    code, _, err = bench("table")
    assert (code, "run that cell again" in err) == (4, True)
    assert bench(*run)[0] == 0
    assert items.read_bytes() == content


def test_rows_of_a_limit_are_spread_over_all(bench: Bench, suite: Path, tmp_path: Path) -> None:
    code, out, err = bench("run", "--suite", suite, "--methods", "good", "--limit", "10")
    assert code == 0, err
    assert "partial: only 10 rows of each task" in out
    (path,) = find_records([tmp_path / "results"])
    # Scores are i modulo 6 of row i: of every third row 0 and 3 alone.
    assert {*read_items(path)["pairs/gold"].tolist()} == {0, 3}
