"""The summary of a gate: for people, for a pull request, and for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import fill
from xml.etree import ElementTree

from tabulate import tabulate

from bench.core.defaults import PAGE
from bench.core.escape import json_text, markdown, markdown_code, plain
from bench.verdicts.gate import TIME, GateCheck, parse_bounds
from bench.verdicts.gate import check as check_runs

_HEADERS = ["Suite", "Method", "Task", "Baseline", "Now", "Change", "95% CI", "p", "Bound", "Gate"]
_ALIGNED = ["left"] * 3 + ["right"] * 6 + ["left"]
_RULE = (
    "A score fails where its drop exceeds the bound and is significant (p < 0.05, Holm over "
    "the tasks), a time where it exceeds the bound."
)
# GitHub shows so many annotations of a kind and step.
_MOST = 10


@dataclass(frozen=True)
class GateReport:
    """What a gate has judged.

    Attributes:
        checks: The checks.
        warnings: What was not judged, and what is to be known of the rest.
        now: What is judged: a label, or the folders of its records.
        baseline: What it is compared with.
    """

    checks: Sequence[GateCheck]
    warnings: Sequence[str]
    now: str
    baseline: str

    @property
    def failed(self) -> int:
        """Number of checks that failed."""
        return sum(check.failed for check in self.checks)

    @property
    def head(self) -> str:
        """How many checks passed or failed."""
        total = len(self.checks)
        return (
            f"{self.failed} of {total} checks failed" if self.failed else f"{total} checks passed"
        )


def judge(
    now: Sequence[Path],
    baseline: Sequence[Path],
    bounds: str,
    *,
    names: tuple[str, str],
    partial: bool,
) -> GateReport:
    """Judge records by those of a baseline, see ``bench.verdicts.gate``.

    Args:
        now: Files of the records to judge.
        baseline: Files of those to compare with.
        bounds: Largest drops that pass, such as ``avg:0.3,STS12:0.5``.
        names: What both are called.
        partial: Whether methods of the baseline may be missing.

    Raises:
        UsageError: Bounds that cannot be read, or runs that cannot be judged.
        DataError: A record is damaged or there twice.
    """
    checks, warnings = check_runs(now, baseline, parse_bounds(bounds), partial=partial)
    return GateReport(checks, warnings, *names)


def to_markdown(report: GateReport) -> str:
    """Render a report as Markdown, for a pull request."""
    rows = [
        [
            markdown(check.suite),
            markdown_code(check.method),
            markdown(check.task),
            *_values(check),
            "**failed**" if check.failed else "passed",
        ]
        for check in report.checks
    ]
    grid = tabulate(rows, _HEADERS, tablefmt="pipe", disable_numparse=True)
    sides = f"{markdown_code(report.now)} against {markdown_code(report.baseline)}"
    warnings = "\n".join(f"- {markdown(warning)}" for warning in report.warnings)
    parts = [f"### Gate: {report.head}", sides, grid, _RULE, warnings]
    return "\n\n".join(filter(None, parts))


def to_text(report: GateReport) -> str:
    """Render a report for a terminal; warnings go another way there."""
    rows = [
        [
            plain(check.suite),
            plain(check.method),
            plain(check.task),
            *_values(check),
            "FAILED" if check.failed else "passed",
        ]
        for check in report.checks
    ]
    grid = tabulate(rows, _HEADERS, tablefmt="simple", colalign=_ALIGNED, disable_numparse=True)
    sides = f"{plain(report.now)} against {plain(report.baseline)}"
    return "\n\n".join([f"Gate: {report.head}\n{sides}", grid, fill(_RULE, PAGE)])


def to_json(report: GateReport) -> str:
    """Render a report as JSON; scores are fractions, times seconds a text."""
    content = {
        "passed": not report.failed,
        "now": report.now,
        "baseline": report.baseline,
        "checks": [asdict(check) for check in report.checks],
        "warnings": list(report.warnings),
    }
    return json_text(content, indent=1)


def to_junit(report: GateReport) -> str:
    """Render a report as JUnit's XML: a suite of tests for each suite, a test for each check."""
    root = ElementTree.Element("testsuites", name=plain(f"gate: {report.now}"))
    suites: dict[str, list[GateCheck]] = {}
    for check in report.checks:
        suites.setdefault(check.suite, []).append(check)
    for name, checks in suites.items():
        failures = sum(check.failed for check in checks)
        counts = {"tests": len(checks), "failures": failures, "errors": 0}
        suite = ElementTree.SubElement(root, "testsuite", name=plain(name))
        for key, count in counts.items():
            suite.set(key, str(count))
        for check in checks:
            method = plain(f"{check.suite}: {check.method}")
            case = ElementTree.SubElement(
                suite, "testcase", classname=method, name=plain(check.task)
            )
            if check.failed:
                failure = ElementTree.SubElement(
                    case, "failure", type="regression", message=plain(_sentence(check))
                )
                failure.text = plain(f"{report.now} against {report.baseline}")
    if report.warnings:
        told = ElementTree.SubElement(root[-1], "system-out")
        told.text = "\n".join(map(plain, report.warnings))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def to_github(report: GateReport) -> str:
    """Render a report as annotations of a workflow of GitHub, then as Markdown."""
    failed = [check for check in report.checks if check.failed]
    shown = failed if len(failed) <= _MOST else failed[: _MOST - 1]
    lines = [
        _annotation("error", f"Gate: {check.method} on {check.suite}", _sentence(check))
        for check in shown
    ]
    if rest := len(failed) - len(shown):
        lines.append(_annotation("error", "Gate", f"{rest} more checks failed; see the summary"))
    lines += [_annotation("warning", "Gate", warning) for warning in report.warnings[:_MOST]]
    lines.append(
        _annotation("notice", "Gate", f"{report.head}: {report.now} against {report.baseline}")
    )
    # A line of plain text could begin as a command to the runner does, one of Markdown cannot.
    return "\n".join([*lines, "", to_markdown(report)])


def _annotation(level: str, title: str, message: str) -> str:
    # What ends a property or a message is written as GitHub's own toolkit does.
    told = plain(message).replace("%", "%25")
    named = plain(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={named}::{told}"


def _sentence(check: GateCheck) -> str:
    baseline, now, change, interval, p, bound = _values(check)
    if check.task == TIME:
        return f"a text takes {now} to encode, {baseline} in the baseline: {change}, bound {bound}"
    return (
        f"{check.task} is {now}, {baseline} in the baseline: {change} ({interval}, p = {p}), "
        f"bound {bound}"
    )


def _values(check: GateCheck) -> tuple[str, str, str, str, str, str]:
    """Baseline, now, change, its interval, p-value and bound, as shown."""
    if check.ci95 is None or check.p is None:
        return (
            f"{1e3 * check.baseline:.2f} ms",
            f"{1e3 * check.now:.2f} ms",
            f"{100 * check.change:+.0f}%",
            "",
            "",
            f"{100 * check.bound:.0f}%",
        )
    low, high = check.ci95
    return (
        f"{100 * check.baseline:.2f}",
        f"{100 * check.now:.2f}",
        f"{100 * check.change:+.2f}",
        f"{100 * low:+.2f} to {100 * high:+.2f}",
        f"{check.p:.4f}",
        f"{100 * check.bound:.2f}",
    )


# A new form is a function and a line here.
FORMS: Mapping[str, Callable[[GateReport], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "json": to_json,
    "junit": to_junit,
    "github": to_github,
}
