"""A cache of the hub with small models under the ids of published ones."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    BertTokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
)

from tests.support.models import tiny_decoder

COMMIT = "1" * 40
LETTERS = [*string.ascii_lowercase, *string.digits, *string.punctuation]
WORDS = ["red", "kettle", "dog", "rain", "house", "tree", "word", "sun", "sea", "hill"]


def in_cache(cache: Path, name: str, kind: str = "models") -> Path:
    """Folder of the one commit of a repository, which the main branch is at."""
    root = cache / f"{kind}--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    folder = root / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def bert(folder: Path, hidden: int = 32) -> None:
    """A BERT of two layers, whose special tokens have the numbers that all published ones have."""
    unused = [f"[unused{number}]" for number in range(994)]
    pieces = ["[PAD]", *unused[:99], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *unused[99:]]
    pieces += [*LETTERS, *WORDS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    # As published: with a pooler and both heads.
    _save(AutoModelForPreTraining, folder, "bert", len(pieces), hidden, max_position_embeddings=512)


def roberta(folder: Path) -> None:
    """A RoBERTa of two layers: byte-level pieces, and the mask last."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "<mask>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    RobertaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    _save_roberta(folder, "roberta", len(pieces))


def xlm_roberta(folder: Path) -> None:
    """An XLM-RoBERTa of two layers: pieces with spaces in them, and the mask last."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS, "<mask>"]
    scores = [(piece, 0.0 if piece.startswith("<") else -1.0) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    fast.save_pretrained(folder)
    _save_roberta(folder, "xlm-roberta", len(pieces))


def mistral(folder: Path) -> None:
    """A Mistral of two layers."""
    tiny_decoder(folder, "mistral")


def _save_roberta(folder: Path, kind: str, words: int) -> None:
    tokens = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    positions = {"max_position_embeddings": 514, "type_vocab_size": 1}
    _save(AutoModelForMaskedLM, folder, kind, words, 32, **positions, **tokens)


def _save(cls: Any, folder: Path, kind: str, words: int, hidden: int, **options: Any) -> None:
    config = AutoConfig.for_model(
        kind,
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.2,
        **options,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cls.from_config(config).save_pretrained(folder)


# The small stand-in of each published base.
BASES: dict[str, Callable[[Path], None]] = {
    "bert-base-uncased": bert,
    "bert-large-uncased": bert,
    "nreimers/BERT-Small-L-4_H-512_A-8": bert,
    "princeton-nlp/unsup-simcse-bert-large-uncased": bert,
    "roberta-base": roberta,
    "intfloat/multilingual-e5-large-instruct": xlm_roberta,
    "mistralai/Mistral-7B-v0.1": mistral,
}
