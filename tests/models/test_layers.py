"""Layers: cut off for good, or pooled one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bench.core.errors import UsageError
from bench.methods.parts.twin import join_towers
from bench.models.layers import count_layers, cut_layers, layer_vectors
from tests.support.models import tiny_bert, tiny_decoder

TEXTS = ["a cat", "two dogs run over there", "it"]


def bert(folder: Path) -> SentenceTransformer:
    transformer = Transformer(str(tiny_bert(folder, layers=3)))
    return SentenceTransformer(modules=[transformer, Pooling(16, "mean")], device="cpu").eval()


def decoder(kind: str) -> Callable[[Path], SentenceTransformer]:
    def make(folder: Path) -> SentenceTransformer:
        transformer = Transformer(str(tiny_decoder(folder, kind)))
        transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
        return SentenceTransformer(modules=[transformer, Pooling(16, "mean")], device="cpu").eval()

    return make


@pytest.mark.parametrize(
    "make", [bert, decoder("llama"), decoder("qwen2"), decoder("gpt2"), decoder("opt")]
)
def test_vectors_of_a_layer_are_those_of_the_model_cut_there(
    make: Callable[[Path], SentenceTransformer], tmp_path: Path
) -> None:
    model = make(tmp_path / "model")
    features = dict(model.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    layers = count_layers(model)
    with torch.inference_mode():
        found = layer_vectors(model, features)
        assert len(found) == layers + 1
        torch.testing.assert_close(found[-1], model(dict(features))["sentence_embedding"])
        for count in range(layers, 0, -1):
            cut_layers(model, count)
            assert count_layers(model) == count
            cut = model(dict(features))["sentence_embedding"]
            torch.testing.assert_close(found[count], cut, rtol=1e-5, atol=1e-6)


def test_a_cut_model_is_saved_as_such(tmp_path: Path) -> None:
    model = bert(tmp_path / "model")
    cut_layers(model, 2)
    model.save_pretrained(str(tmp_path / "cut"))
    loaded = SentenceTransformer(str(tmp_path / "cut"), device="cpu")
    assert count_layers(loaded) == 2
    torch.testing.assert_close(
        torch.from_numpy(loaded.encode(TEXTS)), torch.from_numpy(model.encode(TEXTS))
    )


@pytest.mark.parametrize("layers", [0, 4])
def test_layers_out_of_range(tmp_path: Path, layers: int) -> None:
    with pytest.raises(UsageError, match=f"layers={layers} is out of range: .* 1 to 3"):
        cut_layers(bert(tmp_path / "model"), layers)


def test_several_transformers(tmp_path: Path) -> None:
    twin = join_towers(bert(tmp_path / "first"), bert(tmp_path / "second"))
    with pytest.raises(UsageError, match="several transformers cannot be cut"):
        cut_layers(twin, 1)
