"""Runs with workers, as real processes that a test can kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.records.files import read_record
from tests.faults import worlds

SHORT = "base=tiny,dev=false,batch_size=8,lr=1e-2,corpus=pairs.tsv"
# Long enough to be met at work, and with checkpoints on the way.
LONG = f"simcse[{SHORT},epochs=160,max_steps=800,sentences=40]"
_PATIENCE = 120


def make_world(folder: Path) -> Path:
    """A folder with a small suite, a small model and a corpus, and a package no job may import."""
    made = worlds.make(folder)
    (made / "bench").mkdir()
    (made / "bench/__init__.py").write_text("raise RuntimeError('of the folder of a run')\n")
    return made


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``bench`` in a folder, with one thread and a cache there."""
    return subprocess.Popen(
        # Not by the environment, which the workers would inherit.
        [sys.executable, "-P", "-m", "bench", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "BENCH_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run ``bench`` in a folder to its end; exit code, stdout and stderr."""
    process = start(folder, *arguments, **environment)
    out, err = process.communicate(timeout=_PATIENCE)
    return process.returncode, out, err


def until(holds: Callable[[], object]) -> None:
    """Wait for something."""
    end = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def workers(driver: int) -> list[int]:
    """Processes of jobs that a run has started."""
    # Each is a child of the thread that started it.
    tasks = Path(f"/proc/{driver}/task").glob("*/children")
    pids = [int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()]
    return [pid for pid in pids if "bench.jobs.worker" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


def in_training(folder: Path) -> bool:
    """Whether a training has left a checkpoint and is not done."""
    return any((folder / "cache" / "work").glob("*/**/checkpoint-*"))


def kill(pids: list[int]) -> None:
    """End processes as a machine that breaks down would."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def items(output: Path) -> Mapping[str, bytes]:
    """Bytes of the items of all records of a folder, whose figures follow from them."""
    paths = sorted(output.rglob("*.items.safetensors"))
    for path in paths:
        read_record(path.with_name(path.name.replace(".items.safetensors", ".json")))
    return {path.name: path.read_bytes() for path in paths}
