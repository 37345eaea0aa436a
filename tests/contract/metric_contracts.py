"""What every public function of the metrics promises: an entry of ``CONTRACTS`` each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.metrics.agreement import correlations, disagreement, kappa, q_statistic
from bench.metrics.alignment import alignment, uniformity
from bench.metrics.classification import auroc_replicates, label_replicates, log_losses
from bench.metrics.clusters import bcubed_f1, homogeneity_completeness, v_measures
from bench.metrics.cosine import cosine_float64, cosine_mteb, settled
from bench.metrics.intrinsic_dimension import (
    covariance_spectrum,
    different_neighbours,
    levina_bickel,
    nearest_distances,
    participation_ratio,
    pca_dimension,
    top_share,
    twonn,
    twonn_fit,
)
from bench.metrics.isotropy import isoscore, mean_cosine, partition_isotropy
from bench.metrics.pearson import pearson
from bench.metrics.ranking import average_precision, precision_at, ranking, reciprocal_rank
from bench.metrics.retrieval import (
    mean_precision,
    ndcg_at,
    precision_of_first,
    recall_at,
    reciprocal_rank_at,
)
from bench.metrics.similarity import similarities
from bench.metrics.singular_values import (
    condition_number,
    effective_rank,
    numerical_rank,
    singular_entropy,
    singular_values,
    token_similarity,
)
from bench.metrics.spearman import spearman
from bench.metrics.thresholds import best_thresholds
from bench.metrics.vectors import as_float64, squared_distances, unit_rows

N, D, CLASSES = 30, 4, 3
FOUND = 5
ONCE = np.ones((1, N), np.int16)
WORST_LOG_LOSS = 36.05
Array = NDArray[Any]
Rng = np.random.Generator
Arguments = tuple[Array, ...]
Move = Literal["scale", "rotation", "shift", "monotone"]


@dataclass(frozen=True)
class Contract:
    """What a metric promises.

    Attributes:
        metric: The metric, of arrays alone.
        draw: Makes arguments of it, each with an item a row.
        low: Its least value.
        high: Its largest.
        best: Arguments whose value is ``high``, or ``low`` where ``higher`` is false.
        worst: Those of the other end.
        higher: Whether higher values are better.
        nan: What a NaN in the first argument does: it is refused, or comes out, or ranks as the
            lowest score. None where no argument holds floats, and for probabilities to rank by,
            which tasks check.
        order: Whether the order of the items counts for nothing, or shows in the result alone.
        moves: What may be done to all arguments of floats and changes nothing.
    """

    metric: Callable[..., Any]
    draw: Callable[[Rng], Arguments]
    low: float = -np.inf
    high: float = np.inf
    best: Arguments | None = None
    worst: Arguments | None = None
    higher: bool = True
    nan: Literal["refused", "nan", "last"] | None = "refused"
    order: Literal["same", "follows", "counts"] = "same"
    moves: tuple[Move, ...] = ()


def vectors(rng: Rng) -> Array:
    return np.asarray(rng.normal(size=(N, D)).astype(np.float32))


def one(rng: Rng) -> Arguments:
    return (vectors(rng),)


def two(rng: Rng) -> Arguments:
    return vectors(rng), vectors(rng)


def numbers(rng: Rng) -> Arguments:
    return rng.normal(size=N), rng.normal(size=N)


def flags(rng: Rng) -> Arguments:
    # Both of each value, and each pair of values, so that no agreement is undefined.
    first, second = rng.random(N) < 0.5, rng.random(N) < 0.5
    first[:4], second[:4] = (True, True, False, False), (True, False, True, False)
    return first, second


def scored(rng: Rng) -> Arguments:
    """Scores that often tie, and which of the items are relevant."""
    return rng.integers(0, 6, N).astype(np.float64), flags(rng)[0]


def named(rng: Rng) -> Arguments:
    """Labels and clusters."""
    labels = rng.permutation(np.arange(N, dtype=np.intp) % CLASSES)
    return labels, rng.integers(0, CLASSES, N).astype(np.intp)


def probable(rng: Rng) -> Arguments:
    """Probabilities of classes, and the right class."""
    return rng.dirichlet(np.ones(CLASSES), N), rng.permutation(np.arange(N) % CLASSES)


def found(rng: Rng) -> Arguments:
    """Which of the first documents of each query are relevant, and how many are."""
    relevant = rng.random((N, FOUND)) < 0.3
    return relevant, relevant.sum(axis=1) + rng.integers(0, 3, N)


def graded(rng: Rng) -> Arguments:
    """Grades of the first documents of each query, and its best judged ones."""
    grades = rng.integers(-1, 4, (N, FOUND))
    return grades, -np.sort(-np.maximum(grades, 0), axis=1)


X, Y = two(np.random.default_rng(0))
SPHERE = unit_rows(vectors(np.random.default_rng(1)))
LABELS = named(np.random.default_rng(0))[0]
ALIKE = np.zeros(N, np.intp)
CERTAIN = np.eye(CLASSES)[LABELS]
RISING = np.arange(N, dtype=np.float64)
HALF = RISING >= N / 2
# Places on the axes, all directions alike.
AXES = np.vstack([np.eye(D), -np.eye(D)] * 4)
LINE = np.outer(RISING + 1, np.ones(D))


def of_spectrum(measure: Callable[[Array], float]) -> Callable[[Array], float]:
    return lambda x: measure(covariance_spectrum(x))


def of_neighbours(measure: Callable[[Array], Any]) -> Callable[[Array], Any]:
    return lambda x: measure(nearest_distances(x, neighbours=5))


def of_singular_values(measure: Callable[[Array], float]) -> Callable[[Array], float]:
    return lambda x: measure(singular_values(x))


def of_items(metric: Callable[..., Any]) -> Callable[..., Any]:
    """A metric of resamples, for the items as they are."""
    return lambda labels, clusters: metric(labels, clusters, ONCE)


SHAPE: tuple[Move, ...] = ("scale", "rotation", "shift")
DIRECTION: tuple[Move, ...] = ("scale", "rotation")
CLUSTERED = partial(Contract, draw=named, low=0, high=1, best=(LABELS, LABELS), nan=None)
RANKED = partial(
    Contract,
    draw=scored,
    low=0,
    high=1,
    best=(RISING, HALF),
    nan="last",
    moves=("scale", "shift", "monotone"),
)
CORRELATED = partial(
    Contract, draw=numbers, low=-1, high=1, best=(RISING, RISING), worst=(RISING, -RISING)
)
ALL, NONE = np.ones((N, FOUND), bool), np.zeros((N, FOUND), bool)
OF_ALL = np.full(N, FOUND)
SEARCHED = partial(
    Contract,
    draw=found,
    low=0,
    high=1,
    best=(ALL, OF_ALL),
    worst=(NONE, OF_ALL),
    nan=None,
    order="follows",
)
CONTRACTS: Mapping[Callable[..., Any], Contract] = {
    correlations: CORRELATED(correlations, nan="nan", moves=("scale", "shift")),
    pearson: CORRELATED(pearson, nan="nan", moves=("scale", "shift")),
    spearman: CORRELATED(spearman, nan="nan", moves=("scale", "shift", "monotone")),
    disagreement: Contract(
        disagreement, flags, 0, 1, (HALF, HALF), (HALF, ~HALF), higher=False, nan=None
    ),
    q_statistic: Contract(q_statistic, flags, -1, 1, (HALF, HALF), (HALF, ~HALF), nan=None),
    kappa: Contract(kappa, flags, -1, 1, (HALF, HALF), (HALF, ~HALF), nan=None),
    alignment: Contract(alignment, two, 0, 4, (X, X), (X, -X), higher=False, moves=DIRECTION),
    uniformity: Contract(uniformity, one, -8, 0, worst=(LINE,), higher=False, moves=DIRECTION),
    label_replicates: Contract(
        lambda predicted, gold: label_replicates(predicted, gold, CLASSES, ONCE),
        named,
        0,
        1,
        (LABELS, LABELS),
        ((LABELS + 1) % CLASSES, LABELS),
        nan=None,
    ),
    log_losses: Contract(
        log_losses,
        probable,
        0,
        WORST_LOG_LOSS,
        (CERTAIN, LABELS),
        higher=False,
        nan="nan",
        order="follows",
    ),
    auroc_replicates: Contract(
        lambda values, gold: auroc_replicates(values, gold, ONCE),
        probable,
        0,
        1,
        (CERTAIN, LABELS),
        (1 - CERTAIN, LABELS),
        nan=None,
        moves=("scale", "shift", "monotone"),
    ),
    v_measures: CLUSTERED(of_items(v_measures), worst=(LABELS, ALIKE)),
    homogeneity_completeness: CLUSTERED(of_items(homogeneity_completeness)),
    bcubed_f1: CLUSTERED(bcubed_f1, order="follows"),
    cosine_float64: Contract(
        cosine_float64, two, -1, 1, (X, X), (X, -X), order="follows", moves=DIRECTION, nan="nan"
    ),
    cosine_mteb: Contract(
        cosine_mteb, two, -1, 1, (X, X), (X, -X), order="follows", moves=DIRECTION
    ),
    settled: Contract(settled, lambda rng: numbers(rng)[:1], nan="nan", order="follows"),
    similarities: Contract(lambda a, b: similarities(a, b, mteb=True), two, order="follows"),
    nearest_distances: Contract(
        of_neighbours(lambda nearest: nearest),
        one,
        low=0,
        order="follows",
        moves=("rotation", "shift"),
    ),
    different_neighbours: Contract(
        lambda x: different_neighbours(x, neighbours=5)[1],
        one,
        low=0,
        order="follows",
        moves=("rotation",),
    ),
    twonn: Contract(of_neighbours(twonn), one, low=0, moves=SHAPE),
    twonn_fit: Contract(of_neighbours(twonn_fit), one, low=0, moves=SHAPE),
    levina_bickel: Contract(of_neighbours(levina_bickel), one, low=0, moves=SHAPE),
    covariance_spectrum: Contract(covariance_spectrum, one, low=0, moves=("rotation", "shift")),
    participation_ratio: Contract(
        of_spectrum(participation_ratio), one, 1, D, (AXES,), (LINE,), moves=SHAPE
    ),
    top_share: Contract(
        of_spectrum(top_share), one, 1 / D, 1, (AXES,), (LINE,), higher=False, moves=SHAPE
    ),
    pca_dimension: Contract(of_spectrum(pca_dimension), one, 1, D, (AXES,), (LINE,), moves=SHAPE),
    isoscore: Contract(isoscore, one, 0, 1, (AXES,), (LINE,), moves=SHAPE),
    mean_cosine: Contract(mean_cosine, one, -1, 1, worst=(LINE,), higher=False, moves=DIRECTION),
    singular_values: Contract(singular_values, one, low=0, moves=("rotation",)),
    numerical_rank: Contract(
        of_singular_values(partial(numerical_rank, longest=N)),
        one,
        1,
        D,
        (AXES,),
        (LINE,),
        moves=DIRECTION,
    ),
    singular_entropy: Contract(
        of_singular_values(singular_entropy),
        one,
        0,
        np.log(D),
        (AXES,),
        (LINE,),
        moves=DIRECTION,
    ),
    condition_number: Contract(
        of_singular_values(partial(condition_number, longest=N)),
        one,
        1,
        best=(AXES,),
        higher=False,
        moves=DIRECTION,
    ),
    token_similarity: Contract(
        lambda x: token_similarity([x[:1], x[: N // 2], x[N // 2 :]]),
        one,
        -1,
        1,
        worst=(LINE,),
        higher=False,
        order="counts",
        moves=DIRECTION,
    ),
    effective_rank: Contract(
        effective_rank, one, 1, D, (AXES,), (LINE,), moves=("scale", "rotation")
    ),
    partition_isotropy: Contract(partition_isotropy, one, 0, 1, (AXES,), moves=("rotation",)),
    average_precision: RANKED(average_precision),
    reciprocal_rank: RANKED(reciprocal_rank),
    precision_at: RANKED(partial(precision_at, cut=5), worst=(RISING, ~HALF)),
    ranking: Contract(
        partial(ranking, ties="optimistic"),
        scored,
        0,
        N - 1,
        nan="last",
        order="counts",
        moves=("scale", "shift", "monotone"),
    ),
    best_thresholds: RANKED(best_thresholds),
    ndcg_at: SEARCHED(
        partial(ndcg_at, cut=3),
        draw=graded,
        best=(ALL.astype(int), ALL.astype(int)),
        worst=(NONE.astype(int), ALL.astype(int)),
    ),
    mean_precision: SEARCHED(mean_precision),
    recall_at: SEARCHED(partial(recall_at, cut=FOUND)),
    reciprocal_rank_at: SEARCHED(lambda relevant, total: reciprocal_rank_at(relevant, 3)),
    precision_of_first: SEARCHED(lambda relevant, total: precision_of_first(relevant, 3)),
    as_float64: Contract(as_float64, one, order="follows"),
    unit_rows: Contract(unit_rows, one, -1, 1, order="follows", moves=("scale",)),
    squared_distances: Contract(
        lambda x: np.vstack([block for _, block in squared_distances(x)]),
        one,
        low=0,
        order="counts",
        moves=("rotation", "shift"),
    ),
}
