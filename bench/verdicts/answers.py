"""Answers to claims as a file: they come with the package, whose records would be too large."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.core.errors import DataError, first_problem
from bench.core.fingerprint import fingerprint
from bench.records.entries import Interval, RecordEntry, Whole
from bench.stats.difference import Difference
from bench.verdicts.claims import ClaimAnswer, Judgement, Measured
from bench.verdicts.papers import Claim, Paper

FILE = "answers.json"
# Processors round the last digits of the same figures differently.
_DIGITS = 10


class AnswerEntry(RecordEntry):
    """An answer, to a claim of this fingerprint alone; see ``Judgement`` and ``Measured``."""

    claim: str
    answer: ClaimAnswer
    reason: str | None = None
    delta: float | None = None
    ci95: Interval | None = None
    p: float | None = None
    method: str = ""
    effect: float | None = None
    seeds: tuple[Whole, Whole] | None = None
    profile: str | None = None
    bases: tuple[str, ...] = ()
    one_seed: bool = False


_ENTRIES = TypeAdapter(dict[str, AnswerEntry])


def write_answers(judgements: Sequence[Judgement]) -> str:
    """Write answers as JSON, the same text for equal answers on any processor."""
    entries = {
        judgement.claim.name: _entry(judgement).model_dump(mode="json", exclude_defaults=True)
        for judgement in judgements
    }
    return json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def packaged_answers() -> Mapping[str, AnswerEntry]:
    """Read the answers that come with the package, by the names of their claims.

    Raises:
        DataError: The file is damaged.
    """
    path = Path(str(files("bench.suites") / "claims" / FILE))
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; install again") from None
    except ValidationError as error:
        problem = ": ".join(filter(None, first_problem(error)))
        raise DataError(f"{path}: not answers to claims: {problem}; install again") from None


def answer_packaged(papers: Sequence[Paper]) -> list[tuple[Paper, list[Judgement]]]:
    """The answers to the claims of papers that come with the package, see ``answer_from``.

    Raises:
        DataError: Their file is damaged.
    """
    known = packaged_answers()
    return [(paper, [answer_from(claim, known) for claim in paper.claims]) for paper in papers]


def answer_from(claim: Claim, answers: Mapping[str, AnswerEntry]) -> Judgement:
    """The answer to a claim; that to another one of its name is none."""
    entry = answers.get(claim.name)
    if entry is None or entry.claim != _identity(claim):
        reason = "the answers that came with the package have none; name records with --records"
        return Judgement(claim, "cannot be tested here", reason=reason)
    return Judgement(claim, entry.answer, _measured(entry), entry.reason)


def _entry(judgement: Judgement) -> AnswerEntry:
    measured = judgement.measured
    identity = _identity(judgement.claim)
    if measured is None:
        return AnswerEntry(claim=identity, answer=judgement.answer, reason=judgement.reason)
    difference = measured.difference
    return AnswerEntry(
        claim=identity,
        answer=judgement.answer,
        reason=judgement.reason,
        delta=_rounded(difference.delta),
        ci95=(_rounded(difference.ci95[0]), _rounded(difference.ci95[1])),
        p=_rounded(difference.p),
        method=difference.method,
        effect=None if difference.effect is None else _rounded(difference.effect),
        seeds=measured.seeds,
        profile=measured.profile,
        bases=measured.bases,
        one_seed=measured.one_seed,
    )


def _rounded(figure: float) -> float:
    return float(f"{figure:.{_DIGITS}g}")


def _measured(entry: AnswerEntry) -> Measured | None:
    if entry.delta is None or entry.ci95 is None or entry.p is None or entry.seeds is None:
        return None
    difference = Difference(entry.delta, entry.ci95, entry.p, entry.method, entry.effect)
    return Measured(difference, entry.seeds, entry.profile, entry.bases, entry.one_seed)


def _identity(claim: Claim) -> str:
    return fingerprint(claim.model_dump(mode="json"))
