"""Jobs on real clusters: Ray's nodes on this machine, submitit's local executor, Slurm."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
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
    with nodes(tmp_path):
        yield tmp_path


@contextlib.contextmanager
def nodes(folder: Path, **environment: str) -> Iterator[None]:
    """The same with settings of Ray's."""
    if not Path(sys.executable).with_name("ray").is_file():
        pytest.skip("needs the command 'ray' beside Python")
    shared = ("--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats")
    own = ("--node-ip-address=127.0.0.1", *shared)
    head = ("start", "--head", f"--port={PORT}", "--include-dashboard=false", *own)
    ray(*head, BENCH_CACHE=str(folder / "first"), OMP_NUM_THREADS="1", **environment)
    second = {"BENCH_CACHE": str(folder / "second"), "OMP_NUM_THREADS": "1", **environment}
    try:
        ray("start", f"--address={ADDRESS}", *own, **second)
        yield
    finally:
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
    until(lambda: at_work(cluster) and processes_of("^ray::bench_job"))
    for pid in processes_of("^ray::bench_job"):
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert "started again (2 of 3)" in err
    assert out.startswith("small: ")
    assert len(items(world / "out")) == 2


def many_texts(world: Path) -> tuple[str, ...]:
    """Options of a run whose encoding takes seconds, and is kept in several parts."""
    rows = [f"{word} {i}\tthe {word} and {i}\t{i % 6}" for i in range(20_000) for word in "ab"]
    lines = "\n".join(["sentence1\tsentence2\tscore", *rows])
    (world / "many.tsv").write_text(f"{lines}\n")
    (world / "many.toml").write_text(
        'name = "many"\ntitle = "Many texts"\nconvention = "simcse"\naverage = ["pairs"]\n'
        f'[[tasks]]\nname = "pairs"\nkind = "sts"\ndata = {{ file = "{world / "many.tsv"}" }}\n'
    )
    methods = f"sbert@{world / 'tiny'},random"
    return ("run", "--suite", "many.toml", "--profile", "smoke", "-o", "out", "--methods", methods)


def kept(cluster: Path, node: str) -> bool:
    """Whether a node has kept some vectors."""
    return any((cluster / node / "vectors").glob("*/*.safetensors"))


def processes_with(value: str) -> list[int]:
    """Processes whose environment has a value."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if value.encode() in place.read_bytes():
                found.append(int(place.parent.name))
    return [pid for pid in found if pid != os.getpid()]


@pytest.mark.nightly
def test_a_worker_that_is_killed_while_it_encodes_loses_nothing(world: Path, cluster: Path) -> None:
    asked = many_texts(world)
    process = start(world, *asked, "--executor", f"ray[address={ADDRESS}]")
    until(lambda: kept(cluster, "first") or kept(cluster, "second"))
    for pid in processes_of("^ray::bench_job"):
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert "its process was killed; started again (2 of 3)" in err
    apart = items(world / "out")
    for folder in ("out", "cache"):
        shutil.rmtree(world / folder, ignore_errors=True)
    assert run(world, *asked)[0] == 0
    assert items(world / "out") == apart


@pytest.mark.nightly
def test_a_node_that_is_gone_loses_no_cell(world: Path, cluster: Path) -> None:
    methods = on_every_node(f"{LONG},random,{LONG.replace('epochs=160', 'epochs=150')}", world)
    process = start(world, *RUN, methods, "--executor", f"ray[address={ADDRESS}]")
    until(lambda: any((cluster / "second").glob("work/*/*")))
    # All of it at once: the node's own processes and those of its jobs.
    for pid in processes_with(f"BENCH_CACHE={cluster / 'second'}"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    lost = [line for line in err.splitlines() if "started again (2 of 3)" in line]
    assert len(lost) == 1, err
    assert len(items(world / "out")) == 3


@pytest.mark.nightly
def test_a_node_without_memory_fails_in_a_line_and_the_next_run_goes_on(
    world: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    used = psutil.virtual_memory()
    # Less than what a job needs to begin.
    threshold = (used.total - used.available) / used.total + 0.02
    limits = {
        "RAY_memory_usage_threshold": f"{threshold:.4f}",
        "RAY_memory_monitor_refresh_ms": "50",
    }
    asked = (*RUN, f"sbert@{world / 'tiny'}")
    with nodes(tmp_path, **limits):
        code, _, err = run(world, *asked, "--executor", f"ray[address={ADDRESS}]")
    assert code == 3, err
    assert "its node ran out of memory, 3 times" in err
    assert "Traceback" not in err
    assert run(world, *asked)[0] == 0
    assert len(items(world / "out")) == 1


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


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real Slurm of one node with two cores."""
    pytest.importorskip("submitit")
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))) or os.geteuid() != 0:
        pytest.skip("needs Slurm and munge, and root for their daemons")
    script, folder = Path(__file__).parents[1] / "machines/slurm.sh", tmp_path / "slurm"
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    try:
        subprocess.run(["bash", script, "up", folder, "2"], check=True, timeout=90)
        yield
    finally:
        subprocess.run(["bash", script, "down", folder], check=False, timeout=30)


def jobs_of_slurm() -> list[str]:
    """Numbers of the jobs that are at work."""
    command = ["squeue", "--noheader", "--states=RUNNING", "--format=%A %C"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in told.splitlines()]


@pytest.mark.nightly
@pytest.mark.parametrize("verb", ["cancel", "requeue"])
@pytest.mark.usefixtures("slurm")
def test_a_job_of_slurm_that_is_taken_away_goes_on(world: Path, verb: str) -> None:
    # A job that is cancelled has ten seconds to end by itself.
    longer = LONG.replace("epochs=160,max_steps=800", "epochs=500,max_steps=2500")
    process = start(world, *RUN, f"{longer},random", "--executor", "slurm[cpus=1,time=10]")
    until(lambda: in_training(world))
    # What has ended by now is the other one.
    (number,) = jobs_of_slurm()
    taken = ["scancel", number] if verb == "cancel" else ["scontrol", "requeue", number]
    subprocess.run(taken, check=True)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    lost = [line for line in err.splitlines() if "started again" in line]
    # Slurm itself starts what is put back into its queue.
    assert len(lost) == (verb == "cancel"), err
    assert out.startswith("small: ")
    assert len(items(world / "out")) == 2
