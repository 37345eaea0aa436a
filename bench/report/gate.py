"""The summary of a gate, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from bench.core.escape import markdown, markdown_code
from bench.verdicts.gate import GateCheck


def summary(checks: Sequence[GateCheck]) -> str:
    """Render the checks as Markdown, for a terminal and for a pull request."""
    failed = sum(one.failed for one in checks)
    head = f"{failed} of {len(checks)} checks failed" if failed else f"{len(checks)} checks passed"
    rows = [
        [
            markdown(one.suite),
            markdown_code(one.method),
            markdown(one.task),
            *one.values,
            "**failed**" if one.failed else "passed",
        ]
        for one in checks
    ]
    grid = tabulate(
        rows,
        ["Suite", "Method", "Task", "Baseline", "Now", "Change", "95% CI", "p", "Bound", "Gate"],
        tablefmt="pipe",
        disable_numparse=True,
    )
    rule = (
        "A score fails where its drop exceeds the bound and is significant (p < 0.05, Holm over "
        "the tasks), a time where it exceeds the bound."
    )
    return f"### Gate: {head}\n\n{grid}\n\n{rule}"
