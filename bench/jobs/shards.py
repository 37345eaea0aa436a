"""A run in several parts, of which each machine works out its own alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import Self

from bench.core.errors import UsageError
from bench.execution.cells import Cell
from bench.execution.settings import Settings
from bench.jobs.durations import NOMINAL
from bench.jobs.graph import components
from bench.method import learns

_SHARD = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class RunShard:
    """One of several parts of a run.

    Attributes:
        number: Which one, from 1.
        count: How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3/16``.

        Raises:
            UsageError: It is something else, or there is no such part.
        """
        match = _SHARD.fullmatch(text.strip())
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(
                f"--shard {text}: expected a part and the number of parts, such as 1/3, 2/3 or 3/3"
            )
        return shard


def part_of(cells: Sequence[Cell], shard: RunShard, settings: Settings) -> list[Cell]:
    """Cells of one part of a run.

    Cells that share a trained model are in one part, so that nothing is trained in two. Each group
    goes where least is yet, the longest first; how long one takes is a nominal figure, as every
    machine has to come to the same parts, whatever it has measured.

    Args:
        cells: All cells of the run, those that are complete too.
        shard: The part.
        settings: Settings of the run.

    Returns:
        Its cells in the order of the run.
    """
    groups = components(cells, settings)
    weights = [sum(_seconds(cell, settings) for cell in group) for group in groups]
    parts = [(0.0, number) for number in range(1, shard.count + 1)]
    heapify(parts)
    mine = set[int]()
    # Sorting keeps groups of the same weight in their order.
    for weight, group in sorted(zip(weights, groups, strict=True), key=lambda weighed: -weighed[0]):
        load, number = parts[0]
        heapreplace(parts, (load + weight, number))
        if number == shard.number:
            mine |= {id(cell) for cell in group}
    return [cell for cell in cells if id(cell) in mine]


def _seconds(cell: Cell, settings: Settings) -> float:
    training = NOMINAL[settings.profile] if learns(cell.method) else 0.0
    return training + NOMINAL["cell"]
