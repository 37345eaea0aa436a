"""Jobs of a Slurm cluster, through submitit; all nodes see the cache and the output folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import submitit
from pydantic import Field
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

from bench.core.errors import UsageError, first_line
from bench.core.libraries import quiet_libraries
from bench.core.reports import Reporter, read_report
from bench.jobs.executor import BEGUN, Listener, WorkerLost, WorkersConfig
from bench.jobs.job import Done, Job, Request
from bench.jobs.worker import raised, told
from bench.jobs.workers import Workers
from bench.jobs.workplace import Workplace

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_QUESTIONS = 5.0
# So often Slurm must not know a job before it is lost.
_QUESTIONS = 2
_FOLDER = "jobs"


class SlurmConfig(WorkersConfig):
    """Settings.

    Attributes:
        partition: Partition of the cluster, or None for its default.
        account: Account that is charged, or None for the user's default.
        time: Minutes that a job may take.
        cpus: CPU cores of a job.
        gpus: GPUs of a job.
        memory: Gigabytes of a job, or None for the cluster's default.
        at_once: How many jobs are in the queue at a time.
        cluster: ``local`` starts the jobs on this machine without Slurm, to try it out.
    """

    partition: str | None = None
    account: str | None = None
    time: Annotated[int, Field(ge=1)] = 240
    cpus: Annotated[int, Field(ge=1)] = 4
    gpus: Annotated[int, Field(ge=0)] = 0
    memory: Annotated[int, Field(ge=1)] | None = None
    at_once: Annotated[int, Field(ge=1)] = 64
    cluster: Literal["slurm", "local"] = "slurm"


class Slurm(Workers):
    """The nodes of a Slurm cluster."""

    Config = SlurmConfig
    config: SlurmConfig

    def open(self, request: Request) -> None:
        """Prepare the submission of jobs.

        Raises:
            UsageError: There is no Slurm on this machine.
        """
        if self.config.cluster == "slurm" and shutil.which("sbatch") is None:
            raise UsageError("there is no Slurm here: 'sbatch' is not on the PATH")
        # Jobs inherit it: the folder that the command runs in is no place to import from.
        os.environ["PYTHONSAFEPATH"] = "1"
        self._folder = Path(request.cache) / _FOLDER / f"{os.getpid()}-{time.time_ns()}"
        self._folder.mkdir(parents=True)
        self._executor = submitit.AutoExecutor(self._folder / "%j", cluster=self.config.cluster)
        self._executor.update_parameters(**self._parameters())
        self._request = request
        self._queued = dict[str, _Queued]()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._asked = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _parameters(self) -> dict[str, Any]:
        config = self.config
        shared: dict[str, Any] = {"name": "bench", "timeout_min": config.time}
        if config.cluster == "local":
            return shared
        asked = {
            "slurm_partition": config.partition,
            "slurm_account": config.account,
            "mem_gb": config.memory,
            "gpus_per_node": config.gpus or None,
        }
        chosen = {name: value for name, value in asked.items() if value is not None}
        return {**shared, "cpus_per_task": config.cpus, **chosen}

    @property
    def capacity(self) -> int:
        """How many jobs are in the queue at a time."""
        return self.config.at_once

    def submit(self, job: Job, report: Listener, models: Mapping[str, bytes]) -> Future[Done]:
        """Put a job into the queue."""
        reports = self._folder / f"{job.identity}.reports"
        reports.touch()
        task = SlurmTask(self._request.dump(), job.dump(), str(reports), self.config.cluster)
        answer: Future[Done] = Future()
        try:
            submitted = self._executor.submit(task)
        except FailedSubmissionError as error:
            answer.set_exception(UsageError(f"Slurm takes no job: {first_line(error)}"))
            return answer
        with self._lock:
            self._queued[job.identity] = _Queued(submitted, answer, report, reports)
        return answer

    def close(self) -> None:
        """Cancel what is in the queue or at work."""
        self._closed.set()
        with self._lock:
            for queued in self._queued.values():
                queued.submitted.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        """Hand on reports, and answer for jobs that are done."""
        while not self._closed.wait(_SECONDS_BETWEEN_LOOKS):
            with self._lock:
                queued = dict(self._queued)
            known = self._known()
            for identity, job in queued.items():
                job.hand_on()
                if job.has_ended(known):
                    with self._lock:
                        del self._queued[identity]
                    job.answer_for_it()

    def _known(self) -> frozenset[str] | None:
        """Jobs that Slurm has in its queue or at work; None where it did not say.

        submitit asks the accounting, which many clusters do not have.
        """
        if self.config.cluster == "local" or time.monotonic() < self._asked:
            return None
        self._asked = time.monotonic() + _SECONDS_BETWEEN_QUESTIONS
        command = ["squeue", "--me", "--noheader", "--format=%A"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - words of ours
        return None if asked.returncode else frozenset(asked.stdout.split())


@dataclass
class _Queued:
    """A job that Slurm has."""

    submitted: submitit.Job[Done | tuple[str, str]]
    answer: Future[Done]
    report: Listener
    reports: Path
    read: int = 0
    missed: int = 0

    def has_ended(self, known: frozenset[str] | None) -> bool:
        """Whether there is a result, or none to come.

        Args:
            known: Jobs that Slurm has, where it said so.
        """
        if self.submitted.paths.result_pickle.exists():
            return True
        if isinstance(self.submitted, submitit.LocalJob):
            return self.submitted.done()
        # The result of a job that has just ended may be on its way through the file system.
        if known is not None:
            self.missed = 0 if self.submitted.job_id in known else self.missed + 1
        return self.missed > _QUESTIONS

    def hand_on(self) -> None:
        """Hand on what the job has reported since."""
        with self.reports.open("rb") as stream:
            stream.seek(self.read)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self.read += len(line)
                if (told := read_report(line)) is not None:
                    self.report(*told)

    def answer_for_it(self) -> None:
        """Set the answer: what the job leaves, or why there is nothing."""
        if not self.submitted.paths.result_pickle.exists():
            self.answer.set_exception(WorkerLost(f"job {self.submitted.job_id} left the queue"))
            return
        try:
            answer = self.submitted.result()
        except (FailedJobError, UncompletedJobError):
            # The task answers for its own errors, so that this is one of the machine.
            self.answer.set_exception(WorkerLost(f"job {self.submitted.job_id} broke off"))
            return
        if isinstance(answer, Done):
            self.answer.set_result(answer)
        else:
            self.answer.set_exception(raised(*answer))


@dataclass
class SlurmTask:
    """What runs on a node; it can be put off and started again.

    Attributes:
        request: What the jobs share.
        job: The job.
        reports: File for its progress.
        cluster: Where it runs.
    """

    request: dict[str, Any]
    job: dict[str, Any]
    reports: str
    cluster: str

    def __call__(self) -> Done | tuple[str, str]:
        """Do the job; what it leaves, or type and text of the error that it ends with."""
        quiet_libraries()
        descriptor = os.open(self.reports, os.O_WRONLY | os.O_APPEND)
        try:
            reporter = Reporter(descriptor)
            number = os.environ.get("SLURM_JOB_ID")
            reporter.send(BEGUN, platform.node() + (f" (job {number})" if number else ""))
            place = Workplace(Request.load(self.request), self._place())
            return place.do(Job.load(self.job), reporter)
        except Exception as error:
            traceback.print_exc()
            return told(error)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Go back into the queue where the time is up, or another job takes the place.

        A training goes on from its last checkpoint, which is in the cache.
        """
        return submitit.helpers.DelayedSubmission(self)

    def _place(self) -> dict[str, str]:
        threads = os.environ.get("SLURM_CPUS_PER_TASK") or str(os.cpu_count())
        return {"node": platform.node(), "executor": self.cluster, "threads": threads}
