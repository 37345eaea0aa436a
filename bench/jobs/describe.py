"""What jobs a run would have, for people and for other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from bench.core.words import plural
from bench.execution.cells import Cell, due, finished
from bench.execution.settings import Settings
from bench.jobs.durations import known_seconds
from bench.jobs.estimate import Estimate, estimate
from bench.jobs.graph import make_jobs
from bench.jobs.job import CellKey, Job


def describe_jobs(
    cells: Sequence[Cell], settings: Settings, count: int, parts: int = 1
) -> list[str]:
    """A line for each job that has to run, and how long all take.

    Args:
        cells: Cells of the run.
        settings: What they share.
        count: How many jobs run at a time.
        parts: How many share the encoding of a model.
    """
    jobs, seconds = _jobs(cells, settings, parts)
    if not jobs:
        return []
    titles = {job.identity: job.title for job in jobs}
    lines = [_line(job, titles, seconds[job.identity]) for job in jobs]
    return [*lines, _summary(estimate(jobs, seconds, count), len(jobs), count)]


def plan_lines(cells: Sequence[Cell], settings: Settings, parts: int = 1) -> Iterator[str]:
    """The jobs that have to run as JSON, one a line, each behind those that it comes after.

    Args:
        cells: Cells of the run.
        settings: What they share.
        parts: How many jobs share the encoding of a model.
    """
    paths = {CellKey.of(cell): cell.path for cell in cells}
    jobs, seconds = _jobs(cells, settings, parts)
    for job in jobs:
        content = {
            "job": job.identity,
            "title": job.title,
            "after": sorted(job.after),
            "trains": job.trains is not None,
            "part": job.part,
            "seconds": round(seconds[job.identity], 1),
            "cells": [
                {"suite": key.suite, "spec": key.spec, "seed": key.seed, "record": str(paths[key])}
                for key in job.cells
            ],
        }
        yield json.dumps(content, ensure_ascii=False)


def _jobs(
    cells: Sequence[Cell], settings: Settings, parts: int
) -> tuple[list[Job], Mapping[str, float]]:
    waiting = [cell for cell in cells if due(cell, settings.rerun, finished(cell))]
    jobs = make_jobs(waiting, settings, parts)
    return jobs, known_seconds(jobs, settings)


def _line(job: Job, titles: Mapping[str, str], seconds: float) -> str:
    what = ["a training"] if job.trains is not None else []
    told = plural(len(job.cells), "cell")
    what += [f"texts of {told}" if job.part else told] if job.cells else []
    after = ", ".join(sorted(titles[identity] for identity in job.after))
    behind = f", after {after}" if after else ""
    return f"job  {job.title}: {' and '.join(what)}{behind}, {_time(seconds)}"


def _summary(estimated: Estimate, jobs: int, count: int) -> str:
    chain = " → ".join(estimated.chain)
    return (
        f"{plural(jobs, 'job')}, {count} at a time: {_time(estimated.makespan)}; one at a time "
        f"{_time(estimated.total)}; no number of them takes less than "
        f"{_time(estimated.chain_seconds)} ({chain})"
    )


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"about {plural(max(1, round(seconds)), 'second')}"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"about {plural(minutes, 'minute')}"
    return f"about {round(minutes / 60)} hours"
