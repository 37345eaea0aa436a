"""The parts of a page for each suite, in their order: ``PARTS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.report.html import board, commits, costs, differences, maps, shapes, sources
from bench.report.html.material import Material


@dataclass(frozen=True)
class Part:
    """A part of a page.

    Attributes:
        name: Its name in addresses.
        title: Its heading.
        template: The file that shows it.
        context: What that file needs of a suite, or None where there is nothing to show.
    """

    name: str
    title: str
    template: str
    context: Callable[[Material], Mapping[str, Any] | None]


PARTS = [
    Part("leaderboard", "Leaderboard", "board.html", board.context),
    Part("differences", "Differences", "differences.html", differences.context),
    Part("cost", "Cost", "costs.html", costs.context),
    Part("tasks", "Tasks", "map.html", maps.tasks),
    Part("phenomena", "Phenomena", "map.html", maps.by_phenomenon),
    Part("training", "Training", "figures.html", shapes.training),
    Part("history", "History", "commits.html", commits.context),
    Part("vectors", "Dimension and geometry", "figures.html", shapes.vectors),
    Part("sources", "Provenance", "sources.html", sources.context),
]
