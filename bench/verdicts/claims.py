"""Answers to the claims of papers, from measured records."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from bench.core.errors import BenchError, UsageError, first_line
from bench.core.registry import METHODS, SUITES, names
from bench.core.spec import parse_method_spec, split_list
from bench.method import make_method
from bench.records.files import DEFAULT_OUTPUT, StoredRecord, read_record
from bench.suite import AVERAGE, MTEB_PREFIX, Suite, load_suite
from bench.verdicts.papers import Claim, Paper
from bench.verdicts.protocol import ProtocolError

if TYPE_CHECKING:
    from bench.stats.difference import Difference

ClaimAnswer = Literal[
    "holds", "does not hold", "undecided", "undecided (one seed)", "cannot be tested here"
]


@dataclass(frozen=True)
class MethodRecords:
    """What was measured of one method of a claim.

    Attributes:
        spec: Its spec.
        stored: Records with their paths, by seed.
        missing: Seeds without a record.
    """

    spec: str
    stored: tuple[StoredRecord, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """The measured difference of a claim.

    Attributes:
        difference: A minus B, as a fraction.
        seeds: Number of seeds of either.
        profile: Profile of what was trained, or None where nothing was.
        bases: What the trainings started from.
        one_seed: Whether a method, whose seed decides what it is, has a single one.
    """

    difference: Difference
    seeds: tuple[int, int]
    profile: str | None
    bases: tuple[str, ...]
    one_seed: bool


@dataclass(frozen=True)
class Judgement:
    """The answer to a claim.

    Attributes:
        claim: The claim.
        answer: The answer.
        measured: What it rests on, or None where the claim cannot be tested.
        reason: Why it cannot be, or None.
    """

    claim: Claim
    answer: ClaimAnswer
    measured: Measured | None = None
    reason: str | None = None


def read_all(paths: Iterable[Path]) -> list[StoredRecord]:
    """Read records.

    Raises:
        DataError: One of them is damaged.
    """
    return [(path, read_record(path)) for path in paths]


def answer_papers(
    papers: Sequence[Paper],
    stored: Sequence[StoredRecord],
    output: Path,
    failures: Mapping[str, str] = MappingProxyType({}),
) -> list[tuple[Paper, list[Judgement]]]:
    """Answer the claims of papers, see ``answer_claim``.

    Args:
        papers: The papers.
        stored: Records to answer from.
        output: Folder where further records are to be written.
        failures: Why what was missing could not be run, by the name of a claim.

    Raises:
        ProtocolError: Both methods of a claim have records, scored by two protocols.
    """
    return [
        (
            paper,
            [answer_claim(one, stored, output, failures.get(one.name)) for one in paper.claims],
        )
        for paper in papers
    ]


def answer_claim(
    claim: Claim, stored: Sequence[StoredRecord], output: Path, failure: str | None = None
) -> Judgement:
    """Answer a claim.

    Args:
        claim: The claim.
        stored: Records to answer from; partial ones do not count.
        output: Folder where further records are to be written.
        failure: Why what was missing could not be run, where that was tried.

    Raises:
        ProtocolError: Both methods have records, scored by two protocols.
    """
    try:
        measured = _measure(claim, stored, output, failure)
    except ProtocolError:
        # Records that contradict each other are no answer, and no page of answers is complete.
        raise
    except BenchError as error:
        return Judgement(claim, "cannot be tested here", reason=first_line(error))
    return Judgement(claim, _answer(measured, claim.margin / 100), measured)


def _answer(measured: Measured, margin: float) -> ClaimAnswer:
    # An interval from one training holds for that training, and for no method.
    if measured.one_seed:
        return "undecided (one seed)"
    interval = measured.difference.ci95
    if interval[0] > margin:
        return "holds"
    return "does not hold" if interval[1] <= margin else "undecided"


def checked_suites(claim: Claim) -> list[Suite]:
    """Read the suites of a claim.

    Raises:
        UsageError: None is named, there is none of that name, it lacks the task, or has no items
            to compare; or a task is named with several suites.
    """
    suites = [_checked_suite(name) for name in split_list(claim.suite)]
    if not suites:
        raise UsageError(f"{claim.suite!r} names no suite; bench list suites shows what there is")
    if claim.task is None:
        return suites
    if len(suites) > 1:
        raise UsageError(f"task {claim.task!r} is of one suite; name one in place of {claim.suite}")
    tasks = [task.name for task in suites[0].tasks]
    if claim.task not in tasks:
        raise UsageError(
            f"suite {claim.suite!r} has no task {claim.task!r}; it has: {', '.join(tasks)}"
        )
    return suites


def _checked_suite(name: str) -> Suite:
    if name.startswith(MTEB_PREFIX):
        raise UsageError(f"{name} is scored by mteb, which gives no item scores to compare")
    if not name.endswith(".toml"):
        _check_built(SUITES, "suite", name)
    return load_suite(name)


def _check_built(group: str, what: str, name: str) -> None:
    if name not in names(group):
        raise UsageError(f"{what} {name!r} is not built yet")


def find_of_both(
    claim: Claim, suite: str, stored: Sequence[StoredRecord]
) -> tuple[MethodRecords, MethodRecords]:
    """Find the records of both methods of a claim on its suite.

    Raises:
        UsageError: A method is unknown, or has no such option.
    """
    a, b = (find_of_method(claim, suite, spec, stored) for spec in (claim.a, claim.b))
    return a, b


def find_of_method(
    claim: Claim, suite: str, spec: str, stored: Sequence[StoredRecord]
) -> MethodRecords:
    """Find the records that a claim needs of one method.

    A method to which seeds do not matter has one. One that does not train is the same model in
    every profile: where the claim's own profile has no record of it, that of the only other one is
    taken.

    Raises:
        UsageError: The method is unknown, or has no such option.
    """
    parsed = parse_method_spec(spec)
    _check_built(METHODS, "method", parsed.name)
    method = make_method(parsed, claim.profile)
    seeds = range(claim.seeds if method.seeded else 1)
    own = [
        (path, record)
        for path, record in stored
        if (record.suite, record.method.spec, record.limit) == (suite, spec, None)
        and record.seed in seeds
    ]
    profiles = {record.profile for _, record in own}
    profile = profiles.pop() if not method.trains and len(profiles) == 1 else claim.profile
    own = [(path, record) for path, record in own if record.profile == profile]
    own.sort(key=lambda entry: entry[1].seed)
    there = {record.seed for _, record in own}
    return MethodRecords(spec, tuple(own), tuple(seed for seed in seeds if seed not in there))


def _measure(
    claim: Claim, stored: Sequence[StoredRecord], output: Path, failure: str | None
) -> Measured:
    suites = [find_of_both(claim, suite.name, stored) for suite in checked_suites(claim)]
    parts = [part for pair in suites for part in pair]
    if any(part.missing for part in parts):
        raise UsageError(failure or _not_run(claim, parts, output))
    trained = [
        record.method for part in parts for _, record in part.stored if record.method.trained
    ]
    return Measured(
        _difference(claim, suites),
        (len(parts[0].stored), len(parts[1].stored)),
        claim.profile if trained else None,
        tuple(dict.fromkeys(method.base for method in trained if method.base is not None)),
        any(len(part.stored) == 1 for part in parts if _is_seeded(part.spec, claim.profile)),
    )


def _is_seeded(spec: str, profile: str) -> bool:
    parsed = parse_method_spec(spec)
    return make_method(parsed, profile).seeded


def _not_run(claim: Claim, parts: Sequence[MethodRecords], output: Path) -> str:
    gaps = list({part.spec: part for part in parts if part.missing}.values())
    partly = [
        f"{part.spec} lacks seed{'s' * (len(part.missing) > 1)} {', '.join(map(str, part.missing))}"
        for part in gaps
        if part.stored
    ]
    lacking = f" ({'; '.join(partly)})" if partly else ""
    # Always in quotes, as shells read brackets.
    methods = ",".join(part.spec for part in gaps).replace("'", "'\"'\"'")
    command = f"bench run --suite {shlex.quote(claim.suite)} --seeds {claim.seeds}"
    if claim.profile != "local":
        command += f" --profile {claim.profile}"
    command += f" --methods '{methods}'"
    if output != DEFAULT_OUTPUT:
        command += f" --output {shlex.quote(output.as_posix())}"
    return f"not run{lacking}: {command}"


def _difference(claim: Claim, suites: Sequence[tuple[MethodRecords, MethodRecords]]) -> Difference:
    # Imported late: its statistics take a while, and only claims with records need them.
    from bench.verdicts.difference import compare, difference_of_suites
    from bench.verdicts.side import Side

    sides = [(Side(a.stored), Side(b.stored)) for a, b in suites]
    if len(sides) > 1:
        try:
            return difference_of_suites(sides)
        except ValueError as error:
            raise UsageError(f"the suites have too few items: {error}") from None
    task = claim.task or AVERAGE
    comparison = compare(*sides[0])
    lines = {line.task: line for line in comparison.lines}
    if task not in lines:
        raise UsageError(
            f"records of {comparison.suite} have no task {task!r}; run both methods again"
        )
    return lines[task].difference
