"""Vectors at the mask of a prompt: ``This sentence : "X" means [MASK] .`` (arXiv 2201.04337).

It is a chain of modules of the library alone, as for ``bench.methods.parts.twin``: the prompt is
part of the tokenizer, and as it ends in the same tokens behind every sentence, the mask stands a
fixed number of tokens before the last one. A constant convolution moves the states of tokens by
that number, and the pooling takes those that are then at the last token.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import CNN, Pooling, Transformer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from bench.core.errors import UsageError
from bench.training.template import MASK, part_names, prompt_length

BEFORE, BEHIND = 'This sentence : "', '" means {mask} .'


def with_mask_prompt(model: SentenceTransformer) -> SentenceTransformer:
    """Rebuild a model as its transformer, with a prompt around every sentence, read at its mask.

    Prompt and sentence are tokenised apart. Truncation cuts the sentence and never the prompt. A
    mask within the sentence is not the one that is read.

    Args:
        model: Encoder whose tokenizer knows a mask, such as a BERT or RoBERTa. Its transformer is
            that of both, and so is the prompt.

    Returns:
        Model with vectors of the transformer's size u.

    Raises:
        UsageError: The tokenizer knows no mask, or has a prompt already.
    """
    transformer: Any = model[0]
    tokenizer: Any = getattr(transformer, "tokenizer", None)
    if (
        not isinstance(transformer, Transformer)
        or not getattr(tokenizer, "is_fast", False)
        or getattr(tokenizer, "mask_token", None) is None
    ):
        raise UsageError("a prompt with a mask needs a base with a fast tokenizer that knows one")
    if prompt_length(model):
        raise UsageError("a prompt with a mask needs a base without a prompt of its own")
    transformer.processor, behind = _with_prompt(tokenizer)
    shift = len(behind) - 1 - behind.index(tokenizer.mask_token_id)
    width = transformer.get_embedding_dimension()
    modules = [transformer, _later(width, shift), Pooling(width, "lasttoken")]
    return SentenceTransformer(modules=modules, device=str(model.device))


def _with_prompt(tokenizer: Any) -> tuple[Any, list[int]]:
    """A tokenizer that has the prompt, and the tokens behind a sentence, special ones included."""
    start, end = (
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (BEFORE, BEHIND.format(mask=tokenizer.mask_token))
    )
    around = tokenizer("")["input_ids"]
    before, behind = [around[0], *start], [*end, *around[1:]]
    names = part_names(MASK)
    special = [
        {"id": name, "ids": ids, "tokens": tokenizer.convert_ids_to_tokens(ids)}
        for name, ids in zip(names, (before, behind), strict=True)
    ]
    backend = deepcopy(tokenizer.backend_tokenizer)
    backend.post_processor = TemplateProcessing(
        single=[names[0], "$A", names[1]], special_tokens=special
    )
    # The tokenizers of BERT and RoBERTa make their own post-processor where they are loaded.
    cls: Any = PreTrainedTokenizerFast
    generic = cls(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )
    return generic, behind


def _later(width: int, shift: int) -> Any:
    """Give every token the states, of size ``width``, of the one ``shift`` tokens before it."""
    step: Any = CNN(width, width, kernel_sizes=[2 * shift + 1], stride_sizes=[1])
    with torch.no_grad():
        step.convs[0].weight.zero_()
        step.convs[0].weight[:, :, 0].copy_(torch.eye(width))
        step.convs[0].bias.zero_()
    return step.requires_grad_(False)
