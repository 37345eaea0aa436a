"""Several checkpoints of one start, merged into one: soups and delta-guided fusion.

Model Soups: Wortsman et al., ICML 2022, arXiv 2203.05482. Fusion guided by how far each parameter
has moved: CoDiEmb, arXiv 2508.11442, whose formula was not available; the rule here is our own.
Tensors of whole numbers, such as positions, are not merged but those of the first checkpoint.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.core.errors import DataError
from bench.core.files import write_atomic
from bench.training.ranks import is_first

State = Mapping[str, Tensor]
Granularity = Literal["model", "layer", "tensor", "element"]
_SUFFIX = ".safetensors"
_BLOCK = re.compile(r"(.*\.\d+)\.")
_TINY = torch.finfo(torch.float64).tiny


class KeepCheckpoints(TrainerCallback):
    """Keeps the weights at the ends of equal parts of a training.

    What is kept at a step is written before the trainer's own checkpoint of that step, so that a
    training that goes on from there has it, and one that goes on from before writes the same.

    Args:
        model: The model in training.
        folder: Where to.
        count: Number of parts; fewer where there are fewer steps.
    """

    def __init__(self, model: torch.nn.Module, folder: Path, count: int) -> None:
        self._model = model
        self._folder = folder
        self._count = count

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the weights where a part ends."""
        parts = range(1, self._count + 1)
        if is_first() and state.global_step in {
            math.ceil(state.max_steps * i / self._count) for i in parts
        }:
            weights = {
                name: tensor.detach().cpu().contiguous().clone()
                for name, tensor in self._model.state_dict().items()
            }
            path = self._folder / f"{state.global_step}{_SUFFIX}"
            write_atomic(path, safetensors.torch.save(weights))


def kept_checkpoints(folder: Path) -> list[State]:
    """Load the weights that ``KeepCheckpoints`` has kept, in the order of their steps.

    Raises:
        DataError: There are none.
    """
    paths = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: int(path.stem))
    if not paths:
        raise DataError(f"{folder} has no checkpoints to merge; delete the model to train it again")
    return [safetensors.torch.load_file(path) for path in paths]


def uniform_soup(states: Sequence[State]) -> dict[str, Tensor]:
    """Mean of all checkpoints (table 2 of arXiv 2203.05482)."""

    def mean(name: str) -> Tensor:
        return torch.stack([state[name].double() for state in states]).mean(dim=0)

    return _merged(states, mean)


def greedy_soup(states: Sequence[State], score: Callable[[State], float]) -> dict[str, Tensor]:
    """Mean of the checkpoints that each raise a held-out score (algorithm 1 of arXiv 2203.05482).

    From the best one down, a checkpoint is added where the score of the mean with it is higher
    than that without; so the soup is never worse than the best checkpoint.

    Args:
        states: Checkpoints, at least one.
        score: Held-out score of weights, higher is better.
    """
    alone = [score(state) for state in states]
    first, *others = sorted(range(len(states)), key=lambda i: -alone[i])
    chosen, best = [states[first]], alone[first]
    for i in others:
        together = score(uniform_soup([*chosen, states[i]]))
        if together > best:
            chosen, best = [*chosen, states[i]], together
    return uniform_soup(chosen)


def delta_fusion(
    base: State,
    states: Sequence[State],
    *,
    granularity: Granularity = "tensor",
    power: float = 1.0,
) -> dict[str, Tensor]:
    """Mean of the checkpoints, weighted by how far each one's parameters are from the base's.

    With m_k = ‖θ_k − θ_0‖, the weights are w_k = m_k^power / Σ_j m_j^power and the result is
    θ_0 + Σ_k w_k (θ_k − θ_0), in float64 and then in the dtype of the checkpoints. Where none has
    moved the result is θ_0.

    Args:
        base: Weights θ_0 that all checkpoints started from.
        states: Checkpoints θ_1 … θ_K, at least one.
        granularity: What has weights of its own: the whole model, a layer (tensors whose names
            start alike up to the last number; all others together), a tensor, or each element.
        power: 1 for weights in proportion to the distance, −1 in inverse proportion, 0 for the
            uniform soup.

    Returns:
        The merged weights.
    """
    distances = None if granularity == "element" else _distances(base, states, granularity)

    def fused(name: str) -> Tensor:
        start = base[name].double()
        deltas = torch.stack([state[name].double() - start for state in states])
        moved = deltas.abs() if distances is None else distances[_group(name, granularity)]
        # Not below the least number, so that weights where nothing has moved are all the same.
        weights = (power * moved.clamp(min=_TINY).log()).softmax(dim=0)
        weights = weights.view(len(states), *weights.shape[1:] or [1] * start.dim())
        return start + (weights * deltas).sum(dim=0)

    return _merged(states, fused)


def _distances(base: State, states: Sequence[State], granularity: Granularity) -> dict[str, Tensor]:
    """Distance of each checkpoint, (K,), by the group of tensors that it is measured over."""
    squares: dict[str, Tensor] = {}
    for name, start in base.items():
        if start.is_floating_point():
            moved = torch.stack(
                [(state[name].double() - start.double()).norm() for state in states]
            )
            group = _group(name, granularity)
            squares[group] = squares.get(group, torch.zeros(len(states))) + moved.square()
    return {group: total.sqrt() for group, total in squares.items()}


def _group(name: str, granularity: Granularity) -> str:
    if granularity == "tensor":
        return name
    block = _BLOCK.match(name) if granularity == "layer" else None
    return block[1] if block else ""


def _merged(states: Sequence[State], merge: Callable[[str], Tensor]) -> dict[str, Tensor]:
    return {
        name: merge(name).to(first) if first.is_floating_point() else first.clone()
        for name, first in states[0].items()
    }
