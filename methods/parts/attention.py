"""Which tokens a decoder's tokens attend to, changed in some of its layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.methods.parts.read_layers import layer_input
from bench.models.layers import find_blocks


def to_placeholders(places: Tensor, width: int) -> Tensor:
    """Pairs of a token and a placeholder that is not itself, bool (B, 1, T, T).

    A placeholder still attends to itself, so that a row's first token has something to attend to.

    Args:
        places: Columns of the placeholders in each row, int64 (B, n).
        width: Number of columns, T.
    """
    columns = torch.arange(width, device=places.device)
    is_placeholder = (places[:, :, None] == columns).any(1)
    other = columns[:, None] != columns
    return is_placeholder[:, None, None, :] & other


def within(begins: Tensor, ends: Tensor, width: int) -> Tensor:
    """Pairs of tokens of one span, bool (B, 1, T, T).

    Args:
        begins: First column of the span in each row, int64 (B,).
        ends: First column behind it, int64 (B,).
        width: Number of columns, T.
    """
    columns = torch.arange(width, device=begins.device)
    inside = (columns >= begins[:, None]) & (columns < ends[:, None])
    return inside[:, None, :, None] & inside[:, None, None, :]


@contextmanager
def attention_changed(
    backbone: Any, layers: Iterable[int], pairs: Tensor, *, attends: bool
) -> Iterator[None]:
    """Have tokens attend, or not attend, to others in some layers while the context is open.

    Args:
        backbone: The decoder, which attends by torch's attention or its own, not by flash-attn.
        layers: Layers, from 0, where it is so; in the others nothing changes.
        pairs: Token, and what it does or does not attend to, bool (B, 1, T, T).
        attends: Which of both.

    Raises:
        UsageError: Its layers are not told by a mask what to attend to.
    """

    def change(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        states, mask = layer_input(args, kwargs), bound.arguments.get("attention_mask")
        bound.arguments["attention_mask"] = _changed(mask, states, pairs, attends=attends)
        return bound.args, bound.kwargs

    blocks = find_blocks(backbone)[1]
    if "attention_mask" not in inspect.signature(blocks[0].forward).parameters:
        raise UsageError(
            f"token-prepending: the layers of {type(backbone).__name__} take no attention mask, "
            "so that it cannot be changed; leave the option out"
        )
    with ExitStack() as hooks:
        for layer in layers:
            hook = blocks[layer].register_forward_pre_hook(change, with_kwargs=True)
            hooks.callback(hook.remove)
        yield


def _changed(mask: Tensor | None, states: Tensor, pairs: Tensor, *, attends: bool) -> Tensor:
    """A mask as a layer knows it, bool or added to the logits; none at all means causal."""
    if mask is None:
        width = states.shape[1]
        mask = torch.ones(width, width, dtype=torch.bool, device=states.device).tril()[None, None]
    if mask.dtype == torch.bool:
        return mask | pairs if attends else mask & ~pairs
    value = 0.0 if attends else torch.finfo(mask.dtype).min
    return torch.where(pairs, torch.full_like(mask, value), mask)
