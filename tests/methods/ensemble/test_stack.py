"""Weights of the members (invariants 6, 7 and 8 of the method)."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import CellError
from bench.methods.ensemble.stack import GRID, Stack, combinations
from bench.methods.ensemble.targets import Targets, find_targets


def scores(members: int = 3, n: int = 40, seed: int = 0) -> Stack:
    rng = np.random.default_rng(seed)
    truth = rng.normal(2, 1, size=(n, 1))
    outputs = {f"m{i}": truth + rng.normal(0, i + 1, size=(n, 1)) for i in range(members)}
    return Stack(outputs, truth, classes=False)


def classes(count: int, members: int = 2, n: int = 60) -> Stack:
    rng = np.random.default_rng(count)
    gold = rng.integers(0, count, n)
    outputs = {}
    for i in range(members):
        logits = rng.normal(size=(n, count)) + 2 * np.eye(count)[gold]
        outputs[f"m{i}"] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Stack(outputs, np.eye(count)[gold], classes=True)


@pytest.mark.parametrize("penalty", GRID)
def test_the_regression_is_its_closed_form(penalty: float) -> None:
    stack = scores()
    features, target = stack.features(stack.outputs), stack.targets[:, 0]
    centred, gold = features - features.mean(axis=0), target - target.mean()
    expected = np.linalg.solve(
        centred.T @ centred + penalty * np.eye(features.shape[1]), centred.T @ gold
    )
    model = stack.ridge(penalty)
    np.testing.assert_allclose(model.coef_.ravel(), expected, atol=1e-8)
    np.testing.assert_allclose(
        model.intercept_, target.mean() - features.mean(axis=0) @ expected, atol=1e-8
    )


def test_limits_of_the_penalty() -> None:
    stack = scores()
    features, target = stack.features(stack.outputs), stack.targets[:, 0]
    heavy = stack.ridge(1e12)
    assert np.abs(heavy.coef_).max() < 1e-8
    np.testing.assert_allclose(heavy.predict(features).ravel(), target.mean(), atol=1e-6)
    least, *_ = np.linalg.lstsq(np.c_[features, np.ones(len(features))], target, rcond=None)
    np.testing.assert_allclose(stack.ridge(1e-10).coef_.ravel(), least[:-1], atol=1e-6)


def test_without_a_penalty_no_rescaled_member_is_better_on_the_same_rows() -> None:
    stack = scores()
    features, target = stack.features(stack.outputs), stack.targets[:, 0]
    error = np.mean((stack.ridge(1e-9).predict(features).ravel() - target) ** 2)
    for column in features.T:
        slope, shift = np.polyfit(column, target, 1)
        assert error <= np.mean((slope * column + shift - target) ** 2) + 1e-9


@pytest.mark.parametrize("make", [scores, lambda: classes(2), lambda: classes(3)])
def test_members_that_are_the_same_share_the_weight(make) -> None:  # type: ignore[no-untyped-def] # several stacks
    first = next(iter(make().outputs.values()))
    stack = Stack({"a": first, "b": first}, make().targets, make().classes)
    told = stack.summary()
    assert told["weights"]["a"] == pytest.approx(told["weights"]["b"])
    assert told["shares"] == pytest.approx({"a": 0.5, "b": 0.5})
    assert [*told["path"]] == [str(penalty) for penalty in GRID]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_probabilities_are_finite_and_sum_to_one(count: int) -> None:
    stack = classes(count)
    # Far from what the weights were learned on.
    wild = {name: 3 * outputs - 1 for name, outputs in stack.outputs.items()}
    for combination in combinations(classes=True):
        for outputs in (stack.outputs, wild):
            found = stack.combine(combination, outputs)
            np.testing.assert_allclose(found.sum(axis=1), 1)
            assert (found > 0).all()
            assert np.isfinite(-np.log(found)).all()


def test_ways_to_combine() -> None:
    stack = scores()
    assert stack.best() == "m0"
    np.testing.assert_array_equal(stack.combine("best_single", stack.outputs), stack.outputs["m0"])
    np.testing.assert_allclose(
        stack.combine("mean", stack.outputs), np.mean([*stack.outputs.values()], axis=0)
    )
    with pytest.raises(CellError, match="ensemble=logistic is for classes"):
        stack.combine("logistic", stack.outputs)
    assert "logistic" not in combinations(classes=False)


@pytest.mark.parametrize("make", [scores, lambda: classes(2), lambda: classes(3)])
def test_the_regression_weighs_better_members_more(make) -> None:  # type: ignore[no-untyped-def] # several stacks
    stack = make()
    noise = np.random.default_rng(9).random(stack.targets.shape)
    noise /= noise.sum(axis=1, keepdims=True)
    told = Stack({**stack.outputs, "noise": noise}, stack.targets, stack.classes).summary()
    assert min(told["shares"], key=told["shares"].get) == "noise"
    assert sum(told["shares"].values()) == pytest.approx(1)


def test_the_penalty_can_be_chosen() -> None:
    stack = scores()
    chosen = Stack(stack.outputs, stack.targets, classes=False, penalty=None).summary()
    assert chosen["lambda"] in GRID
    assert stack.summary()["lambda"] == 1.0


def test_targets() -> None:
    assert find_targets([0.5, 1.0]) == Targets(())
    found = find_targets(["b", "a", "b"])
    assert found.classes == ("a", "b")
    assert found.matrix(["b", "a"]).tolist() == [[0, 1], [1, 0]]
    assert found.labels(np.array([[0.2, 0.8], [0.5, 0.5]])) == ["b", "a"]
    graded = find_targets([0.0, 5.0])
    assert graded.matrix([1.5]).tolist() == [[1.5]]
    assert graded.labels(np.array([[2.5]])) == [2.5]
    bins = graded.strata(np.linspace(0, 5, 100)[:, None])
    assert np.bincount(bins).tolist() == [5] * 20
