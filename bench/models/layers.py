"""Layers of a transformer: found, counted, cut off, and pooled one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

# Norms behind the last block, by the names that GPT-2, OPT, Llama and ModernBERT give them.
_FINAL_NORMS = ("ln_f", "final_layer_norm", "norm", "final_norm")


def is_causal(backbone: Any) -> bool:
    """Whether the tokens of a model see none that follow them.

    It is tried: the second of two tokens leaves the state of the first alone, to the last bit.

    Args:
        backbone: Model of transformers without a head; it is left in eval mode.
    """
    import torch

    backbone.eval()
    with torch.no_grad():
        before_one, before_two = (
            backbone(input_ids=torch.tensor([[0, second]], device=backbone.device))
            for second in (1, 2)
        )
    return torch.equal(before_one.last_hidden_state[:, 0], before_two.last_hidden_state[:, 0])


def find_blocks(backbone: Any) -> tuple[tuple[Any, str], nn.ModuleList]:
    """Find the one list of blocks that is as long as the configuration says.

    Args:
        backbone: Model of transformers without a head.

    Returns:
        The module that has the list and its name there, and the list.

    Raises:
        UsageError: There is none.
    """
    from torch import nn

    wanted = getattr(backbone.config.get_text_config(), "num_hidden_layers", 0)
    for owner in backbone.modules():
        for name, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == wanted:
                return (owner, name), child
    raise UsageError(f"{type(backbone).__name__} has no list of layers that could be cut or read")


def count_layers(model: SentenceTransformer) -> int:
    """Count the blocks of the transformer that a model starts with.

    Raises:
        UsageError: It has no list of blocks.
    """
    return len(find_blocks(_transformer(model))[1])


def cut_layers(model: SentenceTransformer, layers: int) -> None:
    """Cut the blocks above the first ``layers`` off, in place; modules behind them stay.

    Raises:
        UsageError: There are fewer blocks, no list of them, several transformers, or a pooling that
            reads blocks.
    """
    if sum(hasattr(module, "auto_model") for module in model) > 1:
        raise UsageError("a model of several transformers cannot be cut to fewer layers")
    if any(hasattr(module, "layer_weights") for module in model):
        raise UsageError("a model whose pooling reads several layers cannot be cut to fewer")
    (owner, name), blocks = find_blocks(_transformer(model))
    if not 1 <= layers <= len(blocks):
        raise UsageError(f"layers={layers} is out of range: the model has 1 to {len(blocks)}")
    setattr(owner, name, blocks[:layers])
    _transformer(model).config.num_hidden_layers = layers


def layer_vectors(model: SentenceTransformer, features: Mapping[str, Any]) -> list[Tensor]:
    """Vectors of a batch at every layer, from one forward pass.

    A layer's vectors are those of the model cut there: the pooling and what follows it get the
    output of that block, through the norm behind the last block where there is one.

    Args:
        model: Model with L blocks.
        features: Tokens (B, T).

    Returns:
        L + 1 tensors (B, d): of the embedding output, and of the blocks 1 to L.

    Raises:
        UsageError: The transformer has no list of blocks.
    """
    transformer, first = _transformer(model), model[0]
    find_blocks(_transformer(model))
    shown = transformer.config.output_hidden_states
    transformer.config.output_hidden_states = True
    try:
        out = first(dict(features))
    finally:
        transformer.config.output_hidden_states = shown
    states = list(out.pop("all_layer_embeddings"))
    norm = final_norm(transformer)
    if norm is not None:
        states = [*map(norm, states[:-1]), states[-1]]
    return [_after_first(model, {**out, "token_embeddings": state}) for state in states]


def final_norm(transformer: Any) -> nn.Module | None:
    """Find the norm behind the last block of a model of transformers, or None."""
    holders = (transformer, getattr(transformer, "decoder", None))
    norms = (getattr(holder, name, None) for holder in holders for name in _FINAL_NORMS)
    return next((norm for norm in norms if norm is not None), None)


def _after_first(model: SentenceTransformer, features: dict[str, Any]) -> Tensor:
    modules = iter(model)
    next(modules)
    for module in modules:
        features = module(features)
    vectors: Tensor = features["sentence_embedding"]
    return vectors


def _transformer(model: SentenceTransformer) -> Any:
    first: Any = model[0]
    transformer = getattr(first, "auto_model", None)
    if transformer is None:
        raise UsageError(f"{type(first).__name__} is not a transformer; it has no layers")
    return transformer
