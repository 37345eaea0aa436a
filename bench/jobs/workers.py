"""Executors that run jobs on workers: what they are made of, driven by ``schedule``."""

from __future__ import annotations

from bench.execution.runner import Outcome
from bench.jobs.executor import Executor, PlannedRun, Pool, WorkersConfig
from bench.jobs.schedule import run_jobs


class Workers(Executor, Pool):
    """An executor whose workers run jobs, several at a time."""

    @property
    def parts(self) -> int:
        """How many jobs share the encoding of a model."""
        return self.config.parts if isinstance(self.config, WorkersConfig) else 1

    def run(self, run: PlannedRun) -> Outcome:
        """Compute all cells that are due."""
        return run_jobs(run, self)
