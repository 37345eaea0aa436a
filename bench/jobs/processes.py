"""Jobs in several processes of this machine."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated, Any

from pydantic import Field

from bench.core.reports import read_report
from bench.jobs.executor import Listener, WorkerLost, WorkersConfig, cores
from bench.jobs.job import Done, Job, Request
from bench.jobs.worker import DONE, FAILED, raised
from bench.jobs.workers import Workers
from bench.models.processes import signal_name

_WORKER = "bench.jobs.worker"
_SECONDS_TO_END = 20
# What libraries that multiply matrices read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ProcessesConfig(WorkersConfig):
    """Settings.

    Attributes:
        jobs: How many jobs run at a time; by default one a core, or one a GPU.
    """

    jobs: Annotated[int, Field(ge=1)] | None = None


class Processes(Workers):
    """Several processes of this machine, each with its share of the cores, or a GPU of its own."""

    Config = ProcessesConfig
    config: ProcessesConfig

    _gpus = 0

    def open(self, request: Request) -> None:
        """Make room for the processes, which start with their first jobs."""
        self._request = request
        self._gpus = _gpus() if request.device == "cuda" else 0
        self._idle = SimpleQueue[_Process]()
        self._places = SimpleQueue[int]()
        self._started = list[_Process]()
        for place in range(self.capacity):
            self._places.put(place)
        self._logs = tempfile.TemporaryDirectory(prefix="bench-jobs-")
        self._pool = ThreadPoolExecutor(self.capacity, "bench-jobs")

    @property
    def capacity(self) -> int:
        """How many jobs run at a time."""
        return self.config.jobs or self._gpus or cores()

    def submit(self, job: Job, report: Listener, models: Mapping[str, bytes]) -> Future[Done]:
        """Start a job in a process that has none."""
        return self._pool.submit(self._do, job, report)

    def close(self) -> None:
        """End all processes."""
        for process in self._started:
            process.end()
        self._pool.shutdown()
        self._logs.cleanup()

    def _do(self, job: Job, report: Listener) -> Done:
        process = self._waiting() or self._start()
        try:
            done = process.do(job, report)
        except WorkerLost:
            self._places.put(process.place)
            raise
        except Exception:
            self._idle.put(process)
            raise
        self._idle.put(process)
        return done

    def _waiting(self) -> _Process | None:
        """A process without a job; one that was killed while it had none has cost nothing."""
        while True:
            try:
                process = self._idle.get_nowait()
            except Empty:
                return None
            if process.is_alive:
                return process
            self._places.put(process.place)

    def _start(self) -> _Process:
        place = self._places.get_nowait()
        log = Path(self._logs.name) / f"{place}.log"
        process = _Process(place, self._request, self._environment(place), self._place(), log)
        self._started.append(process)
        return process

    def _environment(self, place: int) -> dict[str, str]:
        threads = str(self._threads)
        chosen = dict.fromkeys(_THREADS, threads)
        if self._gpus > 1:
            chosen["CUDA_VISIBLE_DEVICES"] = str(place % self._gpus)
        # The folder that the command runs in is no place to import from.
        return {**os.environ, **chosen, "PYTHONSAFEPATH": "1"}

    @property
    def _threads(self) -> int:
        return max(1, cores() // self.capacity)

    def _place(self) -> dict[str, str]:
        return {
            "node": platform.node(),
            "executor": f"{self.capacity} jobs at a time",
            "threads": str(self._threads),
        }


class _Process:
    """A worker process and the pipes to it.

    Args:
        place: Its number.
        request: What the jobs share.
        environment: Its environment.
        told: What its records say of where they ran.
        log: File for what it prints.
    """

    def __init__(
        self,
        place: int,
        request: Request,
        environment: Mapping[str, str],
        told: Mapping[str, str],
        log: Path,
    ) -> None:
        self.place = place
        with log.open("ab") as stream:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=dict(environment),
                # An interruption at the terminal reaches this process alone, which ends the others.
                start_new_session=True,
            )
        self._log = log
        self._send({"request": request.dump(), "place": dict(told)})

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def do(self, job: Job, report: Listener) -> Done:
        """Do a job, and wait for its end.

        Raises:
            WorkerLost: The process has ended.
            BenchError: The job could not be done.
        """
        self._send(job.dump())
        for line in self._process.stdout or ():
            told = read_report(line)
            if told is None:
                continue
            kind, values = told
            if kind == DONE:
                (failures,) = values
                return Done(tuple((position, dict(why)) for position, why in failures))
            if kind == FAILED:
                raise raised(*values)
            report(kind, values)
        raise WorkerLost(self._how_it_ended())

    def end(self) -> None:
        """Close its input, with which it ends."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _send(self, content: Mapping[str, Any]) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(content).encode() + b"\n")
                self._process.stdin.flush()
        except OSError:
            # It has ended, which reading tells.
            return

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return f"its process {self._process.pid} was killed, perhaps out of memory"
        how = signal_name(-code) if code < 0 else f"code {code}"
        return f"its process {self._process.pid} ended with {how}{self._last_words()}"

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f": {lines[-1][:200]}" if lines else ""


def _gpus() -> int:
    # Imported late, as a run on the CPU need not wait seconds for it.
    import torch

    return torch.cuda.device_count()
