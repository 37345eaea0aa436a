"""What changed between two folders of records, as a page for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import BenchError, DataError, first_line
from bench.records.files import StoredRecord
from bench.report.html.differences import forest
from bench.report.html.page import render_page
from bench.suite import AVERAGE
from bench.verdicts.difference import Comparison, Line, compare
from bench.verdicts.matching import MethodKey, by_method, counterpart
from bench.verdicts.side import Side

_BySuite = Mapping[str, Sequence[StoredRecord]]


def render_diff(before: _BySuite, now: _BySuite, names: tuple[str, str]) -> str:
    """Render the page, the same text for the same records.

    Args:
        before: Records to compare with, by suite.
        now: Records of the change.
        names: What either is called.

    Raises:
        DataError: No method was measured on one suite in both.
    """
    old, new = _by_key(before), _by_key(now)
    partners = {key: counterpart(stored[0][1], old) for key, stored in new.items()}
    shared = {key: other for key, other in partners.items() if other is not None}
    if not shared:
        raise DataError(
            f"{names[0]} and {names[1]} have no method on one suite in common; "
            "'bench run' the same methods into both"
        )
    compared, refused = _compared(shared, old, new)
    averages = [_line(comparison, AVERAGE) for comparison in compared]
    context = {
        "names": names,
        "suites": [
            _suite(suite, [one for one in compared if one.suite == suite])
            for suite in dict.fromkeys(comparison.suite for comparison in compared)
        ],
        "worse": sum(line.better == "b" for line in averages),
        "better": sum(line.better == "a" for line in averages),
        "same": sum(line.better is None for line in averages),
        "added": [_called(key) for key in new if key not in shared],
        "removed": [_called(key) for key in old if key not in shared.values()],
        "refused": refused,
    }
    return render_page("diff.html", f"{names[1]} against {names[0]}", context)


def _by_key(by_suite: _BySuite) -> dict[MethodKey, list[StoredRecord]]:
    return by_method(entry for stored in by_suite.values() for entry in stored)


def _compared(
    shared: Mapping[MethodKey, MethodKey],
    old: Mapping[MethodKey, Sequence[StoredRecord]],
    new: Mapping[MethodKey, Sequence[StoredRecord]],
) -> tuple[list[Comparison], list[tuple[str, str]]]:
    """Comparisons, and what cannot be compared with the reason."""
    compared, refused = [], []
    for key, other in shared.items():
        try:
            compared.append(compare(Side(new[key]), Side(old[other])))
        except BenchError as error:
            refused.append((_called(key), first_line(error)))
    return compared, refused


def _line(comparison: Comparison, task: str) -> Line:
    return next(line for line in comparison.lines if line.task == task)


def _suite(suite: str, compared: Sequence[Comparison]) -> dict[str, Any]:
    names = {f"m{number}": comparison.names[0] for number, comparison in enumerate(compared)}
    rows = [*zip(names, compared, strict=True)]
    return {
        "name": suite,
        "names": names,
        "average": forest([(name, _line(comparison, AVERAGE)) for name, comparison in rows]),
        "methods": [
            {
                "name": comparison.names[0],
                "tasks": {line.task: line.task for line in comparison.lines},
                "forest": forest([(line.task, line) for line in comparison.lines]),
                "scores": [
                    (line.task, *(f"{100 * score:.2f}" for score in line.scores[::-1]))
                    for line in comparison.lines
                ],
            }
            for comparison in compared
        ],
    }


def _called(key: MethodKey) -> str:
    suite, spec, profile, limit, setup = key
    facts = [profile, "" if limit is None else f"first {limit}", setup]
    return f"{spec} on {suite} ({', '.join(filter(None, facts))})"
