"""Suites made of tasks and benchmarks of mteb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mteb

from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.suite.kinds import MTEB_PREFIX, MtebSpec
from bench.suite.suite import Suite

# STS tasks whose test rows are those of sets in datasets.toml.
_SAME_ROWS = {
    **{f"STS{year}": f"sts/sts{year}:test" for year in range(12, 17)},
    "STSBenchmark": "sts/stsb:test",
    "SICK-R": "sts/sick:train+trial+test",
}


def make_suite(name: str) -> Suite:
    """Make a suite of tasks of mteb.

    Args:
        name: ``mteb:[STS12,SICK-R]``, or ``mteb:`` and the name of a benchmark.

    Raises:
        UsageError: mteb knows no such task or benchmark.
    """
    wanted = name.removeprefix(MTEB_PREFIX)
    if wanted.startswith("[") and wanted.endswith("]"):
        tasks = [
            find_task(task_name.strip())
            for task_name in wanted[1:-1].split(",")
            if task_name.strip()
        ]
        benchmark = None
    else:
        tasks = list(find_benchmark(wanted).tasks)
        benchmark = wanted
    specs = [_spec(task, benchmark) for task in tasks]
    if not specs:
        raise UsageError(f"suite {name!r} names no task")
    return Suite(
        name=name,
        title="Tasks of mteb, scored by mteb",
        convention="mteb",
        tasks=tuple(specs),
        average=tuple(spec.name for spec in specs),
        path=Path(),
    )


def _spec(task: Any, benchmark: str | None) -> MtebSpec:
    name = task.metadata.name
    return MtebSpec(
        kind="mteb",
        name=name,
        revision=str(task.metadata.dataset["revision"]),
        benchmark=benchmark,
        data=_SAME_ROWS.get(name),
    )


def find_task(name: str) -> Any:
    """Find a task of mteb.

    Raises:
        UsageError: There is none of the name.
    """
    try:
        return mteb.get_task(name)
    except KeyError:
        known = [task.metadata.name for task in mteb.get_tasks()]
        hint = did_you_mean(name, known) or "mteb.get_tasks() lists them"
        raise UsageError(f"unknown task of mteb {name!r}; {hint}") from None


def find_benchmark(name: str) -> Any:
    """Find a benchmark of mteb.

    Raises:
        UsageError: There is none of the name.
    """
    try:
        return mteb.get_benchmark(name)
    except KeyError:
        known = [benchmark.name for benchmark in mteb.get_benchmarks()]
        hint = did_you_mean(name, known) or "write tasks as mteb:[STS12,SICK-R]"
        raise UsageError(f"unknown benchmark of mteb {name!r}; {hint}") from None
