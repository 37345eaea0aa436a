"""Differences of all methods to one: its untrained base, or any of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.errors import BenchError
from bench.report.html.material import Material, Shown
from bench.report.html.span import Span, interval_text, p_text, points
from bench.suite import AVERAGE
from bench.verdicts.difference import Line, difference_of_suites

# Further references than these would make the page too large for what anybody looks at.
MOST_REFERENCES = 60
_WORDS = {"a": "higher", "b": "lower", None: "no difference shown"}
OWN_BASE = "own"


@dataclass(frozen=True)
class Against:
    """A method's average against that of a reference.

    Attributes:
        shown: The method.
        reference: The reference.
        line: The difference, method minus reference.
    """

    shown: Shown
    reference: Shown
    line: Line


def average_against(shown: Shown, reference: Shown) -> Against | None:
    """Compare the averages of two rows; None where they cannot be compared."""
    a, b = shown.side, reference.side
    try:
        difference = difference_of_suites([(a, b)])
    except (BenchError, ValueError):
        # Other rows, another protocol, or too few items: the table's marks say which.
        return None
    scores = (float(a.points(AVERAGE).mean()), float(b.points(AVERAGE).mean()))
    return Against(shown, reference, Line(AVERAGE, scores, difference, difference.p))


def against_own_base(shown: Sequence[Shown]) -> list[Against]:
    """Trained methods against the untrained base of each, where that was run alike."""
    bases = {
        (other.row.spec, other.row.limit, other.row.setup): other
        for other in shown
        if not other.row.trained
    }
    pairs = []
    for one in shown:
        base = bases.get((one.row.base or "", one.row.limit, one.row.setup))
        if one.row.trained and base is not None:
            pairs.append(average_against(one, base))
    return [pair for pair in pairs if pair is not None]


def against(shown: Sequence[Shown], reference: Shown) -> list[Against]:
    """All other methods against one."""
    pairs = [average_against(one, reference) for one in shown if one is not reference]
    return [pair for pair in pairs if pair is not None]


def context(material: Material) -> Mapping[str, Any] | None:
    """What the template and the script need; None where no two rows can be compared."""
    shown = material.shown
    own = against_own_base(shown)
    forests = {OWN_BASE: _forest(own)} if own else {}
    for reference in _references(shown):
        if pairs := against(shown, reference):
            forests[reference.id] = _forest(pairs)
    if not forests:
        return None
    names = {one.id: one.name for one in shown}
    first = next(iter(forests))
    return {
        "names": names,
        "options": [(key, names.get(key, "the untrained base of each")) for key in forests],
        "first": forests[first],
        "data": {"names": names, "forests": forests},
        "tests": sorted({pair.line.difference.method for pair in own}),
    }


def _references(shown: Sequence[Shown]) -> list[Shown]:
    if len(shown) <= MOST_REFERENCES:
        return [*shown]
    bases = {one.row.base for one in shown}
    return [one for one in shown if one.row.spec in bases][:MOST_REFERENCES]


def _forest(pairs: Sequence[Against]) -> dict[str, Any]:
    return forest([(pair.shown.id, pair.line) for pair in pairs])


def forest(lines: Iterable[tuple[str, Line]]) -> dict[str, Any]:
    """Differences as places in a cell and as texts, for the template and the script."""
    named = [*lines]
    span = Span.around([_in_points(line) for _, line in named], 0.0)
    return {
        "zero": span.place(0.0),
        "ticks": span.ticks(),
        "lines": [
            [
                name,
                span.place(100 * line.difference.ci95[0]),
                span.place(100 * line.difference.delta),
                span.place(100 * line.difference.ci95[1]),
                points(line.difference.delta),
                interval_text(line.difference.ci95),
                p_text(line.p_holm),
                _WORDS[line.better],
            ]
            for name, line in named
        ],
    }


def _in_points(line: Line) -> tuple[float, float]:
    low, high = line.difference.ci95
    return 100 * low, 100 * high
