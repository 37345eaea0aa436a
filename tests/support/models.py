"""A tiny random BERT and tiny random decoders, made on the spot."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    GPT2Tokenizer,
    LlamaTokenizer,
    Qwen2Tokenizer,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
)


def tiny_bert(folder: Path, hidden: int = 16, layers: int = 1) -> Path:
    """Save a bare transformers folder of a random BERT and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=256,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


def tiny_roberta(folder: Path) -> Path:
    """Save a random RoBERTa with the head of its masked language model, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _byte_level_bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer = RobertaTokenizer(**pieces, model_max_length=256)
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=258,
        type_vocab_size=1,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        RobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def pooler_outputs(folder: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of texts by a BERT's own pooler, as plain transformers computes them."""
    tokens = AutoTokenizer.from_pretrained(folder)(list(texts), padding=True, return_tensors="pt")
    with torch.no_grad():
        found: NDArray[np.float32] = (
            AutoModel.from_pretrained(folder).eval()(**tokens).pooler_output.numpy()
        )
    return found


def tiny_sentence_transformer(folder: Path) -> SentenceTransformer:
    """Make the same as a sentence transformer with mean pooling."""
    transformer = Transformer(str(tiny_bert(folder)))
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")


def tiny_decoder(folder: Path, kind: str, *, bos: bool = True, layers: int = 2) -> Path:
    """Save a bare transformers folder of a random decoder and return its path.

    Its tokenizer is that of the kind: with a piece a character for Llama and Mistral, else a
    byte-level BPE. As in many published folders ``add_bos_token`` is a setting of it, and there
    is no padding token.

    Args:
        folder: Where to.
        kind: ``llama``, ``mistral``, ``qwen2``, ``qwen3``, ``gemma``, ``gemma2``, ``opt``, ``gpt2``
            or ``gpt_neox``; that of GPT-2 serves as the tokenizer of Gemma, OPT and GPT-NeoX too.
        bos: Whether the tokenizer puts BOS in front.
        layers: Number of layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": None}
    if kind in ("llama", "mistral"):
        letters = [*string.ascii_letters, *string.digits, *string.punctuation]
        pieces = ["<unk>", "<s>", "</s>", "▁", *letters]
        vocab = {piece: i for i, piece in enumerate(pieces)}
        tokenizer: Any = LlamaTokenizer(vocab=vocab, merges=[], add_bos_token=bos, **special)
    else:
        cls: Any = Qwen2Tokenizer if kind in ("qwen2", "qwen3") else GPT2Tokenizer
        tokenizer = cls(**_byte_level_bpe(), add_bos_token=bos, **special)
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "add_bos_token": bos}))
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=16,
        word_embed_proj_dim=16,
        intermediate_size=32,
        ffn_dim=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.2,
        init_std=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    return folder


def tiny_llama(folder: Path) -> Path:
    """Save a bare transformers folder of a random Llama and return its path."""
    return tiny_decoder(folder, "llama")


def _byte_level_bpe(special: Sequence[str] = ("<unk>", "<s>", "</s>")) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[*special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["This sentence means something in one word."], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


def tiny_cross_encoder(folder: Path, *, labels: int = 1, activation: str = "Sigmoid") -> Path:
    """Save a random BERT that scores pairs of texts as a cross-encoder, and return its path."""
    bare = tiny_bert(folder / "bare")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig.from_pretrained(bare, num_labels=labels, initializer_range=0.5)
        BertForSequenceClassification(config).save_pretrained(folder / "bare")
    function = getattr(torch.nn, activation)()
    model = CrossEncoder(
        str(bare), device="cpu", num_labels=labels, activation_fn=function, max_length=128
    )
    model.save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


def tiny_splade(folder: Path, *, similarity: str | None = None) -> Path:
    """Save a random BERT whose words are weighted by SPLADE, and return its path.

    Queries and documents have prompts of their own.
    """
    bare = tiny_bert(folder / "bare")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig.from_pretrained(bare, initializer_range=0.5)
        BertForMaskedLM(config).save_pretrained(bare)
    model = SparseEncoder(
        str(bare),
        device="cpu",
        prompts={"query": "find: ", "document": "text: "},
        similarity_fn_name=similarity,
    )
    model.save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"
