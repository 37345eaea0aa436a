"""Claims of papers about the suites of a page: measured differences and published ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.spec import split_list
from bench.records.files import StoredRecord
from bench.report.claims import NOTE
from bench.report.html.span import Span, interval_text, points
from bench.verdicts.claims import Judgement, answer_claim
from bench.verdicts.papers import Claim, Paper, load_papers


def context(suites: Collection[str], stored: Sequence[StoredRecord]) -> Mapping[str, Any] | None:
    """What the template needs; None where no claim can be tested on these records.

    Args:
        suites: Suites of the page.
        stored: Their records.
    """
    judged = [
        (paper, answer_claim(claim, stored, Path()))
        for paper in load_papers(())
        for claim in paper.claims
        if set(split_list(claim.suite)) <= set(suites)
    ]
    measured = [(paper, judgement) for paper, judgement in judged if judgement.measured]
    if not measured:
        return None
    span = Span.around([_interval(judgement) for _, judgement in measured], 0.0)
    return {
        "counts": Counter(judgement.answer for _, judgement in judged).most_common(),
        "untested": len(judged) - len(measured),
        "rows": [_row(paper, judgement, span) for paper, judgement in measured],
        "zero": span.place(0.0),
        "ticks": span.ticks(),
        "note": NOTE,
    }


def _interval(judgement: Judgement) -> tuple[float, float]:
    if judgement.measured is None:
        raise ValueError(f"{judgement.claim.name} was not measured")
    low, high = judgement.measured.difference.ci95
    return 100 * low, 100 * high


def _row(paper: Paper, judgement: Judgement, span: Span) -> dict[str, Any]:
    claim, measured = judgement.claim, judgement.measured
    if measured is None:
        raise ValueError(f"{claim.name} was not measured")
    low, high = _interval(judgement)
    return {
        "name": claim.name,
        "claim": claim.claim,
        "paper": paper.paper,
        "source": claim.source,
        "a": claim.a,
        "b": claim.b,
        "where": claim.suite if claim.task is None else f"{claim.suite}, {claim.task}",
        "answer": judgement.answer,
        "places": (span.place(low), span.place(100 * measured.difference.delta), span.place(high)),
        "delta": points(measured.difference.delta),
        "interval": interval_text(measured.difference.ci95),
        "seeds": " and ".join(dict.fromkeys(map(str, measured.seeds))),
        **_published(claim, span),
    }


def _published(claim: Claim, span: Span) -> dict[str, str | None]:
    if claim.published is None:
        return {"published": None, "diamond": None}
    shown = f"{claim.published:+.2f}".replace("-", "−")
    return {
        "published": shown,
        "diamond": span.place(claim.published) if span.holds(claim.published) else None,
    }
