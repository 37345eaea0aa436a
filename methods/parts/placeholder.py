"""Token prepending: decoders whose early layers show a sentence its own summary (arXiv 2412.11556).

A placeholder stands before the sentence. Before each of some early layers its state becomes that
of the last token, which has seen the whole sentence, so that all tokens of the sentence can attend
to it in spite of the causal mask. The model itself stays as it is: hooks do all of this while a
context is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.methods.parts.read_layers import layer_input
from bench.models.layers import find_blocks

# That of the authors' code, where it seeds a GPU only.
SEED = 3407


def placeholder_vector(backbone: Any, seed: int = SEED) -> Tensor:
    """Draw the embedding of the placeholder from N(0, 1), (h,); any other serves as well (Table 4).

    Where a model scales its embeddings, as Gemma does, it is scaled too.
    """
    embedding = backbone.get_input_embeddings()
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(embedding.weight.shape[1], generator=generator)
    scaled: Tensor = vector * getattr(embedding, "scalar_embed_scale", 1.0)
    return scaled


@contextmanager
def prepending(
    backbone: Any, places: Tensor, vector: Tensor, start: int, stop: int
) -> Iterator[None]:
    """Show a model's early layers the last token's state in the place of the placeholder's.

    While the context is open, the embeddings at ``places`` are ``vector``, and the inputs of the
    layers ``start`` to ``stop - 1`` have there what they have in the last column. The model's
    weights and its other states stay as they are, and afterwards nothing is left of it.

    Args:
        backbone: The decoder.
        places: Column of the placeholder in each row, int64 (B,); rows are padded on the left.
        vector: Embedding of the placeholder (h,).
        start: First layer, from 0, whose input is edited.
        stop: First layer behind it whose input is not.
    """
    rows = torch.arange(len(places), device=places.device)

    def embed(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        embedded = output.clone()
        embedded[rows, places] = vector.to(output)
        return embedded

    def copy_last(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        states = layer_input(args, kwargs).clone()
        # Without a copy of the right side too, the write would overlap what it reads.
        states[rows, places] = states[:, -1].clone()
        if args:
            return (states, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": states}

    with ExitStack() as hooks:
        hooks.callback(backbone.get_input_embeddings().register_forward_hook(embed).remove)
        for layer in list(find_blocks(backbone)[1])[start:stop]:
            hooks.callback(layer.register_forward_pre_hook(copy_last, with_kwargs=True).remove)
        yield
