"""Scores against what methods cost, with the front of those that none beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import altair as alt

from bench.report.charts.drawing import COLOURS, Panel, data
from bench.report.charts.labels import Box, dot, labels_layer, place_labels
from bench.report.names import row_names
from bench.report.table import Table, TableRow

_SIZE = (300, 240)
_ROOM = 0.08


@dataclass(frozen=True)
class Cost:
    """Something that a method takes.

    Attributes:
        name: What is said below the axis.
        value: What a row takes, above 0, or None where it is not known.
        more: Whether more of it is better, as of speed.
        is_timed: Whether it is that of a machine, and does not compare with that of another.
    """

    name: str
    value: Callable[[TableRow], float | None]
    more: bool = False
    is_timed: bool = False


COSTS = (
    Cost("Texts a second", lambda row: row.costs.texts_per_second, more=True, is_timed=True),
    Cost("Parameters", lambda row: row.parameters),
    Cost("Dimensions of a vector", lambda row: row.dimension),
    Cost("Seconds of training", lambda row: row.costs.train_seconds, is_timed=True),
)


def pareto_front(rows: Sequence[TableRow], cost: Cost) -> list[TableRow]:
    """Rows that no other one beats or equals in cost and score and beats in one of them.

    Args:
        rows: Rows whose cost and average are known.
        cost: The cost.

    Returns:
        The front, the cheapest first.
    """
    sign = -1 if cost.more else 1
    front: list[TableRow] = []
    for row in sorted(rows, key=lambda row: (sign * (cost.value(row) or 0), -_score(row))):
        if not front or _score(row) > _score(front[-1]):
            front.append(row)
    return front


def priced(table: Table, cost: Cost) -> list[TableRow]:
    """Rows of a table whose cost and average are known."""
    return [row for row in table.rows if cost.value(row) and row.average is not None]


def telling(table: Table, alike: Table) -> list[tuple[Cost, Table]]:
    """Costs that at least two rows have and that differ between them, and these rows.

    Args:
        table: All rows.
        alike: Those that one machine computed, of which times are shown.
    """
    of_rows = [(cost, alike if cost.is_timed else table) for cost in COSTS]
    return [
        (cost, rows)
        for cost, rows in of_rows
        if len({cost.value(row) for row in priced(rows, cost)}) > 1
    ]


def panels(table: Table, alike: Table) -> list[Panel]:
    """A panel for each cost that tells rows apart, see ``telling``."""
    names = row_names(table.rows)
    return [panel(rows, cost, names) for cost, rows in telling(table, alike)]


def panel(table: Table, cost: Cost, names: Mapping[str, str]) -> Panel:
    """Scores against a cost.

    Args:
        table: The rows.
        cost: The cost.
        names: What rows are called, by their id.
    """
    rows = priced(table, cost)
    front = pareto_front(rows, cost)
    frame = _Extent.around([(cost.value(row) or 0, 100 * _score(row)) for row in rows])
    values = [
        {"cost": cost.value(row), "score": 100 * _score(row), "front": row in front} for row in rows
    ]
    x = alt.X("cost:Q", title=cost.name).scale(type="log", nice=False, domain=list(frame.costs))
    x = x.axis(tickCount=4, format="~s", grid=False)
    y = alt.Y("score:Q", title="Average × 100").scale(nice=False, domain=list(frame.scores))
    plot = alt.Chart(data(values)).encode(x=x, y=y.axis(tickCount=5))
    best = plot.transform_filter("datum.front")
    accent = COLOURS["accent"]
    layers = [
        plot.transform_filter("!datum.front").mark_circle(
            size=34, color=COLOURS["muted"], opacity=0.6
        ),
        best.mark_line(
            interpolate="step-before" if cost.more else "step-after", color=accent, strokeWidth=1.2
        ),
        best.mark_circle(size=52, color=accent, opacity=1),
    ]
    places = [frame.place(cost.value(row) or 0, 100 * _score(row)) for row in front]
    dots = [dot(frame.place(cost.value(row) or 0, 100 * _score(row))) for row in rows]
    taken = [*dots, *_steps(sorted(places), cost)]
    called = [names[row.id] for row in front]
    layers += labels_layer(place_labels(called, places, taken, _SIZE))
    chart = alt.layer(*layers).properties(width=_SIZE[0], height=_SIZE[1])
    text = f"{len(rows)} methods by average and {cost.name.lower()}. "
    text += f"Pareto front: {', '.join(called)}."
    return Panel(f"Score and {cost.name.lower()}", chart, text)


@dataclass(frozen=True)
class _Extent:
    """What a panel shows: a range of costs, on a scale of logarithms, and one of scores."""

    costs: tuple[float, float]
    scores: tuple[float, float]

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> _Extent:
        """The frame around some points, with room."""
        costs, scores = zip(*points, strict=True)
        factor = (max(costs) / min(costs)) ** _ROOM
        room = _ROOM * (max(scores) - min(scores) or 1)
        return cls(
            (min(costs) / factor, max(costs) * factor), (min(scores) - room, max(scores) + room)
        )

    def place(self, cost: float, score: float) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        x = math.log(cost / self.costs[0]) / math.log(self.costs[1] / self.costs[0])
        y = (score - self.scores[0]) / (self.scores[1] - self.scores[0])
        return _SIZE[0] * x, _SIZE[1] * (1 - y)


def _steps(places: Sequence[tuple[float, float]], cost: Cost) -> Iterator[Box]:
    """What the line of the front covers, from left to right."""
    for (left, start), (right, end) in pairwise(places):
        level, corner = (end, left) if cost.more else (start, right)
        yield left, level - 1, right, level + 1
        yield corner - 1, min(start, end), corner + 1, max(start, end)


def _score(row: TableRow) -> float:
    return row.average if row.average is not None else float("-inf")
