"""How long a run of jobs takes on so many workers: exact on small ones, bounded on any."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.jobs.estimate import estimate, priorities
from bench.jobs.job import Job


def job(name: str, *after: str) -> Job:
    return Job(name, name, (), after=frozenset(after))


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Job], dict[str, float]]:
    """Jobs of any length, each behind some of those before it."""
    count = draw(st.integers(1, 30))
    jobs = []
    for number in range(count):
        after = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        jobs.append(job(str(number), *map(str, after)))
    seconds = {one.identity: draw(st.integers(1, 1000)) / 10 for one in jobs}
    return jobs, seconds


@given(runs(), st.integers(1, 40))
def test_no_run_is_shorter_than_its_bound_nor_longer_than_graham_allows(
    run: tuple[list[Job], dict[str, float]], workers: int
) -> None:
    jobs, seconds = run
    estimated = estimate(jobs, seconds, workers)
    assert estimated.makespan >= estimated.bound - 1e-9
    # Graham, 1969: any order of a list that leaves no worker idle is within 2 - 1/m of the best.
    assert estimated.makespan <= estimated.bound * (2 - 1 / workers) + 1e-9
    assert math.isclose(estimate(jobs, seconds, 1).makespan, sum(seconds.values()))


@given(runs())
def test_with_a_worker_for_each_job_the_longest_chain_is_what_it_takes(
    run: tuple[list[Job], dict[str, float]],
) -> None:
    jobs, seconds = run
    estimated = estimate(jobs, seconds, len(jobs))
    assert math.isclose(estimated.makespan, estimated.chain_seconds)
    assert math.isclose(sum(seconds[name] for name in estimated.chain), estimated.chain_seconds)


def test_what_others_wait_for_goes_first() -> None:
    jobs = [job("long"), job("base"), job("a", "base"), job("b", "base")]
    seconds = {"long": 3.0, "base": 1.0, "a": 2.5, "b": 2.0}
    assert priorities(jobs, seconds) == {"long": 3.0, "base": 3.5, "a": 2.5, "b": 2.0}
    estimated = estimate(jobs, seconds, 2)
    # One worker has base, a and b, the other long; b goes to the first that is free.
    assert estimated.makespan == pytest.approx(5.0)
    assert estimated.chain == ("base", "a")
    assert estimated.bound == pytest.approx(4.25)


def test_nothing_takes_no_time() -> None:
    assert estimate([], {}, 4).makespan == 0.0
