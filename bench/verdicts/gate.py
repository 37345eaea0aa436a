"""The regression gate: a drop fails if it exceeds its bound and is significant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from shlex import quote

from bench.core.compute import Compute
from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.records.entries import Interval, Record
from bench.records.files import StoredRecord, has_failed, read_record
from bench.suite import AVERAGE
from bench.verdicts.difference import LEVEL, Line, compare
from bench.verdicts.matching import MethodKey, by_method, counterpart, method_key
from bench.verdicts.side import Side

TIME = "time"
SLOWER = 0.25


@dataclass(frozen=True)
class GateCheck:
    """One bounded score, or time, of one method.

    Attributes:
        suite: Name of the suite.
        method: What the method is called.
        task: Name of the task, of the average, or ``time``.
        baseline: Score of the baseline as a fraction, or seconds that a text took to encode.
        now: The same now.
        change: Now less baseline, of a time as a share of the baseline.
        ci95: Interval of the change of a score, None of a time.
        p: Its p-value after Holm over the tasks, None of a time.
        bound: Largest drop of a score, or largest share of added time, that passes.
        failed: Whether it is worse than its bound allows.
    """

    suite: str
    method: str
    task: str
    baseline: float
    now: float
    change: float
    ci95: Interval | None
    p: float | None
    bound: float
    failed: bool


def parse_bounds(text: str) -> dict[str, float]:
    """Parse ``avg:0.3,STS12:0.5,time:25``.

    Scores are bounded in points (times 100), ``avg`` being the average; the time that a text
    takes to encode in percent.

    Returns:
        Bounds by task, as fractions.

    Raises:
        UsageError: It has another form, a bound is negative, or a task has two.
    """
    if not isinstance(text, str):
        raise UsageError(f"bounds {text!r}: expected a text such as 'avg:0.3,STS12:0.5'")
    bounds: dict[str, float] = {}
    for part in text.split(","):
        name, _, points = part.strip().rpartition(":")
        try:
            bound = float(points)
        except ValueError:
            bound = -1.0
        if not name or not (isfinite(bound) and bound >= 0):
            raise UsageError(
                f"--fail-on {part!r}: expected TASK:POINTS with a finite number of 0 or more, "
                "e.g. avg:0.3,STS12:0.5"
            )
        task = AVERAGE if name.lower() == "avg" else name
        if bounds.setdefault(task, bound / 100) != bound / 100:
            raise UsageError(f"--fail-on {text!r}: {name} has two bounds; give one")
    return bounds


def check(
    now: Sequence[Path],
    baseline: Sequence[Path],
    bounds: Mapping[str, float],
    *,
    partial: bool = False,
) -> tuple[list[GateCheck], list[str]]:
    """Compare every method of the baseline with the records of now.

    Args:
        now: Records of the commit in question.
        baseline: Records to compare with.
        bounds: Largest drops by task, as fractions; tasks that are not named are not judged.
        partial: Whether methods of the baseline may be missing, as after a run of some of them.

    Returns:
        The checks, and warnings about times and about what is not judged.

    Raises:
        UsageError: A method of the baseline was not run or failed, runs are unlike, no suite has a
            task that is named, or nothing can be judged.
        DataError: A record is damaged or there twice.
    """
    new, old = _by_method(now), _by_method(baseline)
    if not old:
        raise UsageError("the baseline holds no records; point --baseline to a folder that does")
    if partial and not any(_of_now(stored[0][1], new) for stored in old.values()):
        raise UsageError("nothing of the baseline was run; name its suites and methods")
    _refuse_failed(now)
    refuse_unknown(bounds, (record for of_group in old.values() for _, record in of_group))
    checks: list[GateCheck] = []
    warnings: list[str] = []
    for key, baseline_records in old.items():
        now_key = _of_now(baseline_records[0][1], new)
        if now_key is None and partial:
            warnings.append(f"{key[1]} on {key[0]} ({key[2]}) was not run and is not judged")
            continue
        if now_key is None:
            raise UsageError(
                f"{key[1]} on {key[0]} ({key[2]}) is in the baseline and "
                f"{'was not' if new else 'nothing was'} run; "
                f"bench run --suite {quote(key[0])} --profile {quote(key[2])} "
                f"--methods {quote(key[1])}"
            )
        side, before = Side(new[now_key]), Side(baseline_records)
        if now_key[-1] != key[-1]:
            warnings.append(_other_setup(side, before))
        _refuse_other_base(side.first, before.first)
        lines = {line.task: line for line in compare(side, before).lines}
        checks += [
            score_check(side, lines[task], bound) for task, bound in bounds.items() if task in lines
        ]
        timed, warning = _time_check(side, before, bounds.get(TIME))
        checks += timed
        warnings += warning
    if unjudged := set(bounds) - {judged.task for judged in checks} - {TIME}:
        raise UsageError(f"--fail-on {', '.join(sorted(unjudged))}: no suite that was run has it")
    if not checks:
        raise UsageError(f"nothing could be judged: {'; '.join(warnings)}")
    return checks, warnings


def refuse_unknown(bounds: Mapping[str, float], baseline: Iterable[Record]) -> None:
    """Refuse bounds of what a baseline does not have.

    Args:
        bounds: Largest drops by task.
        baseline: Its records.

    Raises:
        UsageError: One names no task of it.
    """
    known = dict.fromkeys(task for record in baseline for task in record.tasks)
    for name in sorted(bounds.keys() - known.keys() - {AVERAGE, TIME}):
        names = ["avg", TIME, *known]
        hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
        raise UsageError(f"--fail-on {name}: the baseline has no such task; {hint}")


def _refuse_failed(now: Sequence[Path]) -> None:
    for path in now:
        if has_failed(path):
            raise UsageError(
                f"{path} is older than the last run of its cell, which failed; run that cell again"
            )


def _by_method(paths: Sequence[Path]) -> dict[MethodKey, list[StoredRecord]]:
    return by_method((path, read_record(path)) for path in paths)


def _of_now(record: Record, new: Mapping[MethodKey, Sequence[StoredRecord]]) -> MethodKey | None:
    """The key of the same method now, perhaps by another setup; None where it was not run.

    Raises:
        UsageError: Several setups have, and none of them is the baseline's.
    """
    same = counterpart(record, new)
    if same is not None:
        return same
    key = method_key(record)
    alike = [other for other in new if other[:-1] == key[:-1]]
    if len(alike) > 1:
        setups = " and ".join(_words(other[-1]) for other in alike)
        raise UsageError(
            f"{key[1]} on {key[0]} was computed by {setups}, in the baseline by "
            f"{_words(key[-1])}; keep one of them in the folder"
        )
    return alike[0] if alike else None


def _words(setup: str) -> str:
    return setup or str(Compute())


def _other_setup(side: Side, before: Side) -> str:
    now, then = (_words(one.first.setup) for one in (side, before))
    named = f"{side.first.method.spec} on {side.first.suite}"
    return f"{named}: computed by {now} now, by {then} in the baseline"


def _refuse_other_base(now: Record, then: Record) -> None:
    if (now.method.base, now.method.checkpoint) != (then.method.base, then.method.checkpoint):
        raise UsageError(
            f"{now.method.spec} starts from {now.method.base or now.method.checkpoint}, "
            f"in the baseline from {then.method.base or then.method.checkpoint}; make a new one"
        )


def score_check(side: Side, line: Line, bound: float) -> GateCheck:
    """Judge a task, or the average, of a method.

    Args:
        side: The method now.
        line: Its comparison with the baseline.
        bound: Largest drop that passes, as a fraction.
    """
    change = line.difference.delta
    return GateCheck(
        suite=side.first.suite,
        method=side.name,
        task=line.task,
        baseline=line.scores[1],
        now=line.scores[0],
        change=change,
        ci95=line.difference.ci95,
        p=line.p_holm,
        bound=bound,
        failed=-change > bound and line.p_holm < LEVEL,
    )


def _time_check(side: Side, before: Side, bound: float | None) -> tuple[list[GateCheck], list[str]]:
    """Check the time, where there is a bound and one machine took both; else only warn."""
    name = f"{side.name} on {side.first.suite}"
    now, then = _seconds_per_text(side), _seconds_per_text(before)
    unlike = side.first.machine != before.first.machine
    if now is None or then is None or unlike:
        why = "the machines differ" if unlike else "not all of its vectors were encoded by the run"
        return [], [f"the time of {name} is not judged: {why}"] if bound is not None else []
    slower = now / then - 1
    if bound is None:
        if slower <= SLOWER:
            return [], []
        return [], [f"{name}: encoding a text took {1 + slower:.1f} times as long"]
    judged = GateCheck(
        suite=side.first.suite,
        method=side.name,
        task=TIME,
        baseline=then,
        now=now,
        change=slower,
        ci95=None,
        p=None,
        bound=bound,
        failed=slower > bound,
    )
    return [judged], []


def _seconds_per_text(side: Side) -> float | None:
    fresh = [1 / speed for record in side.records if (speed := record.texts_per_second)]
    return sum(fresh) / len(fresh) if fresh else None
