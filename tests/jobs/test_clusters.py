"""Jobs on real clusters: Ray's nodes on this machine, submitit's local executor, Slurm."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.execution.settings import make_settings
from bench.records.files import read_record
from tests.support.jobs import LONG, SHORT, in_training, items, make_world, run, start, until

RUN = ("run", "--suite", "small.toml", "--profile", "smoke", "-o", "out", "--methods")
PORT = 6397
ADDRESS = f"127.0.0.1:{PORT}"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return make_world(tmp_path / "world")


def on_every_node(methods: str, world: Path) -> str:
    """Names that mean the same in any folder."""
    return methods.replace("=tiny", f"={world / 'tiny'}").replace(
        "pairs.tsv", str(world / "pairs.tsv")
    )


@pytest.mark.nightly
def test_jobs_of_submitit_leave_the_records_of_one_process(world: Path) -> None:
    pytest.importorskip("submitit")
    methods = f"random,sbert@./tiny,simcse[{SHORT},epochs=1]"
    assert run(world, *RUN, methods)[0] == 0
    alone = items(world / "out")
    for folder in ("out", "cache"):
        shutil.rmtree(world / folder)
    code, _, err = run(world, *RUN, methods, "--executor", "slurm[cluster=local]")
    assert code == 0, err
    assert f"random  seed 0 on {platform.node()}: " in err
    assert items(world / "out") == alone
    assert not list((world / "cache" / "jobs").iterdir())


def test_a_task_of_slurm_tells_the_error_that_it_ends_with(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    from bench.jobs.job import Job, Request
    from bench.jobs.slurm import SlurmTask

    settings = make_settings(profile="smoke", output=tmp_path / "out", offline=True)
    request = Request.of(["mini"], settings, None).dump() | {"profile": "no-such"}
    reports = tmp_path / "reports"
    reports.touch()
    task = SlurmTask(request, Job("id", "title", ()).dump(), str(reports), "local")
    kind, text = task()
    assert (kind, text.partition(";")[0]) == ("UsageError", "unknown profile 'no-such'")


def test_a_machine_without_slurm_is_told(world: Path) -> None:
    pytest.importorskip("submitit")
    if shutil.which("sbatch"):
        pytest.skip("there is a Slurm here")
    code, _, err = run(world, *RUN, "random", "--executor", "slurm")
    assert code == 2
    assert err.strip().endswith("there is no Slurm here: 'sbatch' is not on the PATH")


def ray(*arguments: str, **environment: str) -> None:
    """Call Ray's command."""
    command = [str(Path(sys.executable).with_name("ray")), *arguments]
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "no_proxy": "*", **environment}
    subprocess.run(command, env=os.environ | settings, check=True, timeout=120, capture_output=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Path]:
    """Two nodes of one CPU, each with a cache of its own."""
    pytest.importorskip("ray")
    if not Path(sys.executable).with_name("ray").is_file():
        pytest.skip("needs the command 'ray' beside Python")
    shared = ("--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats")
    own = ("--node-ip-address=127.0.0.1", *shared)
    head = ("start", "--head", f"--port={PORT}", "--include-dashboard=false", *own)
    ray(*head, BENCH_CACHE=str(tmp_path / "first"), OMP_NUM_THREADS="1")
    ray("start", f"--address={ADDRESS}", *own, BENCH_CACHE=str(tmp_path / "second"))
    yield tmp_path
    ray("stop", "--force")


def at_work(cluster: Path) -> bool:
    """Whether a node has begun a training."""
    return any(any((cluster / node).glob("work/*/*")) for node in ("first", "second"))


def processes_of(word: str) -> list[int]:
    """Processes whose title has a word."""
    found = subprocess.run(["pgrep", "-f", word], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.nightly
def test_two_nodes_of_ray_leave_the_records_of_one_process(world: Path, cluster: Path) -> None:
    methods = on_every_node(
        f"random,tfidf,simcse[{SHORT},epochs=1],sct[{SHORT},epochs=1,queue_size=8]", world
    )
    executor = ("--executor", f"ray[address={ADDRESS}]")
    code, _, err = run(world, *RUN, methods, *executor)
    assert code == 0, err
    assert f"random  seed 0 on {platform.node()}: " in err
    apart = items(world / "out")
    shutil.rmtree(world / "out")
    for node in ("first", "second"):
        shutil.rmtree(cluster / node / "vectors")
    parts = ("--executor", f"ray[address={ADDRESS},parts=2]")
    code, _, err = run(world, *RUN, methods, *parts)
    assert code == 0, err
    assert items(world / "out") == apart
    # What a node has encoded is what the job behind it finds, wherever that runs.
    encoded = [read_record(path).encoding.encoded for path in (world / "out").rglob("simcse*.json")]
    assert encoded == [0]
    # Models came back: the same command in this process trains nothing.
    assert len(list((world / "cache" / "models").iterdir())) == 2
    shutil.rmtree(world / "out")
    shutil.rmtree(world / "cache")
    assert run(world, *RUN, methods)[0] == 0
    assert items(world / "out") == apart


@pytest.mark.nightly
def test_a_worker_of_ray_that_is_killed_is_replaced(world: Path, cluster: Path) -> None:
    methods = on_every_node(f"{LONG},random", world)
    process = start(world, *RUN, methods, "--executor", f"ray[address={ADDRESS}]")
    until(lambda: at_work(cluster) and processes_of("^ray::_do"))
    for pid in processes_of("^ray::_do"):
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert "started again (2 of 3)" in err
    assert out.startswith("small: ")
    assert len(items(world / "out")) == 2


@pytest.mark.nightly
def test_a_driver_that_is_killed_goes_on(world: Path, cluster: Path) -> None:
    methods = on_every_node(f"{LONG},random", world)
    executor = ("--executor", f"ray[address={ADDRESS}]")
    process = start(world, *RUN, methods, *executor)
    until(lambda: at_work(cluster))
    process.kill()
    process.communicate()
    code, _, err = run(world, *RUN, methods, *executor)
    assert code == 0, err
    assert len(items(world / "out")) == 2
    assert not in_training(world)
