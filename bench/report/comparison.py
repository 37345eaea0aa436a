"""Methods against one on the same suite: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from textwrap import fill
from typing import Any, Literal

from tabulate import tabulate

from bench.core.defaults import PAGE
from bench.core.escape import csv_cell, json_text, markdown, plain
from bench.suite import AVERAGE
from bench.verdicts.difference import Comparison, Line

Form = Literal["text", "markdown"]
_ALIGNED = ["left", "right", "right", "right", "right", "right", "right", "left"]
_FORMATS = {"text": "simple", "markdown": "pipe"}


def render(comparisons: Sequence[Comparison], *, style: Form = "text") -> str:
    """Render comparisons of methods with one on a suite; scores and differences times 100.

    Args:
        comparisons: The comparisons, whose second method is the same.
        style: Plain text or Markdown.
    """
    escape = markdown if style == "markdown" else plain
    first = comparisons[0]
    sides = [_side(comparison, 0) for comparison in comparisons] + [_side(first, 1)]
    letters = letters_of(len(sides))
    named = [f"{letter}: {escape(side)}" for letter, side in zip(letters, sides, strict=True)]
    suite = f"### {escape(first.suite)}" if style == "markdown" else escape(first.suite)
    parts = [suite, ("\n\n" if style == "markdown" else "\n").join(named)]
    if len(comparisons) > 1:
        parts.append(_averages(comparisons, letters, style))
    parts += [
        _tasks(comparison, letter, letters[-1], style)
        for comparison, letter in zip(comparisons, letters, strict=False)
    ]
    note = escape(_note(comparisons))
    return "\n\n".join([*parts, note if style == "markdown" else fill(note, PAGE)])


def letters_of(count: int) -> list[str]:
    """A letter a method; behind the last one of the alphabet they have a number too."""
    letters = ascii_uppercase
    return [
        f"{letters[place % len(letters)]}{place // len(letters) or ''}" for place in range(count)
    ]


def _side(comparison: Comparison, place: int) -> str:
    seeds, trained = comparison.seeds[place], comparison.trained[place]
    return f"{comparison.names[place]}{_seeds(seeds) if trained else ''}"


def _averages(comparisons: Sequence[Comparison], letters: Sequence[str], style: Form) -> str:
    """The average of each method, against that of the last."""
    against = letters[-1]
    rows = []
    for comparison, letter in zip(comparisons, letters, strict=False):
        (line,) = (line for line in comparison.lines if line.task == AVERAGE)
        rows.append([letter, *_cells(line, letter, against)])
    headers = ["Avg of", "Score", against, "Difference", "95% CI", "p", "p (Holm)", "Verdict"]
    return _grid(rows, headers, style)


def _tasks(comparison: Comparison, a: str, b: str, style: Form) -> str:
    escape = markdown if style == "markdown" else plain
    rows = [[escape(line.task), *_cells(line, a, b)] for line in comparison.lines]
    headers = ["Task", a, b, f"{a} − {b}", "95% CI", "p", "p (Holm)", "Verdict"]
    return _grid(rows, headers, style)


def _cells(line: Line, a: str, b: str) -> list[str]:
    low, high = line.difference.ci95
    return [
        f"{100 * line.scores[0]:.2f}",
        f"{100 * line.scores[1]:.2f}",
        f"{100 * line.difference.delta:+.2f}",
        f"{100 * low:+.2f} to {100 * high:+.2f}",
        _p(line.difference.p),
        _p(line.p_holm),
        _verdict(line, a, b),
    ]


def _verdict(line: Line, a: str, b: str) -> str:
    if line.better is None:
        return "no difference shown"
    return f"{a if line.better == 'a' else b} is better"


def _grid(rows: Sequence[Sequence[str]], headers: Sequence[str], style: Form) -> str:
    return tabulate(
        rows, headers, tablefmt=_FORMATS[style], colalign=_ALIGNED, disable_numparse=True
    )


def _note(comparisons: Sequence[Comparison]) -> str:
    tests: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        for line in comparison.lines:
            tests.setdefault(line.difference.method, {})[line.task] = None
    served = [f"{test} ({', '.join(tasks)})" for test, tasks in tests.items()]
    note = f"× 100, by {'; '.join(served)}. Holm's correction is over the tasks"
    note += ", not over the methods." if len(comparisons) > 1 else "."
    if any(map(_is_of_models, comparisons)):
        note += (
            " Each method has one training here: this shows which model is better, but other seeds "
            "may give another answer; to compare the methods, use bench run --seeds 3."
        )
    return note


def _seeds(seeds: Sequence[int]) -> str:
    return f", seed {seeds[0]}" if len(seeds) == 1 else f", {len(seeds)} seeds"


def _is_of_models(comparison: Comparison) -> bool:
    sides = zip(comparison.trained, comparison.seeds, strict=True)
    return any(trained and len(seeds) == 1 for trained, seeds in sides)


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def to_json(comparisons: Sequence[Comparison]) -> str:
    """Render comparisons as a JSON array, a line of a task each; scores are fractions."""
    return json_text(list(lines_of(comparisons)), indent=1)


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Render comparisons as CSV with the same fields."""
    lines = list(lines_of(comparisons))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(lines[0])
    writer.writerows([csv_cell(value) for value in line.values()] for line in lines)
    return text.getvalue().rstrip("\n")


def lines_of(comparisons: Sequence[Comparison]) -> Iterator[dict[str, Any]]:
    """A line of a task each, for programs; scores are fractions."""
    for comparison in comparisons:
        for line in comparison.lines:
            yield {
                "suite": comparison.suite,
                "a": comparison.names[0],
                "b": comparison.names[1],
                "seeds_a": len(comparison.seeds[0]),
                "seeds_b": len(comparison.seeds[1]),
                "task": line.task,
                "score_a": line.scores[0],
                "score_b": line.scores[1],
                "delta": line.difference.delta,
                "ci95_low": line.difference.ci95[0],
                "ci95_high": line.difference.ci95[1],
                "p": line.difference.p,
                "p_holm": line.p_holm,
                "effect": line.difference.effect,
                "test": line.difference.method,
                "better": line.better,
            }
