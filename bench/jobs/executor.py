"""The contract of executors: where the cells of a run are computed.

An executor is registered in the entry-point group ``bench.executors`` under its name. One that runs
jobs on workers of some kind is a ``Workers`` (``bench.jobs.workers``): it starts a job and says
when that is done, and all else (order, repetition, progress, failures) is the same for all of them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core.errors import UsageError, first_problem
from bench.core.registry import EXECUTORS, entry_point
from bench.core.spec import MethodSpec, parse_method_spec
from bench.execution.cells import Cell
from bench.execution.runner import Outcome, run_cells
from bench.execution.settings import Settings
from bench.jobs.job import Done, Job, Request

LOCAL = "local"
# A report of a job that has begun, with the name of the machine.
BEGUN = "begun"
# Told of progress: ``start``, ``advance`` or ``note``, and its arguments, see ``Progress``; and
# where it was ``BEGUN``, by workers on several machines.
Listener = Callable[[str, list[Any]], None]


class WorkerLost(Exception):  # noqa: N818 - no error of the job, which is done again elsewhere
    """A worker has ended without an answer: it was killed, or its machine is gone."""


class ExecutorConfig(BaseModel):
    """Base of the settings of an executor: unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkersConfig(ExecutorConfig):
    """Settings of all executors whose workers run jobs.

    Attributes:
        parts: How many jobs share the encoding of a model, so that a large suite has several
            workers; vectors are the same as those of one.
    """

    parts: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True)
class PlannedRun:
    """A run that is planned.

    Attributes:
        cells: Its cells, those that are complete too.
        settings: What they share.
        request: The same as data, for other processes.
    """

    cells: Sequence[Cell]
    settings: Settings
    request: Request


class Executor(ABC):
    """Computes the cells of a run.

    Args:
        config: Its settings.

    Attributes:
        Config: Settings that it has.
    """

    Config: ClassVar[type[ExecutorConfig]] = ExecutorConfig

    def __init__(self, config: ExecutorConfig) -> None:
        self.config = config

    @abstractmethod
    def run(self, run: PlannedRun) -> Outcome:
        """Compute all cells that are due; a failing cell does not stop the others.

        Raises:
            UsageError: Something that the executor needs is not here.
        """


class Local(Executor):
    """One cell after the other in this process."""

    def run(self, run: PlannedRun) -> Outcome:
        """Compute all cells that are due."""
        return run_cells(run.cells, run.settings)


class Pool(ABC):
    """Runs jobs on workers, several at a time.

    Attributes:
        shares_folders: Whether the workers have the cache and the output folder of the machine that
            starts the run. To others models are sent, and theirs and their records come back.
    """

    shares_folders: ClassVar[bool] = True

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many jobs may be with the workers at a time; it may change while they work."""

    @property
    def parts(self) -> int:
        """How many jobs share the encoding of a model."""
        return 1

    @property
    def at_a_time(self) -> int:
        """The same, before any worker is ready, for an estimate."""
        return self.capacity

    @abstractmethod
    def open(self, request: Request) -> None:
        """Make workers ready for the jobs of a run.

        Raises:
            UsageError: Something that the executor needs is not here.
        """

    @abstractmethod
    def submit(self, job: Job, report: Listener, models: Mapping[str, bytes]) -> Future[Done]:
        """Start a job.

        Args:
            job: The job.
            report: Told of its progress, from any thread.
            models: Archives of models that it needs, by identity, and files of vectors, by path,
                where no folders are shared.

        Returns:
            What it leaves. It raises ``WorkerLost`` where the job is to be started again.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers, those too that are at work."""


def make_executor(text: str) -> Executor:
    """Make the executor of a spec such as ``slurm[partition=gpu,time=240]``.

    Raises:
        UsageError: Unknown name or option, a value that does not fit, or its package is missing.
    """
    spec = parse_method_spec(text)
    loaded: type[Executor] = _load(spec)
    try:
        config = loaded.Config.model_validate(dict(spec.options))
    except ValidationError as error:
        place, message = first_problem(error)
        known = ", ".join(loaded.Config.model_fields) or "none"
        raise UsageError(f"--executor {text}: {place}: {message}; it has: {known}") from None
    return loaded(config)


def _load(spec: MethodSpec) -> type[Executor]:
    entry = entry_point(EXECUTORS, "executor", spec.name)
    if spec.checkpoint is not None:
        raise UsageError(f"--executor {spec}: what is behind @ would be ignored; leave it out")
    try:
        loaded: type[Executor] = entry.load()
    except ModuleNotFoundError as error:
        raise UsageError(
            f"executor {spec.name} needs the package {error.name}; "
            f"pip install 'sentence-bench[{spec.name}]'"
        ) from None
    return loaded


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
