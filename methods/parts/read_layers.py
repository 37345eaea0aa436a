"""Outputs of a decoder's layers, from one forward pass that ends behind the last that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from torch import Tensor, nn

from bench.models.layers import find_blocks


class _LayerReached(Exception):  # noqa: N818 - no error: the layer that is asked for is done
    """Ends a forward pass."""


def states_at(backbone: Any, features: Mapping[str, Tensor], layer: int) -> Tensor:
    """Run a model up to a layer, and no further.

    Args:
        backbone: The decoder, of L layers.
        features: What it is called with, ``input_ids`` (B, T) among it.
        layer: Number of layers to compute, 0 to L.

    Returns:
        Their output (B, T, h): entry ``layer`` of what transformers calls hidden states, whose
        last one has gone through the final norm.
    """
    (states,) = read_layers(backbone, features, [layer], lambda states: states)
    return states


def read_layers(
    backbone: Any,
    features: Mapping[str, Tensor],
    layers: Sequence[int],
    read: Callable[[Tensor], Tensor],
) -> list[Tensor]:
    """Run a model once up to the last of some layers, and read what each of them returns.

    Args:
        backbone: The decoder, of L layers.
        features: What it is called with, ``input_ids`` (B, T) among it.
        layers: Numbers of layers, each from 0 to L.
        read: Takes out of an output (B, T, h) what is kept of it, at once.

    Returns:
        What was read of each, in the order of ``layers``.
    """
    blocks = find_blocks(backbone)[1]
    last, kept = max(layers), dict[int, Tensor]()

    def look(module: nn.Module, args: Any, kwargs: Any, *, layer: int) -> None:
        kept[layer] = read(layer_input(args, kwargs))
        if layer == last:
            raise _LayerReached

    with ExitStack() as hooks:
        for layer in {*layers} - {len(blocks)}:
            # Before the input of the next layer is edited.
            hook = blocks[layer].register_forward_pre_hook(
                partial(look, layer=layer), with_kwargs=True, prepend=True
            )
            hooks.callback(hook.remove)
        try:
            output = backbone(**features, use_cache=False)
            kept[len(blocks)] = read(output.last_hidden_state)
        except _LayerReached:
            pass
    return [kept[layer] for layer in layers]


def layer_input(args: Any, kwargs: Any) -> Tensor:
    """States (B, T, h) that a layer is called with, first or by name as its model does."""
    states: Tensor = args[0] if args else kwargs["hidden_states"]
    return states
