"""Two encoders whose vectors are added (JTCSE, arXiv 2505.02366), as one sentence transformer.

It is a chain of modules of the library alone, as the library loads classes of other packages with
``trust_remote_code`` only: the vectors of the first tower wait under a name that the pooling of
the second one concatenates with its own, and a constant layer adds both halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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


@dataclass(frozen=True)
class _Call:
    """What the layers of a tower are called with: states (B, L, u), and all else."""

    states: Tensor
    rest: tuple[Any, ...]
    options: Mapping[str, Any]

    def onward(self, layers: Any, attended: Tensor) -> Tensor:
        """Finish the first layer behind its attention, and run the others."""
        states: Tensor = layers[0].output(layers[0].intermediate(attended), attended)
        for layer in layers[1:]:
            states = layer(states, *self.rest, **self.options)
        return states


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


class WeightedSum:
    """Adds a further encoder to another one: (1 - w) times its vectors + w times the further's.

    Vectors are taken as they are, not normalised, and each model has its own tokenizer.

    Args:
        model: The model.
        further: The further one, with vectors of the same size.
        weight: The weight w of the further one.

    Raises:
        UsageError: Their vectors differ in size.
    """

    def __init__(
        self, model: SentenceTransformer, further: SentenceTransformer, weight: float
    ) -> None:
        sizes = [one.get_embedding_dimension() for one in (model, further)]
        if sizes[0] != sizes[1]:
            raise UsageError(
                f"the twin has {sizes[0]} dimensions and the model beside it {sizes[1]}; "
                "give uc= one of the same size"
            )
        self._parts = ((1 - weight, model), (weight, further))

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode n texts, float32 of shape (n, u); roles make no difference."""
        first, second = (
            weight * model.encode(list(texts), show_progress_bar=False)
            for weight, model in self._parts
        )
        return np.asarray(first + second, dtype=np.float32)


class TwinPass:
    """Runs a twin and returns what its towers make on the way, cross-attention included.

    The paper's layers that attend across are equally spaced and the last among them; how they are
    wired is not published. Here the main path stays as it is, so that each tower is a plain encoder
    at inference, and a second path leaves it at the input of the first of these layers: there
    ``cross_attend`` takes the place of self-attention, in layers between them nothing changes, and
    each layer goes on from what the one before made of both towers. It ends at the attention of the
    last layer, whose output is what is contrasted. With one such layer that is all there is of it.

    Args:
        twin: What ``join_towers`` made.
        cross_layers: Number of layers that attend across, or 0 for no cross-attention.

    Raises:
        TypeError: The model is not a twin.
        UsageError: A tower is not of the BERT family, or the number does not divide that of its
            layers.
    """

    def __init__(self, twin: SentenceTransformer, *, cross_layers: int) -> None:
        modules = _twin_modules(twin)
        self._pooling = modules.pooling
        self._stacks = tuple(_layers(tower) for tower in modules.transformers)
        self._crossings = [
            crossings(len(stack), cross_layers) if cross_layers else [] for stack in self._stacks
        ]

    def __call__(self, model: nn.Module, features: Mapping[str, Any]) -> TwinVectors:
        """Encode a batch.

        Args:
            model: The twin itself, or what wraps it for several processes.
            features: Tokens (B, L).
        """
        mask = features["attention_mask"]
        with self._listening() as (calls, outputs):
            model(dict(features))
        own = self._pooled(outputs[0], mask), self._pooled(outputs[1], mask)
        if not calls:
            return TwinVectors(own, None)
        first, second = self._crossed(calls, mask)
        return TwinVectors(own, (self._pooled(first, mask), self._pooled(second, mask)))

    def _crossed(self, calls: list[_Call], mask: Tensor) -> TowerPair:
        first, second = self._stacks
        x, y = (call.states for call in calls)
        steps = [*zip(*self._crossings, strict=True)]
        for number, (i, j) in enumerate(steps):
            crossed = (
                cross_attend(first[i], second[j], x, y, mask),
                cross_attend(second[j], first[i], y, x, mask),
            )
            if number + 1 < len(steps):
                to_i, to_j = steps[number + 1]
                x = calls[0].onward(first[i:to_i], crossed[0])
                y = calls[1].onward(second[j:to_j], crossed[1])
        return crossed

    @contextmanager
    def _listening(self) -> Iterator[tuple[list[_Call], list[Tensor]]]:
        calls: list[_Call] = []
        outputs: list[Tensor] = []

        def called(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.append(_Call(args[0], args[1:], kwargs))

        def ended(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            outputs.append(output)

        hooks = [stack[-1].register_forward_hook(ended) for stack in self._stacks]
        for stack, own in zip(self._stacks, self._crossings, strict=True):
            hooks += [stack[i].register_forward_pre_hook(called, with_kwargs=True) for i in own[:1]]
        try:
            yield calls, outputs
        finally:
            for hook in hooks:
                hook.remove()

    def _pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        features = {"token_embeddings": states, "attention_mask": mask}
        vectors: Tensor = self._pooling(features)["sentence_embedding"]
        return vectors


def crossings(depth: int, count: int) -> list[int]:
    """Numbers, from 0, of equally spaced layers of which the last one is the last of all.

    Args:
        depth: Number of layers of a tower.
        count: How many of them attend across, at least 1.

    Raises:
        UsageError: ``count`` does not divide ``depth``.
    """
    if depth % count:
        choices = ", ".join(str(n) for n in range(1, depth + 1) if depth % n == 0)
        raise UsageError(
            f"cross_layers={count} does not divide the {depth} layers of a tower; "
            f"choose one of: {choices}"
        )
    return [*range(depth // count - 1, depth, depth // count)]


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
        _layers(tower[0])
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


def _layers(transformer: Any) -> Any:
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
    return layers


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
