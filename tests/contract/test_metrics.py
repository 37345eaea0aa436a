"""Every public function of every metric: range, best and worst, ties, NaN, and what does not count.

What a metric promises is an entry of ``CONTRACTS``; a public function without one fails.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, is_dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

import bench.metrics
from bench.metrics.agreement import correlations
from bench.metrics.classification import auroc_replicates
from bench.metrics.clusters import bcubed_f1, homogeneity_completeness, v_measures
from bench.metrics.pearson import pearson
from bench.metrics.ranking import average_precision, precision_at
from bench.metrics.spearman import spearman
from bench.metrics.thresholds import best_thresholds
from tests.contract.metric_contracts import (
    CLASSES,
    CONTRACTS,
    HALF,
    ONCE,
    RISING,
    Arguments,
    Array,
    Contract,
    D,
    Move,
    N,
    Rng,
    named,
    scored,
)


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
def test_nan_is_refused_or_shows(contract: Contract) -> None:
    if contract.nan is None:
        return
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
