"""States of tokens: those that pooling sees, of any padding, and of no model that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from bench.models.checkpoints import load_folder
from bench.models.token_states import token_states
from tests.support.models import tiny_bert

TEXTS = ["a", "some words that are more", "", "three more words"] * 12


def test_states_are_those_that_the_mean_is_of(tmp_path: Path) -> None:
    model = load_folder(tiny_bert(tmp_path / "bert"), "cpu", "mean")
    # Places that are counted from the left shift with the padding there, which a batch decides.
    for side, texts in (("right", TEXTS), ("left", TEXTS[:4])):
        model.tokenizer.padding_side = side
        states = token_states(model, texts)
        assert states is not None
        sizes = [len(ids) for ids in model.tokenizer(texts)["input_ids"]]
        assert [len(one) for one in states] == sizes
        means = np.stack([one.mean(axis=0) for one in states])
        np.testing.assert_allclose(means, model.encode(texts), atol=1e-6)


def test_prompts_have_states_too(tmp_path: Path) -> None:
    model = load_folder(tiny_bert(tmp_path / "bert"), "cpu", "mean")
    plain, whole = token_states(model, ["b"]), token_states(model, ["a: b"])
    model.prompts, model.default_prompt_name = {"text": "a: "}, "text"
    prompted = token_states(model, ["b"])
    assert plain is not None and whole is not None and prompted is not None
    np.testing.assert_allclose(prompted[0], whole[0], atol=1e-6)
    assert len(plain[0]) < len(whole[0])


def test_others_have_none(tmp_path: Path) -> None:
    tokenizer = load_folder(tiny_bert(tmp_path / "bert"), "cpu", "mean").tokenizer
    static = StaticEmbedding(tokenizer._tokenizer, embedding_weights=torch.ones(200, 4))
    assert token_states(SentenceTransformer(modules=[static], device="cpu"), TEXTS) is None
    assert token_states(object(), TEXTS) is None
