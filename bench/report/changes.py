"""The items on which two methods differ most, and what both answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.core.escape import markdown, plain
from bench.data.rows import Row
from bench.report.comparison import Form
from bench.verdicts.side import Side

_WIDTH = 60
TEXTS = ("text", "sentence1", "sentence2", "premise", "hypothesis", "query")
_FORMATS = {"text": "simple", "markdown": "pipe"}
# Most answers of seeds and folds that are told of an item.
_MOST = 2


@dataclass(frozen=True)
class ItemRows:
    """The rows that the items of a task belong to.

    Attributes:
        rows: The rows, in the order of the items.
        classes: Labels by the number that items have of them; empty where there are none.
    """

    rows: Sequence[Row]
    classes: Sequence[Any] = ()


def render_changes(
    a: Side,
    b: Side,
    tasks: Mapping[str, ItemRows],
    count: int,
    *,
    letters: tuple[str, str] = ("A", "B"),
    style: Form = "text",
) -> str:
    """Render the items of all tasks whose value changed most between two methods.

    Args:
        a: The first method.
        b: The second method.
        tasks: Rows that the items belong to, by task.
        count: Number of items.
        letters: What the methods are called.
        style: Plain text or Markdown.
    """
    changed: list[tuple[float, str, int]] = []
    for task in tasks:
        change = a.values(task) - b.values(task)
        most = np.argsort(-np.abs(change), kind="stable")[:count]
        changed += [(float(change[item]), task, int(item)) for item in most]
    changed.sort(key=lambda item: -abs(item[0]))
    escape = markdown if style == "markdown" else plain
    cells = [
        [
            f"{100 * change:+.1f}",
            escape(task),
            *(escape(answer(side, task, item, tasks[task].classes)) for side in (a, b)),
            escape(_text(tasks[task].rows[item])),
        ]
        for change, task, item in changed[:count]
    ]
    grid = tabulate(
        cells,
        [" − ".join(letters), "Task", *letters, "Item"],
        tablefmt=_FORMATS[style],
        disable_numparse=True,
        colalign=["right", "left", "left", "left", "left"],
    )
    return f"The {len(cells)} items that differ most (item scores × 100)\n\n{grid}"


def answer(side: Side, task: str, item: int, classes: Sequence[Any] = ()) -> str:
    """What a method answered for an item, over its seeds: a label, a number, or how well it ranked.

    Args:
        side: The method.
        task: The task.
        item: Number of the item.
        classes: Labels by the number that items have of them.
    """
    arrays = side.arrays(task)
    if "predicted" in arrays:
        return _predicted(arrays["predicted"][:, item], classes)
    if "similarity" in arrays:
        return f"{float(np.mean(arrays['similarity'][:, item])):.3f}"
    if "reciprocal_rank" in arrays:
        reciprocal = float(np.mean(arrays["reciprocal_rank"][:, item]))
        return f"first at {1 / reciprocal:.3g}" if reciprocal > 0 else "none found"
    return f"{100 * float(np.mean(arrays['value'][:, item])):.1f}"


def _predicted(predicted: NDArray[Any], classes: Sequence[Any]) -> str:
    numbers = predicted.ravel().tolist()
    if not len(classes):
        return f"{float(np.mean(numbers)):.2f}"
    counts = Counter(
        str(classes[number]) if 0 <= number < len(classes) else str(number) for number in numbers
    )
    if len(counts) == 1:
        return next(iter(counts))
    told = [f"{label} {times}/{len(numbers)}" for label, times in counts.most_common(_MOST)]
    return ", ".join(told)


def _text(row: Row) -> str:
    texts = [_short(str(row[column])) for column in TEXTS if column in row]
    labels = [f"{name} {row[name]}" for name in ("score", "label") if name in row]
    return " | ".join([*texts, *labels])


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _WIDTH else words[: _WIDTH - 1] + "…"
