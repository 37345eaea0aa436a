"""Two methods on the same suite: is the difference of their scores real?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UsageError
from bench.core.fingerprint import fingerprint
from bench.records.entries import Evidence, Record
from bench.stats.difference import Difference
from bench.stats.hierarchical import difference_over_seeds
from bench.stats.mcnemar import are_right_or_wrong
from bench.stats.multiple import holm
from bench.stats.paired import (
    difference_of_correct,
    difference_of_items,
    difference_of_replicates,
)
from bench.suite import AVERAGE
from bench.verdicts.protocol import refuse_other_protocol
from bench.verdicts.side import Side

LEVEL = 0.05


@dataclass(frozen=True)
class Line:
    """One task, or the average.

    Attributes:
        task: Name of the task.
        scores: Mean score of either method, as fractions.
        difference: First minus second.
        p_holm: Its p-value after Holm over the tasks; the average stands alone.
    """

    task: str
    scores: tuple[float, float]
    difference: Difference
    p_holm: float

    @property
    def better(self) -> Literal["a", "b"] | None:
        """Which method is better at the level of 5%; None where no difference is shown."""
        if self.p_holm >= LEVEL or self.difference.delta == 0:
            return None
        return "a" if self.difference.delta > 0 else "b"


@dataclass(frozen=True)
class Comparison:
    """Two methods on one suite.

    Attributes:
        suite: Name of the suite.
        names: What the methods are called.
        seeds: Seeds of either.
        trained: Whether either was trained.
        lines: The tasks in the order of the suite, then the average.
    """

    suite: str
    names: tuple[str, str]
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    trained: tuple[bool, bool]
    lines: tuple[Line, ...]


def compare(a: Side, b: Side) -> Comparison:
    """Compare two methods on all tasks of a suite, and on its average.

    Shares of items that are right (votes) are compared by McNemar's test, means over items by sign
    flips, all other scores by the paired bootstrap, and several seeds by Student's t.

    Raises:
        UsageError: They were not scored on the same rows by the same protocol, or average other
            tasks.
    """
    _refuse_unlike(a.first, b.first)
    tasks = list(a.first.tasks)
    differences = {task: _checked_difference(task, a, b) for task in [*tasks, AVERAGE]}
    adjusted = holm(np.array([differences[task].p for task in tasks]))
    p_values = {**dict(zip(tasks, adjusted.tolist(), strict=True)), AVERAGE: differences[AVERAGE].p}
    lines = tuple(
        Line(
            task,
            (float(a.points(task).mean()), float(b.points(task).mean())),
            of_task,
            p_values[task],
        )
        for task, of_task in differences.items()
    )
    return Comparison(
        suite=a.first.suite,
        names=(a.name, b.name),
        seeds=(a.seeds, b.seeds),
        trained=(a.first.method.trained, b.first.method.trained),
        lines=lines,
    )


def _refuse_unlike(a: Record, b: Record) -> None:
    facts: list[tuple[str, Callable[[Record], object]]] = [
        ("suite", lambda record: record.suite),
        ("convention", lambda record: record.convention),
        ("limit", lambda record: record.limit),
        ("tasks", lambda record: list(record.tasks)),
        ("averaged tasks", lambda record: sorted(record.averaged_tasks)),
        ("rows", lambda record: record.scored_rows),
    ]
    for name, fact in facts:
        if fact(a) != fact(b):
            raise UsageError(
                f"{a.method.spec} and {b.method.spec} cannot be compared on {a.suite}: "
                f"their {name} differ; run both again with the same command"
            )
    refuse_other_protocol(a, b)
    if a.average_ci95 is None:
        raise UsageError(f"{a.suite} is scored by mteb, which gives no item scores to compare")


def _checked_difference(task: str, a: Side, b: Side) -> Difference:
    try:
        return difference(task, a, b)
    except ValueError as error:
        raise UsageError(
            f"{a.name} and {b.name} cannot be compared on {task}: {error}; it has too few items"
        ) from None


def difference(task: str, a: Side, b: Side) -> Difference:
    """Compare two methods on one task, or on the average.

    Raises:
        ValueError: There are too few items to resample.
    """
    points = (a.points(task), b.points(task))
    if len(points[0]) > 1 or len(points[1]) > 1:
        replicates = (a.replicates(task), b.replicates(task))
        return difference_over_seeds(points, replicates, paired=a.models == b.models)
    rng = generator(a.first.suite, task)
    return _TESTS[_shared_evidence(task, a, b)](task, a, b, rng)


def _shared_evidence(task: str, a: Side, b: Side) -> Evidence:
    # Both follow one protocol, so that the first tells. Only experiments may agree on every item of
    # one method, and not of the other.
    evidence = a.evidence(task)
    if evidence == "votes" and not are_right_or_wrong(b.values(task)):
        return "replicates"
    return evidence


def _by_votes(task: str, a: Side, b: Side, rng: np.random.Generator) -> Difference:
    return difference_of_correct(a.values(task).astype(bool), b.values(task).astype(bool), rng)


def _by_means(task: str, a: Side, b: Side, rng: np.random.Generator) -> Difference:
    return difference_of_items(a.values(task), b.values(task), rng)


def _by_replicates(task: str, a: Side, b: Side, _: np.random.Generator) -> Difference:
    return difference_of_replicates(
        (float(a.points(task)[0]), float(b.points(task)[0])),
        (a.replicates(task)[0], b.replicates(task)[0]),
        items=None if task == AVERAGE else (a.values(task), b.values(task)),
    )


# A new statistic is a file in bench.stats and a line here.
_TESTS: Mapping[Evidence, Callable[[str, Side, Side, np.random.Generator], Difference]] = {
    "votes": _by_votes,
    "means": _by_means,
    "replicates": _by_replicates,
}


def difference_of_suites(sides: Sequence[tuple[Side, Side]]) -> Difference:
    """Compare two methods on the mean of their averages on several suites.

    Args:
        sides: Both methods on each suite, always with the same seeds of each.

    Raises:
        UsageError: They were not scored on the same rows by the same protocol.
        ValueError: There are too few items to resample.
    """
    for a, b in sides:
        _refuse_unlike(a.first, b.first)
    first, second = zip(*sides, strict=True)
    points = (_mean_points(first), _mean_points(second))
    replicates = (_mean_replicates(first), _mean_replicates(second))
    if len(points[0]) > 1 or len(points[1]) > 1:
        paired = all(a.models == b.models for a, b in sides)
        return difference_over_seeds(points, replicates, paired=paired)
    return difference_of_replicates(
        (float(points[0][0]), float(points[1][0])), (replicates[0][0], replicates[1][0])
    )


def _mean_points(suites: Sequence[Side]) -> NDArray[np.float64]:
    return np.asarray(np.mean([side.points(AVERAGE) for side in suites], axis=0))


def _mean_replicates(suites: Sequence[Side]) -> NDArray[np.float64]:
    return np.asarray(np.mean([side.replicates(AVERAGE) for side in suites], axis=0))


def generator(suite: str, task: str) -> np.random.Generator:
    """Source of resamples that follows from the rows alone, not from the order of methods."""
    return np.random.default_rng(int(fingerprint([suite, task])[:8], 16))
