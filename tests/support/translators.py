"""Tiny random translation models, made on the spot."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from transformers import MarianConfig, MarianMTModel


def tiny_marian(folder: Path, seed: int) -> Path:
    """Save a random Marian model with a tokenizer of letters and return its folder.

    Its translations are letters that follow from the text and the seed.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True)
    pieces = ["</s>", "<unk>", "<pad>", "▁", *string.ascii_lowercase, *string.digits]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 0)]
    )
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    fast.save_pretrained(folder)
    config = MarianConfig(
        vocab_size=len(pieces),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=256,
        pad_token_id=2,
        eos_token_id=0,
        forced_eos_token_id=0,
        decoder_start_token_id=2,
        init_std=1.0,
        max_length=12,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        MarianMTModel(config).save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": 128}))
    return folder
