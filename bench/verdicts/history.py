"""Scores of a method over commits, each judged against the commit before it as a gate does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bench.core.errors import UsageError, first_line
from bench.records.entries import CommitEntry, GroupKey, Interval
from bench.records.files import StoredRecord
from bench.suite import AVERAGE
from bench.verdicts.difference import compare
from bench.verdicts.gate import TIME, GateCheck, score_check
from bench.verdicts.side import Side

_MethodOfSuite = tuple[str, GroupKey]


@dataclass(frozen=True)
class HistoryPoint:
    """A score at a commit.

    Attributes:
        commit: The commit.
        score: Mean over seeds, as a fraction.
        ci95: Its interval over items, or None where nothing is known of items.
        seeds: Number of seeds.
        check: Its change since the point before; None of the first one, and of what is unlike.
        unlike: Why it cannot be compared with the point before, else empty.
    """

    commit: CommitEntry
    score: float
    ci95: Interval | None
    seeds: int
    check: GateCheck | None = None
    unlike: str = ""


@dataclass(frozen=True)
class History:
    """A task, or the average, of a method over commits.

    Attributes:
        suite: Name of the suite.
        method: What the method is called.
        task: The task.
        bound: Largest drop from one point to the next that passes, as a fraction.
        points: The earliest first.
    """

    suite: str
    method: str
    task: str
    bound: float
    points: tuple[HistoryPoint, ...]


def histories(stored: Sequence[StoredRecord], bounds: Mapping[str, float]) -> list[History]:
    """Sort the scores of records by method and commit.

    Commits are in the order of their times, and of the times of their records where these are the
    same; one whose tree was dirty stands beside the clean one.

    Args:
        stored: Records; those without a commit are left out.
        bounds: Largest drops by task, see ``bench.verdicts.gate.parse_bounds``; times are not
            judged. Tasks that a suite does not have are left out.

    Raises:
        DataError: Records of a method at a commit are no seeds of one method.
    """
    by_method: dict[_MethodOfSuite, list[StoredRecord]] = {}
    for path, record in stored:
        if record.commit is not None:
            by_method.setdefault((record.suite, record.group), []).append((path, record))
    return [
        _history(sides, task, bound)
        for sides in map(_by_commit, by_method.values())
        for task, bound in bounds.items()
        if task != TIME and (task in sides[-1].first.tasks or task == AVERAGE)
    ]


def last_commits(stored: Sequence[StoredRecord]) -> list[StoredRecord]:
    """Leave out what methods did at other commits than their last.

    Methods of which a record has no commit keep all that they have.
    """
    groups: dict[_MethodOfSuite, list[StoredRecord]] = {}
    for path, record in stored:
        groups.setdefault((record.suite, record.group), []).append((path, record))
    return [entry for group in groups.values() for entry in _of_last_commit(group)]


def _of_last_commit(stored: Sequence[StoredRecord]) -> Sequence[StoredRecord]:
    told = [
        (commit.committed, record.created, (commit.commit, commit.dirty))
        for _, record in stored
        if (commit := record.commit) is not None
    ]
    if len(told) < len(stored):
        return stored
    _, _, last = max(told)
    return [entry for entry, (*_, key) in zip(stored, told, strict=True) if key == last]


def _by_commit(stored: Sequence[StoredRecord]) -> list[Side]:
    groups: dict[tuple[str, bool], list[StoredRecord]] = {}
    for path, record in sorted(stored, key=lambda entry: (entry[1].seed, str(entry[0]))):
        if (commit := record.commit) is not None:
            groups.setdefault((commit.commit, commit.dirty), []).append((path, record))
    return sorted(map(Side, groups.values()), key=_time)


def _time(side: Side) -> tuple[datetime, str]:
    commit = _commit(side)
    return commit.committed, min(one.created for one in side.records)


def _commit(side: Side) -> CommitEntry:
    commit = side.first.commit
    if commit is None:
        raise ValueError("records without a commit have no place in a history")
    return commit


def _history(sides: Sequence[Side], task: str, bound: float) -> History:
    points = []
    before: Side | None = None
    for side in sides:
        if task != AVERAGE and task not in side.first.tasks:
            continue
        points.append(_point(side, before, task, bound))
        before = side
    last = sides[-1]
    return History(last.first.suite, last.name, task, bound, tuple(points))


def _point(side: Side, before: Side | None, task: str, bound: float) -> HistoryPoint:
    check, unlike = None, ""
    if before is not None:
        try:
            (line,) = (line for line in compare(side, before).lines if line.task == task)
            check = score_check(side, line, bound)
        except UsageError as error:
            unlike = first_line(error)
    return HistoryPoint(
        commit=_commit(side),
        score=float(side.points(task).mean()),
        ci95=side.interval(task),
        seeds=len(side.records),
        check=check,
        unlike=unlike,
    )
