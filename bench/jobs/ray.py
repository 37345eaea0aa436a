"""Jobs on the nodes of a Ray cluster, which share no folders.

Records and trained models come back to the process that started the run, and are kept there by
content as if it had made them; what a job needs is sent along. Each node has the package, its own
cache (``BENCH_CACHE`` where ``ray start`` is called) and data, which it downloads as a run does.
"""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

# What becomes of a job is told in one line; Ray would write paragraphs of its own to the standard
# output, between the tables. It reads this when it is imported.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.core.errors import BenchError, UsageError, first_line
from bench.core.files import remove_folder
from bench.core.fingerprint import fingerprint
from bench.core.libraries import quiet_libraries
from bench.jobs.executor import BEGUN, Listener, WorkerLost, WorkersConfig
from bench.jobs.job import Done, Job, Request
from bench.jobs.workers import Workers
from bench.jobs.workplace import Workplace

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_LEAVE = 5.0
_SECONDS_OF_CAPACITY = 5.0
# A training reports each step; more than a few a second nobody can read.
_SECONDS_BETWEEN_REPORTS = 0.25


class RayConfig(WorkersConfig):
    """Settings.

    Attributes:
        address: Address of the cluster; by default ``RAY_ADDRESS``, or the one that runs on
            this machine.
        cpus: CPU cores of a job.
        gpus: GPUs of a job.
    """

    address: str = "auto"
    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0


class RayCluster(Workers):
    """The nodes of a Ray cluster."""

    shares_folders = False

    Config = RayConfig
    config: RayConfig
    # When the room of the nodes was counted, and what it was.
    _counted: tuple[float, int] = (float("-inf"), 0)

    def open(self, request: Request) -> None:
        """Join the cluster.

        Raises:
            UsageError: There is none, or no node of it can take a job.
        """
        self._join()
        if self.capacity == 0:
            ray.shutdown()
            raise UsageError(
                f"no node of the Ray cluster has {self.config.cpus:g} CPUs and "
                f"{self.config.gpus:g} GPUs for a job"
            )
        self._task = _task(str(Path.cwd()))
        self._request = request.dump()
        self._models = dict[str, Any]()
        self._running = dict[str, Any]()
        self._reports = dict[str, Listener]()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self._closed = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def capacity(self) -> int:
        """How many jobs the nodes have room for; nodes may come and go."""
        counted, count = self._counted
        if time.monotonic() - counted > _SECONDS_OF_CAPACITY:
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # not annotated
            count = sum(self._room(node["Resources"]) for node in nodes if node["Alive"])
            self._counted = time.monotonic(), count
        return count

    @property
    def at_a_time(self) -> int:
        """How many jobs the nodes have room for now."""
        self._join()
        try:
            return max(1, self.capacity)
        finally:
            ray.shutdown()

    def _join(self) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray.init(address=self.config.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster answers at {self.config.address}: {first_line(error)}; start one "
                "with 'ray start --head', or name it: --executor 'ray[address=HOST:6379]'"
            ) from None
        self._counted = (float("-inf"), 0)

    def _room(self, resources: Mapping[str, float]) -> int:
        room = resources.get("CPU", 0) / self.config.cpus
        if self.config.gpus:
            room = min(room, resources.get("GPU", 0) / self.config.gpus)
        return int(room)

    def submit(self, job: Job, report: Listener, models: Mapping[str, bytes]) -> Future[Done]:
        """Start a job on the node that Ray chooses."""
        for identity in models.keys() - self._models.keys():
            self._models[identity] = ray.put(models[identity])
        self._reports[job.identity] = report
        needs = {identity: self._models[identity] for identity in models}
        config = self.config
        task = self._task.options(num_cpus=config.cpus, num_gpus=config.gpus, max_retries=0)
        reference = task.remote(self._request, job.dump(), needs, self._queue)
        self._running[job.identity] = reference
        answer: Future[Done] = Future()
        reference.future().add_done_callback(partial(self._answer, job.identity, answer))
        return answer

    def close(self) -> None:
        """Leave the cluster; jobs that are at work end."""
        self._closed.set()
        for reference in self._running.values():
            with suppress(RayError, ValueError):
                ray.cancel(reference, force=True)
        # A thread that is inside of Ray when that is torn down can bring down the process.
        self._listener.join(_SECONDS_TO_LEAVE)
        ray.shutdown()

    def _answer(self, identity: str, answer: Future[Done], ended: Future[Any]) -> None:
        self._running.pop(identity, None)
        try:
            answer.set_result(ended.result())
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BenchError) else None
            answer.set_exception(cause or RuntimeError(str(error.cause)))
        except Exception as error:
            answer.set_exception(WorkerLost(_how_it_ended(error)))

    def _listen(self) -> None:
        """Hand on what the jobs report."""
        while not self._closed.is_set():
            try:
                identity, kind, values = self._queue.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except Empty:
                continue
            except Exception:
                return
            self._reports[identity](kind, values)


def _how_it_ended(error: Exception) -> str:
    kind = type(error).__name__
    known = {
        "OutOfMemoryError": "its node ran out of memory",
        "NodeDiedError": "its node is gone",
        "WorkerCrashedError": "its process was killed",
    }
    return known.get(kind, f"{kind}: {first_line(error)}"[:200])


class _Sender:
    """Progress that is sent to the process that started the run."""

    def __init__(self, identity: str, reports: Queue) -> None:
        self._identity = identity
        self._reports = reports
        self._last = float("-inf")

    def start(self, label: str, total: int) -> None:
        """Begin a task."""
        self.send("start", label, total)

    def advance(self, done: int, label: str | None = None) -> None:
        """Tell how much of it is done, a few times a second."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_REPORTS:
            self._last = time.monotonic()
            self.send("advance", done, label)

    def note(self, message: str) -> None:
        """Tell something once."""
        self.send("note", message)

    def send(self, kind: str, *values: Any) -> None:
        """Tell anything that can be pickled."""
        # Nobody waits for the answer, and a job goes on where nobody listens.
        with suppress(Exception):
            actor: Any = self._reports.actor
            actor.put_nowait.remote((self._identity, kind, list(values)))


_places: dict[str, Workplace] = {}


def _task(folder: str) -> Any:
    """What Ray starts on a node.

    Ray has workers import from the folder of a run before all else, where a checkout of this
    project may lie, or a file with the name of a library. That is undone before they import
    anything of ours: a function within another is pickled whole.

    Args:
        folder: Folder that the run was started in.
    """

    def bench_job(*given: Any) -> Any:
        import sys

        # Once, as PYTHONPATH may name it too.
        if "bench" not in sys.modules and folder in sys.path:
            sys.path.remove(folder)
        from bench.jobs.ray import do_job

        return do_job(*given)

    return ray.remote(bench_job)


def do_job(
    request: dict[str, Any], dumped: dict[str, Any], models: dict[str, Any], reports: Queue
) -> Done:
    """Do a job on a node.

    Args:
        request: What the jobs share.
        dumped: The job.
        models: Models that it needs, in Ray's store, by fingerprint.
        reports: Queue for its progress.
    """
    key = fingerprint(request)
    if key not in _places:
        quiet_libraries()
        _places.clear()
        _places[key] = Workplace(Request.load(request), _place(), _scratch())
    job = Job.load(dumped)
    sender = _Sender(job.identity, reports)
    sender.send(BEGUN, platform.node())
    contents = {identity: ray.get(reference) for identity, reference in models.items()}
    return _places[key].do(job, sender, contents)


def _scratch() -> Path:
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="bench-jobs-"))
    atexit.register(remove_folder, folder)
    return folder


def _place() -> dict[str, str]:
    return {
        "node": platform.node(),
        "executor": "ray",
        "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())),
    }
