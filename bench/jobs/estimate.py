"""When a run of jobs would end on so many workers, and no sooner than when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from bench.jobs.job import Job


def priorities(jobs: Sequence[Job], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds from the start of each job to the end of the longest chain that begins with it.

    The job with the most of them goes first: what others wait for before what none waits for, and
    the long before the short (list scheduling by the critical path; Graham, 1969).

    Args:
        jobs: The jobs, each behind those that it comes after.
        seconds: How long each takes, by its identity.
    """
    left = dict[str, float]()
    behind = dict[str, float]()
    for job in reversed(jobs):
        left[job.identity] = seconds[job.identity] + behind.get(job.identity, 0.0)
        for before in job.after:
            behind[before] = max(behind.get(before, 0.0), left[job.identity])
    return left


@dataclass(frozen=True)
class Estimate:
    """How long the jobs of a run take together, in seconds.

    Attributes:
        makespan: From the start to the end of the last.
        total: All of them one after the other.
        chain: Titles of the jobs of the longest chain.
        chain_seconds: Seconds of that chain.
        bound: What no number of workers as large could go below: the longest chain, or an even
            share of the total.
    """

    makespan: float
    total: float
    chain: tuple[str, ...]
    chain_seconds: float
    bound: float


def estimate(jobs: Sequence[Job], seconds: Mapping[str, float], workers: int) -> Estimate:
    """Play a run through, in the order that it would have.

    Args:
        jobs: The jobs, each behind those that it comes after.
        seconds: How long each takes, by its identity.
        workers: How many run at a time.
    """
    first = priorities(jobs, seconds)
    total = sum(seconds[job.identity] for job in jobs)
    chain = _chain(jobs, first)
    longest = max(first.values(), default=0.0)
    return Estimate(
        play(jobs, seconds, first, workers), total, chain, longest, max(longest, total / workers)
    )


def play(
    jobs: Sequence[Job], seconds: Mapping[str, float], first: Mapping[str, float], workers: int
) -> float:
    """Seconds from the start of the first job to the end of the last.

    Args:
        jobs: The jobs, each behind those that it comes after.
        seconds: How long each takes, by its identity.
        first: Of the jobs that are ready, the one with the most goes first.
        workers: How many run at a time.
    """
    waiting = {job.identity: len(job.after & first.keys()) for job in jobs}
    followers = dict[str, list[Job]]()
    ready = list[tuple[float, int]]()
    running = list[tuple[float, int]]()
    for number, job in enumerate(jobs):
        for before in job.after:
            followers.setdefault(before, []).append(job)
        if not waiting[job.identity]:
            heappush(ready, (-first[job.identity], number))
    numbers = {job.identity: number for number, job in enumerate(jobs)}
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, number = heappop(ready)
            heappush(running, (now + seconds[jobs[number].identity], number))
        now, number = heappop(running)
        for job in followers.get(jobs[number].identity, []):
            waiting[job.identity] -= 1
            if not waiting[job.identity]:
                heappush(ready, (-first[job.identity], numbers[job.identity]))
    return now


def _chain(jobs: Sequence[Job], first: Mapping[str, float]) -> tuple[str, ...]:
    """Titles of the longest chain, from its first job on."""
    titles = list[str]()
    candidates = [job for job in jobs if not job.after & first.keys()]
    while candidates:
        job = max(candidates, key=lambda one: first[one.identity])
        titles.append(job.title)
        candidates = [later for later in jobs if job.identity in later.after]
    return tuple(titles)
