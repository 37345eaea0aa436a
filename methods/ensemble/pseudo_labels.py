"""Labels that a model gives to retrieved texts, and which of them are believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.methods.ensemble.targets import Floats
from bench.methods.parts.nearest import ABSENT

Filter = Literal["none", "sigma", "confidence", "agree"]
DEFINITIONS = {
    "none": "all are kept",
    "sigma": "classes: 1 − p(label of the query) ≤ s; scores: |score − that of the query| ≤ s; "
    "s is the root mean square of 1 − p(label), or the standard deviation of the score's error, "
    "over the gold rows, predicted in folds of their own",
    "confidence": "the largest probability reaches the threshold",
    "agree": "the likeliest class is that of the query",
}


@dataclass(frozen=True)
class Selection:
    """Distinct retrieved texts, and which of them are learnt from.

    Attributes:
        rows: Rows of the pool (u,), ascending.
        kept: Whether a query keeps them, (u,).
        pairs: Pairs of a query and a text of the pool that were looked at.
        kept_pairs: Those of them that the filter keeps.
    """

    rows: NDArray[np.intp]
    kept: NDArray[np.bool_]
    pairs: int
    kept_pairs: int


def errors(outputs: Floats, gold: Floats, *, classes: bool) -> Floats:
    """Distances of outputs (n, o) from labels (n, o): 1 − p(label), or output − score; (n,)."""
    if classes:
        return np.asarray(1 - (outputs * gold).sum(axis=1))
    return np.asarray((outputs - gold)[:, 0])


def spread(outputs: Floats, gold: Floats, *, classes: bool) -> float:
    """Size of the errors of outputs that were predicted out of fold.

    Of scores it is their standard deviation. Errors of classes lie on one side of 0, the tolerance
    is around 0, and a model that is never sure has errors that differ little: of them it is the
    root mean square.
    """
    distances = errors(outputs, gold, classes=classes)
    return float(np.sqrt(np.square(distances).mean()) if classes else np.std(distances))


def believed(
    way: Filter,
    outputs: Floats,
    gold: Floats,
    *,
    classes: bool,
    sigma: float = np.inf,
    threshold: float = 0.0,
) -> NDArray[np.bool_]:
    """Filter pairs of a query and a text of the pool (arXiv 2501.15876, eq. 12).

    Args:
        way: The filter, see ``DEFINITIONS``.
        outputs: What the labeller makes of the texts, (p, o).
        gold: Labels of the queries, (p, o).
        classes: Whether the labels are classes.
        sigma: Largest error that ``sigma`` keeps, itself included.
        threshold: Least probability that ``confidence`` keeps.

    Raises:
        CellError: The filter is defined for classes only.
    """
    if way == "none":
        return np.ones(len(outputs), dtype=np.bool_)
    if way == "sigma":
        return np.asarray(np.abs(errors(outputs, gold, classes=classes)) <= sigma)
    if not classes:
        raise CellError(f"filter={way} is for classes, and this task has scores; use filter=sigma")
    if way == "confidence":
        return np.asarray(outputs.max(axis=1) >= threshold)
    return np.asarray(outputs.argmax(axis=1) == gold.argmax(axis=1))


def distinct(neighbours: NDArray[np.intp]) -> NDArray[np.intp]:
    """Distinct rows of the pool among the neighbours (n, k) of queries, ascending."""
    return np.unique(neighbours[neighbours != ABSENT])


def select(
    neighbours: NDArray[np.intp],
    outputs: Floats,
    gold: Floats,
    way: Filter,
    *,
    classes: bool,
    sigma: float = np.inf,
    threshold: float = 0.0,
) -> Selection:
    """Filter the neighbours of queries; a text that one query at least keeps is learnt from once.

    Args:
        neighbours: Rows of the pool (n, k), −1 where there is none.
        outputs: What the labeller makes of the distinct rows, ascending, (u, o).
        gold: Labels of the queries, (n, o).
        way: The filter.
        classes: Whether the labels are classes.
        sigma: See ``believed``.
        threshold: See ``believed``.

    Raises:
        CellError: As ``believed``.
    """
    rows = distinct(neighbours)
    query, rank = np.nonzero(neighbours != ABSENT)
    place = np.searchsorted(rows, neighbours[query, rank])
    keep = believed(
        way,
        outputs[place],
        gold[query],
        classes=classes,
        sigma=sigma,
        threshold=threshold,
    )
    kept = np.zeros(len(rows), dtype=np.bool_)
    kept[place[keep]] = True
    return Selection(rows, kept, len(place), int(keep.sum()))
