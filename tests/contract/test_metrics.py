"""Every public function of every metric: range, best and worst, ties, NaN, and what does not count.

What a metric promises is an entry of ``CONTRACTS``; a public function without one fails.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, is_dataclass
from functools import partial
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ortho_group

import bench.metrics
from bench.metrics.agreement import correlations, disagreement, kappa, q_statistic
from bench.metrics.alignment import alignment, uniformity
from bench.metrics.classification import auroc_replicates, label_replicates, log_losses
from bench.metrics.clusters import bcubed_f1, homogeneity_completeness, v_measures
from bench.metrics.cosine import cosine_float64, cosine_mteb, settled
from bench.metrics.intrinsic_dimension import (
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
from bench.metrics.pearson import pearson
from bench.metrics.ranking import average_precision, precision_at, ranking, reciprocal_rank
from bench.metrics.similarity import similarities
from bench.metrics.spearman import spearman
from bench.metrics.thresholds import best_thresholds
from bench.metrics.vectors import as_float64, squared_distances, unit_rows

N, D, CLASSES = 30, 4, 3
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
    return lambda x: measure(nearest_distances(squared_distances(x), neighbours=5))


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
        cosine_float64, two, -1, 1, (X, X), (X, -X), order="follows", moves=DIRECTION
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
    as_float64: Contract(as_float64, one, order="follows"),
    unit_rows: Contract(unit_rows, one, -1, 1, order="follows", moves=("scale",)),
    squared_distances: Contract(
        squared_distances, one, low=0, order="counts", moves=("rotation", "shift")
    ),
}


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(bench.metrics.__path__, "bench.metrics."):
        yield importlib.import_module(found.name)


def public(module: ModuleType) -> list[Callable[..., Any]]:
    """Functions that a module defines for others."""
    return [
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]


def without_a_contract(module: ModuleType) -> list[str]:
    return [one.__name__ for one in public(module) if one not in CONTRACTS]


def flat(result: Any) -> Array:
    """All numbers of a result."""
    if isinstance(result, Mapping):
        result = [*result.values()]
    elif is_dataclass(result) and not isinstance(result, type):
        result = astuple(result)
    return np.asarray(result, dtype=np.float64)


def value(contract: Contract, arguments: Arguments) -> Array:
    return flat(contract.metric(*arguments))


def moved(arguments: Arguments, move: Move, rng: Rng) -> Arguments:
    turn = ortho_group.rvs(D, random_state=rng)
    changes: Mapping[Move, Callable[[Array], Array]] = {
        "scale": lambda x: 3 * x,
        "shift": lambda x: x + 2,
        "rotation": lambda x: (x.astype(np.float64) @ turn).astype(x.dtype),
        "monotone": lambda x: x**3 + x,
    }
    return tuple(changes[move](x) if x.dtype.kind == "f" else x for x in arguments)


MEASURES = pytest.mark.parametrize(
    "contract", [pytest.param(one, id=metric.__name__) for metric, one in CONTRACTS.items()]
)


def seeds(test: Callable[..., None]) -> Callable[..., None]:
    drawn = given(seed=st.integers(0, 10_000))(test)
    return settings(max_examples=20, deadline=None)(drawn)


def test_every_public_function_has_a_contract() -> None:
    assert [name for module in modules() for name in without_a_contract(module)] == []


def test_a_function_without_a_contract_is_found() -> None:
    planted = ModuleType("planted")
    exec("def new(x): return x\ndef _own(x): return x", planted.__dict__)
    assert without_a_contract(planted) == ["new"]


@MEASURES
@seeds
def test_values_are_in_range_and_the_arguments_stay(contract: Contract, seed: int) -> None:
    arguments = contract.draw(np.random.default_rng(seed))
    before = [x.copy() for x in arguments]
    first = value(contract, arguments)
    assert np.isfinite(first).all()
    assert (first >= contract.low - 1e-6).all() and (first <= contract.high + 1e-6).all()
    np.testing.assert_array_equal(value(contract, arguments), first)
    for x, old in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(x, old)


@MEASURES
def test_the_ends_of_the_scale_are_reached(contract: Contract) -> None:
    ends = (contract.high, contract.low) if contract.higher else (contract.low, contract.high)
    for arguments, end in zip((contract.best, contract.worst), ends, strict=True):
        if arguments is not None:
            np.testing.assert_allclose(value(contract, arguments), end, atol=1e-6)


@MEASURES
@seeds
def test_the_order_of_items_counts_as_said(contract: Contract, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arguments, order = contract.draw(rng), rng.permutation(N)
    if contract.order == "counts":
        return
    found, again = (value(contract, given) for given in (arguments, _ordered(arguments, order)))
    if contract.order == "follows":
        axis = found.shape.index(N)
        found = np.take(found, order, axis=axis)
    np.testing.assert_allclose(again, found, atol=1e-6)


def _ordered(arguments: Arguments, order: Array) -> Arguments:
    return tuple(x[order] for x in arguments)


@MEASURES
@seeds
def test_what_does_not_count_changes_nothing(contract: Contract, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arguments = contract.draw(rng)
    for move in contract.moves:
        again = value(contract, moved(arguments, move, rng))
        np.testing.assert_allclose(again, value(contract, arguments), rtol=1e-4, atol=1e-5)


@MEASURES
def test_nan_is_refused_or_shows(contract: Contract, request: pytest.FixtureRequest) -> None:
    if contract.nan is None:
        return
    if contract.metric is cosine_float64:
        reason = "the cosine of a vector with NaN is 0, as if it were a vector of zeros"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    first, *others = contract.draw(np.random.default_rng(0))
    broken = first.copy()
    broken[0] = np.nan
    if contract.nan == "refused":
        with pytest.raises(ValueError, match=r"(?i)finite|nan"):
            contract.metric(broken, *others)
    elif contract.nan == "nan":
        assert np.isnan(value(contract, (broken, *others))).any()
    else:
        lowest = np.nan_to_num(broken, nan=-1)
        expected = value(contract, (lowest, *others))
        np.testing.assert_array_equal(value(contract, (broken, *others)), expected)


@pytest.mark.parametrize("metric", [pearson, spearman, correlations])
def test_a_constant_has_no_correlation(metric: Callable[..., Any]) -> None:
    assert np.isnan(flat(metric(RISING, np.ones(N)))).all()


@pytest.mark.parametrize("metric", [average_precision, partial(precision_at, cut=5)])
@seeds
def test_random_ties_lie_between_those_for_and_against(
    metric: Callable[..., float], seed: int
) -> None:
    scores, relevant = scored(np.random.default_rng(seed))
    lowest, middle, highest = (
        metric(scores, relevant, ties=ties) for ties in ("pessimistic", "realistic", "optimistic")
    )
    assert lowest - 1e-12 <= middle <= highest + 1e-12


def test_scores_that_all_tie_tell_nothing() -> None:
    tied = np.ones(N)
    share = float(HALF.mean())
    assert precision_at(tied, HALF, 5) == pytest.approx(share)
    assert best_thresholds(tied, HALF).accuracy == pytest.approx(max(share, 1 - share))
    assert auroc_replicates(np.full((N, 2), 0.5), HALF.astype(int), ONCE) == pytest.approx([0.5])


@seeds
def test_names_of_clusters_do_not_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, clusters = named(rng)
    renamed = rng.permutation(CLASSES)[clusters]
    for metric in (v_measures, homogeneity_completeness, bcubed_f1):
        contract = CONTRACTS[metric]
        expected = value(contract, (labels, clusters))
        np.testing.assert_allclose(value(contract, (labels, renamed)), expected, atol=1e-12)
