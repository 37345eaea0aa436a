"""Two methods on the same suite, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from tabulate import tabulate

from bench.core.escape import plain
from bench.verdicts.difference import Comparison

PAGE = 100


def render(comparison: Comparison) -> str:
    """Render a comparison; scores and differences times 100."""
    rows = [
        [
            plain(line.task),
            f"{100 * line.scores[0]:.2f}",
            f"{100 * line.scores[1]:.2f}",
            f"{100 * line.difference.delta:+.2f}",
            f"{100 * line.difference.ci95[0]:+.2f} to {100 * line.difference.ci95[1]:+.2f}",
            _p(line.difference.p),
            _p(line.p_holm),
            line.verdict,
        ]
        for line in comparison.lines
    ]
    grid = tabulate(
        rows,
        ["Task", "A", "B", "A − B", "95% CI", "p", "p (Holm)", "Verdict"],
        tablefmt="simple",
        colalign=["left", "right", "right", "right", "right", "right", "right", "left"],
        disable_numparse=True,
    )
    sides = [
        f"{letter}: {plain(name)}{_seeds(seeds) if trained else ''}"
        for letter, name, seeds, trained in zip(
            "AB", comparison.names, comparison.seeds, comparison.trained, strict=True
        )
    ]
    methods = sorted({line.difference.method for line in comparison.lines})
    note = f"× 100, by {'; '.join(methods)}. Holm's correction is over the tasks."
    if _is_of_models(comparison):
        note += (
            " Each method has one training here: this shows which model is better, but other seeds "
            "may give another answer; to compare the methods, use bench run --seeds 3."
        )
    return "\n\n".join([plain(comparison.suite), "\n".join(sides), grid, fill(note, PAGE)])


def _seeds(seeds: Sequence[int]) -> str:
    return f", seed {seeds[0]}" if len(seeds) == 1 else f", {len(seeds)} seeds"


def _is_of_models(comparison: Comparison) -> bool:
    sides = zip(comparison.trained, comparison.seeds, strict=True)
    return any(trained and len(seeds) == 1 for trained, seeds in sides)


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
