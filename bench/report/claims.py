"""Answers to claims as text: for a terminal, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import get_args

from tabulate import tabulate

from bench.core.errors import UsageError
from bench.core.escape import markdown, markdown_code, one_line
from bench.core.registry import did_you_mean
from bench.core.spec import is_called, split_list
from bench.report.columns import DASH
from bench.verdicts.claims import ClaimAnswer, Judgement, Measured
from bench.verdicts.papers import Claim, Paper

NOTE = (
    "A claim says that A scores higher than B. It holds where the 95% interval of A − B lies "
    "wholly above the margin, which is 0 unless another one is given; it does not hold where the "
    "interval lies wholly at or below the margin, and is undecided where it contains it. "
    "Differences are × 100. Intervals are Student's, over seeds and resampled items. A method that "
    "was trained once leaves a claim undecided, whatever the interval. Nothing is corrected for "
    "the number of claims. Published figures were measured on another base and another corpus, so "
    "only the direction is tested."
)
_INDENT = 2
_LABEL = 11
_HEADERS = ["Claim", "A", "B", "Suite", "Published", "Measured A − B", "95% CI", "Seeds", "Answer"]
Answered = Sequence[tuple[Paper, Sequence[Judgement]]]


def render_text(answered: Answered, width: int) -> str:
    """Render answers for a terminal: a block for each claim, in the order of the papers.

    Args:
        answered: Papers, and the answers to their claims.
        width: Columns of the terminal.
    """
    blocks = [_block(paper, answer, width) for paper, answers in answered for answer in answers]
    return "\n\n".join(
        [*blocks, *(textwrap.fill(text, width) for text in (NOTE, counts(answered)))]
    )


def counts(answered: Answered) -> str:
    """How many claims have which answer, in one line."""
    answers = [answer.answer for _, of_paper in answered for answer in of_paper]
    told = [f"{one} {answers.count(one)}" for one in get_args(ClaimAnswer) if one in answers]
    claims = "1 claim" if len(answers) == 1 else f"{len(answers)} claims"
    return f"{claims}: {', '.join(told)}."


def select_answers(
    answered: Answered,
    *,
    papers: Sequence[str] = (),
    suites: Sequence[str] = (),
    methods: Sequence[str] = (),
    answers: Sequence[str] = (),
) -> Answered:
    """The answers that are asked for; all where nothing is named.

    Args:
        answered: Papers, and the answers to their claims.
        papers: Names of files of claims, without their ending.
        suites: Suites, of which a claim has one at least.
        methods: Specs, or names of methods with whatever options.
        answers: Beginnings of answers.

    Raises:
        UsageError: No claim is left, or a paper, suite or answer is named that there is not.
    """
    for answer in answers:
        if not any(known.startswith(answer) for known in get_args(ClaimAnswer)):
            raise UsageError(
                f"--answer {answer!r}: choose one of {', '.join(get_args(ClaimAnswer))}"
            )

    _refuse_unknown("--paper", papers, (paper.path.stem for paper, _ in answered))
    claimed = [one.claim.suite for _, of_paper in answered for one in of_paper]
    _refuse_unknown("--suite", suites, (name for one in claimed for name in split_list(one)))

    def is_asked(judgement: Judgement) -> bool:
        claim = judgement.claim
        named = any(
            is_called(method, spec, None) for method in methods for spec in (claim.a, claim.b)
        )
        return (
            (not answers or judgement.answer.startswith(tuple(answers)))
            and (not suites or not {*suites}.isdisjoint(split_list(claim.suite)))
            and (not methods or named)
        )

    left = [
        (paper, kept)
        for paper, of_paper in answered
        if (not papers or paper.path.stem in papers) and (kept := [*filter(is_asked, of_paper)])
    ]
    if not left:
        raise UsageError("no claim is of all that is asked for; 'bench claims' shows all of them")
    return left


def _refuse_unknown(option: str, names: Sequence[str], there: Iterable[str]) -> None:
    known = list(dict.fromkeys(there))
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            raise UsageError(f"{option} {name!r}: no claim has it; {hint}")


def _block(paper: Paper, judgement: Judgement, width: int) -> str:
    claim = judgement.claim
    lines = [("", f"{claim.name}: {judgement.answer}"), (" " * _INDENT, claim.claim)]
    facts = _facts(paper, judgement)
    lines += [(f"{' ' * _INDENT}{name:<{_LABEL}}", fact) for name, fact in facts if fact]
    return "\n".join(
        textwrap.fill(
            one_line(text),
            width,
            initial_indent=first,
            subsequent_indent=" " * (len(first) or _INDENT),
            break_on_hyphens=False,
        )
        for first, text in lines
    )


def _facts(paper: Paper, judgement: Judgement) -> list[tuple[str, str | None]]:
    claim = judgement.claim
    return [
        ("A", claim.a),
        ("B", claim.b),
        ("suite", claim.suite if claim.task is None else f"{claim.suite}, task {claim.task}"),
        ("published", None if claim.published is None else _published(claim)),
        ("margin", _margin(claim)),
        *_measurement(judgement.measured),
        ("reason", judgement.reason),
        ("source", f"{_title(paper)}, {claim.source}"),
    ]


def _measurement(measured: Measured | None) -> list[tuple[str, str | None]]:
    if measured is None:
        return []
    return [
        ("measured", f"{_delta(measured)} [{_interval(measured)}]"),
        ("seeds", _seeds(measured)),
        ("trained", _training(measured)),
    ]


def render_markdown(answered: Answered, command: str) -> str:
    """Render answers as a Markdown file.

    Args:
        answered: Papers, and the answers to their claims.
        command: Command that writes the file.
    """
    rows = [_row(answer) for _, answers in answered for answer in answers]
    parts = [
        "# Claims of papers",
        NOTE,
        counts(answered),
        f"Made by {markdown_code(command)}; edits are lost.",
        tabulate(rows, _HEADERS, tablefmt="pipe", disable_numparse=True),
    ]
    for paper, answers in answered:
        parts += [f"## {markdown(_title(paper))}", "\n".join(_item(answer) for answer in answers)]
    return "\n\n".join(parts) + "\n"


def _row(judgement: Judgement) -> list[str]:
    claim, measured = judgement.claim, judgement.measured
    suite = markdown_code(claim.suite)
    return [
        markdown_code(claim.name),
        markdown_code(claim.a),
        markdown_code(claim.b),
        suite if claim.task is None else f"{suite}, {markdown(claim.task)}",
        markdown(_published(claim)),
        _delta(measured) if measured else DASH,
        _interval(measured) if measured else DASH,
        _seeds(measured) if measured else DASH,
        judgement.answer,
    ]


def _item(judgement: Judgement) -> str:
    claim = judgement.claim
    facts = [
        ("Source", claim.source),
        ("margin", _margin(claim)),
        ("trained", _training(judgement.measured)),
        ("reason", judgement.reason),
    ]
    told = "; ".join(f"{name}: {markdown(fact)}" for name, fact in facts if fact)
    return f"- {markdown_code(claim.name)}: {markdown(claim.claim)} {told}"


def _title(paper: Paper) -> str:
    return paper.paper if paper.arxiv is None else f"{paper.paper} (arXiv {paper.arxiv})"


def _published(claim: Claim) -> str:
    if claim.published is None:
        return DASH
    return f"{claim.published:+.2f}" + (f" ({claim.published_on})" if claim.published_on else "")


def _margin(claim: Claim) -> str | None:
    return f"{claim.margin:+.2f}" if claim.margin else None


def _delta(measured: Measured) -> str:
    return f"{100 * measured.difference.delta:+.2f}"


def _interval(measured: Measured) -> str:
    low, high = measured.difference.ci95
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def _seeds(measured: Measured) -> str:
    return " and ".join(dict.fromkeys(map(str, measured.seeds)))


def _training(measured: Measured | None) -> str | None:
    if measured is None or measured.profile is None:
        return None
    start = f" from {' and '.join(measured.bases)}" if measured.bases else ""
    return f"profile {measured.profile}{start}"
