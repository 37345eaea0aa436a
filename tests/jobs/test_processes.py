"""``--jobs``: the same records as in one process, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bench.execution.settings import make_settings
from bench.jobs.job import Request
from bench.jobs.workplace import Workplace
from tests.support.jobs import (
    LONG,
    SHORT,
    in_training,
    items,
    kill,
    make_world,
    run,
    start,
    until,
    workers,
)

RUN = ("run", "--suite", "small.toml", "--profile", "smoke", "-o", "out", "--methods")
SEVERAL = f"random,tfidf,sbert@./tiny,simcse[{SHORT},epochs=1],whitening[of=sbert@./tiny]"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return make_world(tmp_path / "world")


@pytest.mark.nightly
def test_records_are_those_of_one_process(world: Path) -> None:
    assert run(world, *RUN, SEVERAL, "--seeds", "2")[0] == 0
    alone = items(world / "out")
    (world / "out").rename(world / "alone")
    (world / "cache").rename(world / "cache-alone")
    code, _, err = run(world, *RUN, SEVERAL, "--seeds", "2", "--jobs", "2")
    assert code == 0, err
    assert items(world / "out") == alone
    machines = [json.loads(p.read_bytes())["machine"] for p in (world / "out").rglob("*.json")]
    assert {machine["executor"] for machine in machines} == {"2 jobs at a time"}
    assert {machine["threads"] for machine in machines} <= {"1", str(os.cpu_count() or 1)}


@pytest.mark.nightly
def test_a_killed_worker_goes_on_from_its_checkpoint(world: Path) -> None:
    process = start(world, *RUN, f"{LONG},random", "--executor", "processes[jobs=2]")
    until(lambda: in_training(world))
    kill(workers(process.pid))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    lost = [line for line in err.splitlines() if "was killed" in line]
    assert lost and all("started again (2 of 3)" in line for line in lost)
    killed = items(world / "out")
    (world / "out").rename(world / "killed")
    (world / "cache").rename(world / "cache-killed")
    assert run(world, *RUN, f"{LONG},random")[0] == 0
    assert items(world / "out") == killed


@pytest.mark.nightly
def test_a_job_that_loses_every_worker_fails_and_the_others_go_on(world: Path) -> None:
    process = start(world, *RUN, f"{LONG},random,tfidf", "--executor", "processes[jobs=1]")
    until(lambda: in_training(world))
    for _ in range(3):
        until(lambda: workers(process.pid) and in_training(world))
        kill(workers(process.pid))
        until(lambda: not workers(process.pid))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "simcse[" not in out and "tfidf" in out
    assert err.count("perhaps out of memory, 3 times") >= 1
    assert "Traceback" not in err
    # The same command goes on where the training was.
    assert run(world, *RUN, f"{LONG},random,tfidf", "--jobs", "2")[0] == 0


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_is_left_when_the_run_ends(world: Path, number: signal.Signals) -> None:
    process = start(world, *RUN, f"{LONG},tfidf", "--jobs", "2")
    until(lambda: in_training(world))
    pids = workers(process.pid)
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    until(lambda: not any(Path(f"/proc/{pid}/fd").exists() and _alive(pid) for pid in pids))
    code, _, err = run(world, *RUN, f"{LONG},tfidf", "--jobs", "2")
    assert code == 0, err


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_a_failing_cell_is_told_once(world: Path) -> None:
    methods = "random,sbert@./nothing-here"
    code, _, err = run(world, *RUN, methods, "--jobs", "2")
    assert code == 4, err
    (world / "broken").mkdir()
    (world / "broken" / "config.json").write_text("{}")
    code, _, err = run(world, *RUN, "random,sbert@./broken", "--jobs", "2")
    assert code == 3, err
    assert err.count("bench: sbert@./broken") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--jobs", "2", "--executor", "local"), "both say where cells run"),
        (("--jobs", "2", "--processes", "2"), "choose one of them"),
        (("--executor", "nowhere"), "unknown executor 'nowhere'"),
        (("--executor", "processes[job=2]"), "it has: parts, jobs"),
        (("--executor", "processes[jobs=0]"), "greater than or equal to 1"),
        (("--executor", "processes@x"), "leave it out"),
        (("--shard", "4/3"), "1/3, 2/3 or 3/3"),
        (("--shard", "half"), "1/3, 2/3 or 3/3"),
    ],
)
def test_what_cannot_be_is_one_line(world: Path, arguments: tuple[str, ...], told: str) -> None:
    code, out, err = run(world, *RUN, "random", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().splitlines()) == 1


def test_records_have_the_commit_of_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    settings = make_settings(profile="smoke", output=tmp_path / "out", offline=True)
    request = Request.of(["mini"], settings, None)
    own = {"commit": "a" * 40, "committed": "2026-01-02T03:04:05+00:00", "dirty": True}
    # A node of a cluster works in a folder of its own, which may be a tree as well.
    place = Workplace(replace(request, commit=own), {"node": "other"})
    told = place._settings.commit
    assert told is not None
    assert (told.commit, told.dirty) == ("a" * 40, True)
    assert Workplace(replace(request, commit=None), {"node": "other"})._settings.commit is None


def test_a_label_is_kept_by_every_executor(world: Path) -> None:
    assert run(world, *RUN, "random[label=ours],tfidf", "--jobs", "2")[0] == 0
    out = run(world, "table", "out")[1]
    assert "ours" in out
    assert run(world, *RUN, "random[label=theirs],tfidf", "--jobs", "2")[0] == 0
    assert "theirs" in run(world, "table", "out")[1]
