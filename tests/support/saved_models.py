"""One small model of every shape that sentence-transformers can save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    CNN,
    LSTM,
    BoW,
    Dense,
    Dropout,
    LayerNorm,
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
    WeightedLayerPooling,
    WordEmbeddings,
    WordWeights,
)
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

from tests.support import suites
from tests.support.models import tiny_bert, tiny_decoder

WIDTH = 16
OTHERS = ["a", "kettle", "dog", "boils", "runs", "over", "there", "red", "it", "barks"]
WORDS = [*suites.WORDS, *OTHERS]
PROMPTS = {"query": "find this: ", "document": "text: ", "short": "in short: "}
Make = Callable[[Path], SentenceTransformer]


def save(make: Make, folder: Path) -> Path:
    """Make a model from seed 0, save it, and return where."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make(folder / "parts").save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


def of(*modules: torch.nn.Module, **settings: Any) -> SentenceTransformer:
    """A model of some modules."""
    return SentenceTransformer(modules=list(modules), device="cpu", **settings)


def bert(folder: Path, **settings: Any) -> Transformer:
    """A random BERT of two layers."""
    return Transformer(str(tiny_bert(folder, layers=2)), **settings)


def static(folder: Path) -> StaticEmbedding:
    """A vector for each token."""
    return StaticEmbedding(bert(folder).tokenizer, embedding_dim=WIDTH)


def words() -> WordEmbeddings:
    """A vector for each of a few words."""
    weights = np.random.default_rng(0).normal(size=(len(WORDS), WIDTH)).astype(np.float32)
    return WordEmbeddings(WhitespaceTokenizer(WORDS, stop_words=[]), weights)


def pooled(mode: str) -> Make:
    """A BERT with one pooling."""
    return lambda folder: of(bert(folder), Pooling(WIDTH, mode))


def prompted(default: str | None, **pooling: Any) -> Make:
    """A BERT with prompts, one of which may be the default."""
    return lambda folder: of(
        bert(folder),
        Pooling(WIDTH, "mean", **pooling),
        prompts=dict(PROMPTS),
        default_prompt_name=default,
    )


def routed(default: str | None) -> Make:
    """Words for queries, a BERT for documents."""

    def make(folder: Path) -> SentenceTransformer:
        document = [bert(folder), Pooling(WIDTH, "mean")]
        return of(
            Router.for_query_document([static(folder)], document, default_route=default),
            Normalize(),
            prompts=dict(PROMPTS),
        )

    return make


def layers(folder: Path) -> SentenceTransformer:
    """A BERT whose layers are weighed."""
    weighed = WeightedLayerPooling(WIDTH, num_hidden_layers=2, layer_start=1)
    torch.nn.init.uniform_(weighed.layer_weights)
    return of(
        bert(folder, config_kwargs={"output_hidden_states": True}), weighed, Pooling(WIDTH, "mean")
    )


def cut_by_task(folder: Path) -> SentenceTransformer:
    """A BERT that reads less of a query than of a document."""
    return of(bert(folder, query_length=4, document_length=9), Pooling(WIDTH, "mean"))


def chatting(folder: Path) -> SentenceTransformer:
    """A decoder that puts a text into a conversation."""
    transformer = Transformer(str(tiny_decoder(folder, "qwen2")))
    transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
    transformer.tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{% endfor %}"
    )
    transformer.save(str(folder))
    return of(Transformer(str(folder)), Pooling(WIDTH, "lasttoken"), prompts=dict(PROMPTS))


def halved(dtype: torch.dtype) -> Make:
    """A BERT of half precision, with a layer behind it."""
    return lambda folder: of(bert(folder), Pooling(WIDTH, "mean"), Dense(WIDTH, 8)).to(dtype)


SHAPES: Mapping[str, Make] = {
    **{mode: pooled(mode) for mode in ("mean", "cls", "max", "lasttoken")},
    **{mode: pooled(mode) for mode in ("mean_sqrt_len_tokens", "weightedmean")},
    "dense": lambda folder: of(bert(folder), Pooling(WIDTH, "mean"), Dense(WIDTH, 8)),
    "residual": lambda folder: of(
        bert(folder), Pooling(WIDTH, "mean"), Dense(WIDTH, 8, use_residual=True, bias=False)
    ),
    "normalize": lambda folder: of(bert(folder), Pooling(WIDTH, "cls"), Normalize()),
    "layer norm": lambda folder: of(bert(folder), Pooling(WIDTH, "cls"), LayerNorm(WIDTH)),
    "dropout": lambda folder: of(bert(folder), Pooling(WIDTH, "cls"), Dropout(0.5)),
    "static": lambda folder: of(static(folder)),
    "static, normalize": lambda folder: of(static(folder), Normalize()),
    "static, prompts": lambda folder: of(static(folder), prompts=dict(PROMPTS)),
    "bag of words": lambda folder: of(BoW(WORDS, {"dog": 2.0})),
    "bag of words, dense": lambda folder: of(BoW(WORDS), Dense(len(WORDS), 8)),
    "words": lambda folder: of(words(), Pooling(WIDTH, "mean")),
    "weighted words": lambda folder: of(
        words(), WordWeights(WORDS, {"dog": 3.0}), Pooling(WIDTH, "mean")
    ),
    "lstm": lambda folder: of(words(), LSTM(WIDTH, 8), Pooling(16, "mean")),
    "cnn": lambda folder: of(words(), CNN(WIDTH, 4), Pooling(12, "mean")),
    "layers": layers,
    "prompts": prompted(None),
    "default prompt": prompted("short"),
    "prompt not pooled": prompted("short", include_prompt=False),
    "lower case": lambda folder: of(bert(folder, do_lower_case=True), Pooling(WIDTH, "mean")),
    "short": lambda folder: of(bert(folder, max_seq_length=6), Pooling(WIDTH, "mean")),
    "cut by task": cut_by_task,
    "chat": chatting,
    "router": routed("document"),
    "router without a default": routed(None),
    "half": halved(torch.float16),
    "bfloat16": halved(torch.bfloat16),
}
