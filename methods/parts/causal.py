"""A small Llama trained from nothing: its tokenizer, its rows and how well it predicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.core.errors import DataError

PAD, BOS, EOS = "<pad>", "<s>", "</s>"
_SPECIAL = (PAD, BOS, EOS)


def train_tokenizer(
    sentences: Iterable[str], vocabulary: int, positions: int
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE in lower case, which puts BOS in front.

    Args:
        sentences: Text to learn from.
        vocabulary: Most tokens, at least the 256 bytes and three special ones.
        positions: Tokens that a text is cut to.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    fast: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = fast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        model_max_length=positions,
    )
    return made


def make_llama(
    tokenizer: Any, *, layers: int, hidden: int, heads: int, positions: int
) -> LlamaForCausalLM:
    """Make a Llama with random weights from torch's generator, whose head is its embeddings.

    Args:
        tokenizer: Its tokenizer.
        layers: Number of layers.
        hidden: Width of its states, a multiple of twice the heads.
        heads: Heads of the attention.
        positions: Tokens of the longest text.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=8 * hidden // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def join_ids(sentences: Sequence[str], tokenizer: Any) -> list[int]:
    """Ids of all sentences, one after another, each between BOS and EOS."""
    rows = tokenizer(sentences, add_special_tokens=False)["input_ids"]
    first, last = tokenizer.bos_token_id, tokenizer.eos_token_id
    return list(chain.from_iterable([first, *ids, last] for ids in rows))


def full_rows(ids: Sequence[int], length: int) -> list[list[int]]:
    """Cut ids into rows of a length, and leave out what remains.

    Raises:
        DataError: There is not one row.
    """
    rows = [list(ids[end - length : end]) for end in range(length, len(ids) + 1, length)]
    if not rows:
        raise DataError(
            f"the corpus has {len(ids)} tokens, fewer than the {length} of one row; name more text"
        )
    return rows


def perplexity(lm: Any, ids: Sequence[int], length: int) -> float:
    """Perplexity per token of text, in rows as in training.

    Args:
        lm: The model.
        ids: Ids of the text, two at least.
        length: Tokens of a row; the last one may be shorter.

    Returns:
        exp of the mean of -ln p over all tokens but the first one of each row.
    """
    lm.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(ids), length):
            row = torch.tensor(ids[start : start + length], device=lm.device)
            logits = lm(input_ids=row.unsqueeze(0), use_cache=False).logits[0, :-1]
            total += float(cross_entropy(logits.float(), row[1:], reduction="sum"))
            count += len(row) - 1
    return math.exp(total / count)
