"""Two encoders whose vectors are added (JTCSE, arXiv 2505.02366), as one sentence transformer.

It is a chain of modules of the library alone, as the library loads classes of other packages with
``trust_remote_code`` only: the vectors of the first tower wait under a name that the pooling of
the second one concatenates with its own, and a constant layer adds both halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import CNN, Dense, Pooling, Transformer
from torch import Tensor, nn

from bench.core.errors import UsageError

TowerPair = tuple[Tensor, Tensor]
POOLINGS = ("cls", "mean")
# What the library's pooling takes for the vector of the first token where it is there.
_WAITING = "cls_token_embeddings"


@dataclass(frozen=True)
class TwinVectors:
    """What the towers of a twin make of a batch.

    Attributes:
        own: Pooled vectors of both towers, (B, u) each.
        crossed: Pooled outputs of the cross-attention of both towers, (B, u) each, or None.
    """

    own: TowerPair
    crossed: TowerPair | None


@dataclass(frozen=True)
class _TwinModules:
    transformers: tuple[Any, Any]
    pooling: Any


def join_towers(first: SentenceTransformer, second: SentenceTransformer) -> SentenceTransformer:
    """Make the model whose vectors are the sums of those of two encoders, which it shares.

    The sums are of vectors as they are, not normalised.

    Args:
        first: A transformer of the BERT family and a pooling, ``cls`` or ``mean``.
        second: Another one of the same size, vocabulary and pooling.

    Raises:
        UsageError: An encoder is not of the BERT family, or they do not fit each other.
        ValueError: They are not made of a transformer and one of these poolings.
    """
    modes = {tuple(getattr(module, "pooling_mode", "") for module in (first[1], second[1]))}
    if not modes <= {(mode, mode) for mode in POOLINGS} or {len(first), len(second)} != {2}:
        raise ValueError(f"towers are a transformer and the same pooling, one of {POOLINGS}")
    _refuse_misfits(first, second)
    pooling: Any = first[1]
    transformer: Any = second[0]
    width = int(pooling.embedding_dimension)
    wait = _constant_dense(torch.eye(width), _WAITING)
    add = _constant_dense(torch.cat([torch.eye(width)] * 2, dim=1))
    modules = [first[0], pooling, wait, transformer]
    if pooling.pooling_mode == "cls":
        modules.append(_first_token(width, transformer.config.max_position_embeddings))
    modules += [Pooling(width, ("cls", "mean")), add]
    return SentenceTransformer(modules=modules, device=str(first.device))


def towers(twin: SentenceTransformer) -> tuple[SentenceTransformer, SentenceTransformer]:
    """Take a twin apart into two plain encoders, which share its weights.

    Raises:
        TypeError: The model is not what ``join_towers`` makes.
    """
    modules = _twin_modules(twin)
    width, mode = modules.pooling.embedding_dimension, modules.pooling.pooling_mode
    first, second = (
        SentenceTransformer(modules=[transformer, Pooling(width, mode)], device=str(twin.device))
        for transformer in modules.transformers
    )
    return first, second


class TwinPass:
    """Runs a twin and returns what its towers make on the way, cross-attention included.

    Only the last layers attend across: the main path stays as it is, so that what earlier layers
    would attend to could change nothing.

    Args:
        twin: What ``join_towers`` made.
        cross_attention: Whether to compute it.

    Raises:
        TypeError: The model is not a twin.
        UsageError: A tower is not of the BERT family.
    """

    def __init__(self, twin: SentenceTransformer, *, cross_attention: bool) -> None:
        self._pooling = _twin_modules(twin).pooling
        self._layers = tuple(_last_layer(tower) for tower in _twin_modules(twin).transformers)
        self._cross_attention = cross_attention

    def __call__(self, model: nn.Module, features: Mapping[str, Any]) -> TwinVectors:
        """Encode a batch.

        Args:
            model: The twin itself, or what wraps it for several processes.
            features: Tokens (B, L).
        """
        mask = features["attention_mask"]
        with self._listening() as seen:
            model(dict(features))
        (into_first, out_of_first), (into_second, out_of_second) = seen
        own = self._pooled(out_of_first, mask), self._pooled(out_of_second, mask)
        if not self._cross_attention:
            return TwinVectors(own, None)
        first, second = self._layers
        crossed = (
            self._pooled(cross_attend(first, second, into_first, into_second, mask), mask),
            self._pooled(cross_attend(second, first, into_second, into_first, mask), mask),
        )
        return TwinVectors(own, crossed)

    @contextmanager
    def _listening(self) -> Iterator[list[TowerPair]]:
        seen: list[TowerPair] = []

        def listen(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            seen.append((args[0], output))

        hooks = [layer.register_forward_hook(listen) for layer in self._layers]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def _pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        features = {"token_embeddings": states, "attention_mask": mask}
        vectors: Tensor = self._pooling(features)["sentence_embedding"]
        return vectors


def cross_attend(layer: Any, other: Any, states: Tensor, others: Tensor, mask: Tensor) -> Tensor:
    """Let the tokens of one tower attend to those of the other, with the layers' own weights.

    It is LN(X + softmax((X W_Q)(Y W_K')ᵀ / √d) (Y W_V') W_O), with W and LN of one layer and W'
    of the other. The paper's own wiring is not published; this adds no parameters.

    Args:
        layer: Layer of a BERT.
        other: Layer of the other tower's BERT, of the same size.
        states: What goes into the layer, X (B, L, u).
        others: What goes into the other layer, Y (B, L, u).
        mask: 1 for tokens, 0 for padding (B, L).

    Returns:
        States (B, L, u).
    """
    attention = layer.attention
    weights = attention.self.dropout(cross_weights(layer, other, states, others, mask))
    values = _heads(other.attention.self.value(others), attention.self)
    context = (weights @ values).transpose(1, 2).flatten(2)
    crossed: Tensor = attention.output(context, states)
    return crossed


def cross_weights(layer: Any, other: Any, states: Tensor, others: Tensor, mask: Tensor) -> Tensor:
    """Compute the attention of ``cross_attend``, (B, heads, L, L), each row of sum 1."""
    attention = layer.attention.self
    queries = _heads(attention.query(states), attention)
    keys = _heads(other.attention.self.key(others), attention)
    scores = queries @ keys.transpose(2, 3) / attention.attention_head_size**0.5
    weights: Tensor = scores.masked_fill(mask[:, None, None, :] == 0, float("-inf")).softmax(-1)
    return weights


def _heads(states: Tensor, attention: Any) -> Tensor:
    """Split (B, L, u) into (B, heads, L, u / heads)."""
    split = states.view(*states.shape[:2], -1, attention.attention_head_size)
    return split.transpose(1, 2)


def _twin_modules(twin: SentenceTransformer) -> _TwinModules:
    match list(twin):
        case [
            Transformer() as first,
            Pooling() as pooling,
            Dense(module_output_name="cls_token_embeddings"),
            Transformer() as second,
            *_,
            Dense(),
        ]:
            return _TwinModules((first, second), pooling)
    raise TypeError("the model is not a twin")


def _refuse_misfits(first: SentenceTransformer, second: SentenceTransformer) -> None:
    sizes = []
    for tower in (first, second):
        _last_layer(tower[0])
        transformer: Any = tower[0]
        config = transformer.auto_model.config
        sizes.append((config.hidden_size, config.num_attention_heads))
    if sizes[0] != sizes[1]:
        told = " and ".join(f"{width} in {heads} heads" for width, heads in sizes)
        raise UsageError(f"the towers of a twin have {told}; give them bases of one size")
    if first.tokenizer.get_vocab() != second.tokenizer.get_vocab():
        raise UsageError(
            "the towers of a twin have different vocabularies; give them bases with the same one"
        )


def _last_layer(transformer: Any) -> Any:
    model = getattr(transformer, "auto_model", None)
    layers = getattr(getattr(model, "encoder", None), "layer", None)
    attention = getattr(layers[-1], "attention", None) if layers else None
    # Others of the same outline name their projections, or place their norms, otherwise.
    alike = hasattr(getattr(attention, "self", None), "query") and hasattr(
        getattr(attention, "output", None), "LayerNorm"
    )
    if layers is None or not alike:
        kind = type(transformer if model is None else model).__name__
        raise UsageError(f"a twin takes bases of the BERT family, but {kind} is not in it")
    return layers[-1]


def _constant_dense(weight: Tensor, output: str | None = None) -> Any:
    layer = Dense(
        weight.shape[1],
        weight.shape[0],
        bias=False,
        activation_function=nn.Identity(),
        init_weight=weight,
        module_output_name=output,
    )
    return layer.requires_grad_(False)


def _first_token(width: int, longest: int) -> Any:
    """Cut token states (B, L, u) to those of the first token, (B, 1, u), for L up to ``longest``.

    The pooling of the library cannot do it here, as it takes the waiting vector for that token's.
    """
    step: Any = CNN(width, width, kernel_sizes=[1], stride_sizes=[longest])
    with torch.no_grad():
        step.convs[0].weight.copy_(torch.eye(width)[:, :, None])
        step.convs[0].bias.zero_()
    return step.requires_grad_(False)
