"""What a run has spent its time on, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.words import duration

if TYPE_CHECKING:
    from bench.execution.runner import Outcome
    from bench.records.entries import Record

# As many methods as a line has room for.
_NAMED = 3


def time_spent(outcome: Outcome) -> str | None:
    """Say what took the time of the cells that were computed now; None where none was.

    Methods are named with what was built for them, the longest first. Cells of several processes
    are added up.
    """
    paths = {*outcome.fresh}
    fresh = [record for path, record in outcome.stored if path in paths]
    if not fresh:
        return None
    phases = {
        "building models": sum(record.timings.build for record in fresh),
        "encoding": sum(record.timings.encode for record in fresh),
        "scoring": sum(record.timings.score for record in fresh),
    }
    behind = {"building models": _builds(fresh)}
    told = [
        f"{name} {duration(seconds)}{behind.get(name, '')}"
        for name, seconds in sorted(phases.items(), key=lambda item: -item[1])
        if seconds >= 1
    ]
    total = sum(phases.values())
    return f"{duration(total)} of computing" + (f": {', '.join(told)}" if told else "")


def _builds(records: list[Record]) -> str:
    seconds: dict[str, float] = {}
    for record in records:
        called = record.method.label or record.method.spec
        seconds[called] = seconds.get(called, 0.0) + record.timings.build
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:_NAMED]
    told = [f"{name} {duration(taken)}" for name, taken in longest if taken >= 1]
    return f" ({', '.join(told)})" if told else ""
