"""Token prepending: decoders whose early layers show a sentence its own summary (arXiv 2412.11556).

A placeholder stands before the sentence. Before each of some early layers its state becomes that
of the last token, which has seen the whole sentence, so that all tokens of the sentence can attend
to it in spite of the causal mask. The model itself stays as it is: hooks do all of this while a
context is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.methods.parts.prompts import Init, Placeholder
from bench.methods.parts.read_layers import layer_input
from bench.models.layers import find_blocks

# That of the authors' code, where it seeds a GPU only.
SEED = 3407


def placeholder_vector(
    backbone: Any, tokenizer: Any, init: Init = "normal", seed: int = SEED
) -> Tensor:
    """Embedding of the placeholder (h,), of which the paper finds no one better (Table 4).

    Where a model scales its embeddings, as Gemma does, it is scaled too.

    Args:
        backbone: The decoder.
        tokenizer: Its tokenizer, which only ``space`` asks.
        init: N(0, 1), zeros, ones, the embedding of the token that is a space, or uniform. Of the
            last the paper does not say the range; 0 to 1 is our choice.
        seed: Seed of what is drawn.

    Raises:
        UsageError: The tokenizer has no token that is a space.
    """
    embedding = backbone.get_input_embeddings()
    generator = torch.Generator().manual_seed(seed)
    width = embedding.weight.shape[1]
    match init:
        case "normal":
            vector = torch.randn(width, generator=generator)
        case "uniform":
            vector = torch.rand(width, generator=generator)
        case "zeros":
            vector = torch.zeros(width)
        case "ones":
            vector = torch.ones(width)
        case "space":
            vector = embedding.weight[_space(tokenizer)].detach().float().cpu()
    scaled: Tensor = vector * getattr(embedding, "scalar_embed_scale", 1.0)
    return scaled


def _space(tokenizer: Any) -> int:
    """Id of the token that is a space, as SentencePiece, byte-level BPE or neither writes it."""
    vocabulary = tokenizer.get_vocab()
    for piece in ("▁", "Ġ", " "):
        if piece in vocabulary:
            return int(vocabulary[piece])
    raise UsageError(
        "token-prepending: placeholder_init=space needs a token that is a space, and the base's "
        "tokenizer has none; choose another placeholder_init"
    )


def own_places(is_placeholder: Tensor, placeholder: Placeholder) -> Tensor:
    """Columns of a prompt's own placeholders in each row, int64 (B, n).

    A tokenizer may make more of them out of a text's look-alikes, which are left alone.

    Args:
        is_placeholder: Where any is, bool (B, T).
        placeholder: Which of them are the prompt's: the last n where it stands behind the
            sentence, else the first n.
    """
    numbers = is_placeholder.cumsum(1)
    if placeholder.position == "after-sentence":
        own = is_placeholder & (numbers > numbers[:, -1:] - placeholder.count)
    else:
        own = is_placeholder & (numbers <= placeholder.count)
    return own.nonzero()[:, 1].reshape(len(own), placeholder.count)


@contextmanager
def prepending(
    backbone: Any, places: Tensor, vector: Tensor, layers: Iterable[int]
) -> Iterator[None]:
    """Show some of a model's layers the last token's state in the place of the placeholder's.

    While the context is open, the embeddings at ``places`` are ``vector``, and the inputs of the
    layers have there what they have in the last column. The model's weights and its other states
    stay as they are, and afterwards nothing is left of it.

    Args:
        backbone: The decoder.
        places: Columns of the placeholders in each row, int64 (B, n); rows are padded on the
            left.
        vector: Embedding of the placeholder (h,).
        layers: Layers, from 0, whose input is edited.
    """
    rows = torch.arange(len(places), device=places.device)[:, None]

    def embed(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        embedded = output.clone()
        embedded[rows, places] = vector.to(output)
        return embedded

    def copy_last(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        states = layer_input(args, kwargs).clone()
        # Without a copy of the right side too, the write would overlap what it reads.
        states[rows, places] = states[:, -1:].clone()
        if args:
            return (states, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": states}

    blocks = find_blocks(backbone)[1]
    with ExitStack() as hooks:
        hooks.callback(backbone.get_input_embeddings().register_forward_hook(embed).remove)
        for layer in layers:
            hook = blocks[layer].register_forward_pre_hook(copy_last, with_kwargs=True)
            hooks.callback(hook.remove)
        yield
