"""Supervised SimCSE: what it trains on, its head, and its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.errors import DataError, UsageError
from tests.tiny import tiny_bert

TEXTS = ["a red kettle", "two dogs run", "rain"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Forty triplets."""
    path = tmp_path / "triplets.tsv"
    path.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def train(tmp_path: Path, corpus: Path, seed: int = 0, **options: Any) -> SentenceTransformer:
    base = tiny_bert(tmp_path / "tiny")
    settings = {"base": base, "corpus": corpus, "dev": "false", "batch_size": 8, **options}
    inner = ",".join(f"{name}={value}" for name, value in settings.items())
    built, _ = build_method(f"sup-simcse[{inner}]", seed=seed)
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def test_the_head_is_trained_and_stays(tmp_path: Path, corpus: Path) -> None:
    plain = train(tmp_path, corpus, head="false")
    assert [type(one).__name__ for one in plain] == ["Transformer", "Pooling"]
    untrained = train(tmp_path, corpus, head="true", lr=1e-30)
    trained = train(tmp_path, corpus, head="true", lr=1e-2)
    weights = [model[2].linear.weight.detach() for model in (untrained, trained)]
    assert weights[0].std().item() == pytest.approx(0.02, rel=0.2)
    assert not torch.allclose(*weights, atol=1e-3)
    vectors = trained.encode(TEXTS)
    assert np.abs(vectors).max() < 1
    trained[2].linear.weight.data.zero_()
    assert not np.allclose(trained.encode(TEXTS), vectors)


def test_hard_negatives_change_the_training(tmp_path: Path, corpus: Path) -> None:
    found = [
        train(tmp_path, corpus, lr=1e-2, **options).encode(TEXTS)
        for options in ({}, {"hard_negatives": "false"}, {"hard_negative_weight": 3})
    ]
    assert not np.allclose(found[0], found[1], atol=1e-4)
    assert not np.allclose(found[0], found[2], atol=1e-4)


def test_seeds_repeat(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tmp_path, corpus, head="true").encode(TEXTS)
    other = train(tmp_path, corpus, head="true", seed=1).encode(TEXTS)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "another"))
    again = train(tmp_path, corpus, head="true").encode(TEXTS)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-4)


def test_a_published_checkpoint_keeps_its_head(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "published")
    built, _ = build_method(f"sup-simcse@{folder}")
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
        expected = reference(**tokens).pooler_output.numpy()
    np.testing.assert_allclose(built.encoder.encode(TEXTS), expected, atol=1e-6)


def test_bases_and_text_that_cannot_be_used(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UsageError, match="is not a transformer"):
        build_method(f"sup-simcse[base=tfidf,corpus={corpus},dev=false]")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a\tb\nc\td\n")
    with pytest.raises(DataError, match="no hard negatives"):
        train(tmp_path, pairs)
