"""Views of the records of a suite: ``VIEWS``, one a file, each with the same ``render``.

Scores by phenomenon (``phenomena``), by layer and dimension (``grid``), by size (``curve``),
geometry, diagnostics, and scores beside what two values reach (``ceiling``); ``page``
has what they share. Imported are verdicts, records, stats and core, and of the report its table and
text. A new view is a file here and an entry in ``VIEWS``, from which the command line has its
choice, help and dispatch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.records.entries import Record
    from bench.report.text import Style

# Reads the per-item arrays of a record, by the names of ``bench.records.items``.
ReadItems: TypeAlias = "Callable[[Record], Mapping[str, NDArray[Any]]]"


class Render(Protocol):
    """The function ``render`` of a view's file."""

    def __call__(
        self,
        suite: str,
        records: Sequence[Record],
        *,
        style: Style = "text",
        width: int | None = None,
    ) -> str | None:
        """Render the view of a suite, or return None where no record has anything to show.

        Args:
            suite: Name of the suite.
            records: Records of the suite; seeds of a method are averaged.
            style: ``text`` or ``markdown``.
            width: Columns of the terminal, or None for no limit; what does not fit comes in a
                grid below.
        """


class Draw(Protocol):
    """The function ``draw`` of a view's drawings."""

    def __call__(self, by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
        """Draw the view of the records into a file.

        Args:
            by_suite: Records by suite, of which one has something to draw.
            path: The file.

        Raises:
            UsageError: The file cannot be written, or several suites have something to draw.
            DataError: None has.
        """


@dataclass(frozen=True)
class View:
    """A view. Its files are imported on use, as the command line names all views.

    Attributes:
        name: Name after ``--view``.
        help: What it shows, for ``--help``.
        needs: What a record has to have for it, for who has none.
        command: Arguments of ``bench run`` that make such records.
        module: File that renders it.
        drawings: File that draws it with ``--plot``, or None.
        reads_items: Whether its ``render`` has ``items`` too, a ``ReadItems``.
    """

    name: str
    help: str
    needs: str
    command: str
    module: str
    drawings: str | None = None
    reads_items: bool = False

    def render(self, items: ReadItems) -> Render:
        """Import its ``render``.

        Args:
            items: Reads the arrays of a record, for a view that needs them.
        """
        render = import_module(self.module).render
        rendering: Render = partial(render, items=items) if self.reads_items else render
        return rendering

    def draw(self) -> Draw | None:
        """Import its ``draw``; None where it has no drawings."""
        if self.drawings is None:
            return None
        draw: Draw = import_module(self.drawings).draw
        return draw


VIEWS = [
    View(
        "phenomena",
        "scores by the phenomena that items probe",
        needs="items that say what they probe",
        command="--suite mini",
        module="bench.report.views.phenomena",
    ),
    View(
        "grid",
        "scores of each layer and dimension",
        needs="scores of cut models",
        command="--suite sts7 --methods matryoshka-2d",
        module="bench.report.views.grid",
    ),
    View(
        "dev",
        "scores on dev rows, by which checkpoints and settings are chosen",
        needs="evaluations on dev rows",
        command="--suite sts-mini --methods sup-simcse",
        module="bench.report.views.dev",
    ),
    View(
        "geometry",
        "how the vectors lie",
        needs="measures of its vectors",
        command="--suite mini --rerun all",
        module="bench.report.views.geometry",
        drawings="bench.report.charts.geometry",
    ),
    View(
        "curve",
        "scores of vectors cut to smaller sizes",
        needs="vectors cut to smaller sizes",
        command="--suite redundancy --methods minilm",
        module="bench.report.views.curve",
        drawings="bench.report.charts.curve",
    ),
    View(
        "learning",
        "what trainings reached on dev rows, by step",
        needs="trainings with evaluations on dev rows",
        command="--suite imbalance-supervised --methods ft",
        module="bench.report.views.learning",
        drawings="bench.report.charts.learning",
    ),
    View(
        "diagnostics",
        "what ensembles are made of",
        needs="what was learned from a pool",
        command="--suite pseudo-label --methods hierarchical-ensemble",
        module="bench.report.views.diagnostics",
    ),
    View(
        "ceiling",
        "STS scores beside the best of predictors of two values",
        needs="STS scores",
        command="--suite sts-mini",
        module="bench.report.views.ceiling",
        reads_items=True,
    ),
]
