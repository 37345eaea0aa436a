"""How the vectors of a task lie: evenly or not, in how many dimensions, close where they should be.

All methods are measured on the same texts of a task, which follow from its rows alone. Figures of
different tasks, or of different numbers of texts, do not compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.metrics.alignment import alignment, uniformity
from bench.metrics.intrinsic_dimension import (
    NEIGHBOURS,
    covariance_spectrum,
    levina_bickel,
    nearest_distances,
    participation_ratio,
    pca_dimension,
    top_share,
    twonn,
    twonn_fit,
)
from bench.metrics.isotropy import isoscore, mean_cosine, partition_isotropy
from bench.metrics.vectors import squared_distances
from bench.records.entries import GeometryEntry
from bench.tasks.base import PairedTask, Task, Vectors

TEXTS = 2000
PAIRS = 2000
# Of the length of a vector: the same tokens in another batch differ by some float32 roundings.
SAME = 1e-5
_T = TypeVar("_T", float, int, NDArray[np.float64])


def measure(task: Task[Any], vectors: Vectors, seed: int) -> GeometryEntry | None:
    """Measure the vectors of at most 2,000 distinct texts of a task, and of 2,000 positive pairs.

    Vectors of zeros, and those within rounding of an earlier one, are left out; what is not
    defined on the rest is None.

    Args:
        task: The task; positive pairs are known of some kinds only, see ``PairedTask``.
        vectors: Float32 vectors by column of its texts, each of shape (n, d).
        seed: Seed of the draw, the same for all methods.

    Returns:
        The measures, or None where the task has no vectors.
    """
    drawn = _drawn(task, vectors, np.random.default_rng(seed))
    if drawn is None:
        return None
    kept, squared = _different(drawn)
    pairs = _positive_pairs(task, vectors, np.random.default_rng(seed))
    measures = {**_isotropy(kept), **_dimensions(kept, squared)} if len(kept) > 1 else {}
    return GeometryEntry(
        texts=len(drawn),
        vectors=len(kept),
        pairs=0 if pairs is None else len(pairs[0]),
        alignment=None if pairs is None else _defined(alignment, *pairs),
        **measures,
    )


def _drawn(
    task: Task[Any], vectors: Vectors, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    columns = task.texts()
    firsts: dict[str, int] = {}
    for place, text in enumerate(chain.from_iterable(one.texts for one in columns.values())):
        firsts.setdefault(text, place)
    if not firsts:
        return None
    chosen = _sample(len(firsts), TEXTS, rng)
    places = np.fromiter(firsts.values(), dtype=np.intp, count=len(firsts))[chosen]
    ends = np.cumsum([len(column.texts) for column in columns.values()])
    # Texts come in the order of the columns, and so do the places of the first of each.
    rows = np.split(places, np.searchsorted(places, ends[:-1]))
    starts = (0, *ends[:-1])
    named = zip(columns, rows, starts, strict=True)
    return np.concatenate([vectors[name][own - start] for name, own, start in named])


def _sample(n: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of ``most`` of n things in order, or of all where there are fewer."""
    return np.sort(rng.choice(n, most, replace=False)) if n > most else np.arange(n)


def _different(
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Rows that are neither zero nor repeat an earlier one, and their squared distances."""
    nonzero = vectors[vectors.any(axis=1)]
    if len(nonzero) < 2:
        return nonzero, np.zeros((len(nonzero), len(nonzero)))
    squared = squared_distances(nonzero)
    same = SAME**2 * float(np.square(nonzero, dtype=np.float64).sum(axis=1).mean())
    repeats = np.tril(squared <= same, -1).any(axis=1)
    return nonzero[~repeats], squared[np.ix_(~repeats, ~repeats)]


def _positive_pairs(
    task: Task[Any], vectors: Vectors, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    if not isinstance(task, PairedTask):
        return None
    sides = task.positive_pairs()
    chosen = _sample(len(next(iter(sides.values()))), PAIRS, rng)
    a, b = (vectors[name][rows[chosen]] for name, rows in sides.items())
    known = a.any(axis=1) & b.any(axis=1)
    return a[known], b[known]


def _isotropy(vectors: NDArray[np.float32]) -> Mapping[str, float | None]:
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    return {
        "isoscore": _defined(isoscore, vectors),
        "mean_cosine": _defined(mean_cosine, vectors),
        "mean_cosine_centred": _defined(mean_cosine, centred),
        "partition": _defined(partition_isotropy, vectors),
        "uniformity": _defined(uniformity, vectors),
    }


def _dimensions(vectors: NDArray[np.float32], squared: NDArray[np.float64]) -> Mapping[str, Any]:
    two = _defined(nearest_distances, squared, 2)
    many = _defined(nearest_distances, squared, NEIGHBOURS)
    spectrum = _defined(covariance_spectrum, vectors)
    return {
        "twonn": None if two is None else _defined(twonn, two),
        "twonn_fit": None if two is None else _defined(twonn_fit, two),
        "mle": None if many is None else _defined(levina_bickel, many),
        "top_share": None if spectrum is None else top_share(spectrum),
        "pca_dimension": None if spectrum is None else pca_dimension(spectrum),
        "participation_ratio": None if spectrum is None else participation_ratio(spectrum),
    }


def _defined(measure: Callable[..., _T], *arguments: Any) -> _T | None:
    try:
        value = measure(*arguments)
    except ValueError:
        return None
    return value if np.isfinite(value).all() else None
