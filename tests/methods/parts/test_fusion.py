"""Merging of checkpoints: worked example, identities, soups, and what is kept in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from transformers import TrainerControl, TrainerState

from bench.core.errors import DataError
from bench.methods.parts.fusion import (
    Granularity,
    KeepCheckpoints,
    State,
    delta_fusion,
    greedy_soup,
    kept_checkpoints,
    uniform_soup,
)

GRANULARITIES = ("model", "layer", "tensor", "element")
every = pytest.mark.parametrize("granularity", GRANULARITIES)
powers = pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0])


def random_state(seed: int) -> dict[str, Tensor]:
    """Weights of a small model, with positions."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "0.embeddings.weight": torch.randn(4, 3, generator=generator),
        "0.embeddings.positions": torch.arange(4),
        "0.layer.0.weight": torch.randn(3, 3, generator=generator),
        "0.layer.0.bias": torch.randn(3, generator=generator),
        "0.layer.1.weight": torch.randn(3, 3, generator=generator),
        "0.scale": torch.randn((), generator=generator),
    }


BASE = random_state(0)
STATES = [random_state(seed) for seed in (1, 2, 3)]


def assert_close(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], msg=lambda text, n=name: f"{n}: {text}")


def test_the_worked_example() -> None:
    base, states = {"w": torch.ones(2)}, [torch.tensor([1.1, 1.0]), torch.tensor([1.3, 1.4])]
    named = [{"w": state} for state in states]
    expected = torch.tensor([1.2666667, 1.3333333])
    torch.testing.assert_close(delta_fusion(base, named)["w"], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(uniform_soup(named)["w"], torch.tensor([1.2, 1.2]))
    inverse = delta_fusion(base, named, power=-1)["w"]
    torch.testing.assert_close(inverse, torch.tensor([1.1333333, 1.0666667]), atol=1e-6, rtol=0)
    entries = delta_fusion(base, named, granularity="element")["w"]
    torch.testing.assert_close(entries, torch.tensor([1.25, 1.4]), atol=1e-6, rtol=0)


def test_weights_are_of_what_the_granularity_names() -> None:
    groups = {
        "model": [set(BASE)],
        "layer": [
            {"0.layer.0.weight", "0.layer.0.bias"},
            {"0.layer.1.weight"},
            {"0.embeddings.weight", "0.scale"},
        ],
        "tensor": [{name} for name in BASE],
    }
    for granularity, parts in groups.items():
        found = delta_fusion(BASE, STATES, granularity=cast("Granularity", granularity))
        for part in parts:
            names = [name for name in part if BASE[name].is_floating_point()]
            squares = [
                sum((state[name] - BASE[name]).double().square().sum() for name in names)
                for state in STATES
            ]
            weights = [float(square) ** 0.5 for square in squares]
            for name in names:
                total = sum(w * s[name] for w, s in zip(weights, STATES, strict=True))
                torch.testing.assert_close(found[name], total / sum(weights))


@every
@powers
def test_one_checkpoint_or_the_same_ones_stay(granularity: Granularity, power: float) -> None:
    for states in (STATES[:1], [STATES[0]] * 3):
        found = delta_fusion(BASE, states, granularity=granularity, power=power)
        for name, tensor in found.items():
            assert torch.equal(tensor, STATES[0][name]), name
            assert tensor.dtype == BASE[name].dtype


@every
@powers
def test_equal_distances_are_the_uniform_soup(granularity: Granularity, power: float) -> None:
    generator = torch.Generator().manual_seed(5)
    signs = [torch.randint(0, 2, (4, 3), generator=generator) * 2 - 1 for _ in range(3)]
    base = {"w": torch.ones(4, 3)}
    states = [{"w": 1 + sign / 8} for sign in signs]
    assert_close(
        delta_fusion(base, states, granularity=granularity, power=power), uniform_soup(states)
    )


@every
@powers
def test_order_is_irrelevant_and_weights_are_shares(granularity: Granularity, power: float) -> None:
    found = delta_fusion(BASE, STATES, granularity=granularity, power=power)
    assert_close(delta_fusion(BASE, STATES[::-1], granularity=granularity, power=power), found)
    for name, tensor in found.items():
        columns = torch.stack([state[name] for state in STATES])
        # A mean with shares lies between the lowest and the highest.
        assert (tensor >= columns.amin(dim=0) - 1e-6).all(), name
        assert (tensor <= columns.amax(dim=0) + 1e-6).all(), name
    if power == 0:
        assert_close(found, uniform_soup(STATES))


@every
@powers
def test_what_nobody_moved_stays(granularity: Granularity, power: float) -> None:
    name = "0.layer.1.weight"
    states = [{**state, name: BASE[name]} for state in STATES]
    found = delta_fusion(BASE, states, granularity=granularity, power=power)
    assert torch.equal(found[name], BASE[name])
    everything = delta_fusion(BASE, [BASE, BASE], granularity=granularity, power=power)
    assert all(torch.equal(tensor, BASE[name]) for name, tensor in everything.items())


def test_whole_numbers_are_copied() -> None:
    states = [{**state, "0.embeddings.positions": torch.arange(4) + 7} for state in STATES]
    for found in (uniform_soup(states), delta_fusion(BASE, states)):
        assert found["0.embeddings.positions"].tolist() == [7, 8, 9, 10]


def test_the_greedy_soup_takes_only_what_helps() -> None:
    values = (2.0, -8.0, 0.0, 7.0)
    states = [{"w": torch.tensor([value])} for value in values]
    asked: list[float] = []

    def near_one(state: State) -> float:
        asked.append(state["w"].item())
        return -abs(state["w"].item() - 1.0)

    # 2 and 0 are as good, and the first one starts; 1 is best, and 7 and -8 only harm.
    assert greedy_soup(states, near_one)["w"].item() == 1.0
    assert asked == [*values, 1.0, 3.0, -2.0]
    assert greedy_soup(states[:2], near_one)["w"].item() == 2.0
    # The same again does not raise the score.
    assert greedy_soup([states[0]] * 3, near_one)["w"].item() == 2.0


def test_uniform_soup_is_the_mean_in_any_order() -> None:
    found = uniform_soup(STATES)
    for name in BASE:
        if BASE[name].is_floating_point():
            mean = torch.stack([state[name] for state in STATES]).mean(dim=0)
            torch.testing.assert_close(found[name], mean)
    assert_close(uniform_soup(STATES[::-1]), found)
    assert_close(uniform_soup([STATES[1]] * 3), STATES[1])


@pytest.mark.parametrize(
    ("steps", "count", "ends"), [(10, 5, [2, 4, 6, 8, 10]), (7, 3, [3, 5, 7]), (2, 4, [1, 2])]
)
def test_checkpoints_are_kept_where_parts_end(
    tmp_path: Path, steps: int, count: int, ends: list[int]
) -> None:
    model = torch.nn.Linear(1, 1)
    keep = KeepCheckpoints(model, tmp_path / "kept", count)
    control: Any = TrainerControl()
    for step in range(1, steps + 1):
        torch.nn.init.constant_(model.weight, step)
        keep.on_step_end(None, TrainerState(global_step=step, max_steps=steps), control)
    assert [int(state["weight"]) for state in kept_checkpoints(tmp_path / "kept")] == ends


def test_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no checkpoints to merge"):
        kept_checkpoints(tmp_path)
