"""What there is to say of a claim, from the file of its paper."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from bench.core.descriptions import Description, told_of
from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.verdicts.papers import Claim, Paper, load_papers


def claims_by_name() -> dict[str, tuple[Paper, Claim]]:
    """All claims that come with the package, each with its paper.

    Raises:
        UsageError: A file is malformed.
    """
    return {claim.name: (paper, claim) for paper in load_papers([]) for claim in paper.claims}


def describe_claim(name: str) -> Description:
    """Say what a paper claims, and how it is tested.

    Raises:
        UsageError: There is no such claim.
    """
    known: Mapping[str, tuple[Paper, Claim]] = claims_by_name()
    if name not in known:
        hint = did_you_mean(name, known) or "'bench claims' shows them all"
        raise UsageError(f"unknown claim {name!r}; {hint}")
    paper, claim = known[name]
    return Description(
        kind="claim",
        name=name,
        title=claim.claim,
        facts=told_of(
            {
                "Paper": paper.paper,
                "arXiv": paper.arxiv,
                "Source": claim.source,
                "A": claim.a,
                "B": claim.b,
                "Suite": f"{claim.suite}, task {claim.task}" if claim.task else claim.suite,
                "Profile": claim.profile,
                "Seeds": str(claim.seeds),
                "Published": _published(claim),
                "Margin": f"{claim.margin:+g} points" if claim.margin else None,
            }
        ),
        examples=(shlex.join(_run(claim)), "bench claims"),
    )


def _run(claim: Claim) -> list[str]:
    """The command that measures both sides."""
    where = ["--suite", claim.suite, "--profile", claim.profile, "--seeds", str(claim.seeds)]
    return ["bench", "run", *where, "--methods", f"{claim.a},{claim.b}"]


def _published(claim: Claim) -> str | None:
    if claim.published is None:
        return None
    on = f" on {claim.published_on}" if claim.published_on else ""
    return f"A − B = {claim.published:+g} points{on}"
