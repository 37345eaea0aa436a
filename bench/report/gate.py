"""The summary of a gate, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from bench.core.escape import markdown, markdown_code
from bench.verdicts.gate import GateCheck


def summary(checks: Sequence[GateCheck]) -> str:
    """Render the checks as Markdown, for a terminal and for a pull request."""
    failed = sum(check.failed for check in checks)
    head = f"{failed} of {len(checks)} checks failed" if failed else f"{len(checks)} checks passed"
    rows = [
        [
            markdown(check.suite),
            markdown_code(check.method),
            markdown(check.task),
            *check.values,
            "**failed**" if check.failed else "passed",
        ]
        for check in checks
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
