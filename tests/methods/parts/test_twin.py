"""Twins: sums of two encoders, their folders, and what their towers see of each other."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bench.core.errors import UsageError
from bench.core.progress import Silent
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.methods.parts.twin import (
    TwinPass,
    WeightedSum,
    cross_attend,
    cross_weights,
    crossings,
    join_towers,
    towers,
)
from tests.support.models import tiny_bert, tiny_decoder, tiny_sentence_transformer

TEXTS = ["a red kettle", "two dogs run in the rain", "rain", "[CLS] said the dog"]
POOLINGS = ["cls", "mean"]
LOAD = """
import sys
import numpy as np
from sentence_transformers import SentenceTransformer

folder, texts, out = sys.argv[1], sys.argv[2].split("|"), sys.argv[3]
model = SentenceTransformer(folder, device="cpu", trust_remote_code=False, local_files_only=True)
np.save(out, model.encode(texts))
assert not [name for name in sys.modules if name.split(".")[0] == "bench"]
"""


def tower(
    folder: Path, pooling: str, seed: int, hidden: int = 16, layers: int = 2
) -> SentenceTransformer:
    """A tiny encoder with weights of its own."""
    name = f"bert{hidden}-{layers}"
    transformer = Transformer(str(tiny_bert(folder / name, hidden=hidden, layers=layers)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return SentenceTransformer(modules=[transformer, Pooling(hidden, pooling)], device="cpu").eval()


def pair(folder: Path, pooling: str = "cls") -> tuple[SentenceTransformer, SentenceTransformer]:
    return tower(folder, pooling, 1), tower(folder, pooling, 2)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_vectors_are_the_sums_of_two_plain_encoders(tmp_path: Path, pooling: str) -> None:
    first, second = pair(tmp_path, pooling)
    expected = first.encode(TEXTS) + second.encode(TEXTS)
    twin = join_towers(first, second)
    assert twin.get_embedding_dimension() == 16
    np.testing.assert_allclose(twin.encode(TEXTS), expected, rtol=0, atol=1e-6)
    swapped = join_towers(second, first).encode(TEXTS)
    np.testing.assert_allclose(swapped, expected, rtol=0, atol=1e-6)
    for taken, plain in zip(towers(twin), (first, second), strict=True):
        np.testing.assert_allclose(taken.encode(TEXTS), plain.encode(TEXTS), rtol=0, atol=1e-6)


def test_the_plan_of_a_run_encodes_it(tmp_path: Path) -> None:
    twin = join_towers(*pair(tmp_path))
    key = ("task", "text")
    encoded = encode_columns(
        twin,
        {key: Column(TEXTS)},
        model_fingerprint="twin",
        folder=tmp_path / "vectors",
        progress=Silent(),
    )
    assert encoded.tokens
    np.testing.assert_allclose(encoded.vectors[key], twin.encode(TEXTS), rtol=0, atol=1e-5)


@pytest.mark.nightly
def test_a_saved_twin_loads_where_this_package_is_not_imported(tmp_path: Path) -> None:
    out = tmp_path / "vectors.npy"
    for pooling in POOLINGS:
        folder = tmp_path / pooling
        twin = join_towers(*pair(tmp_path, pooling))
        twin.save_pretrained(str(folder), create_model_card=False)
        again = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        np.testing.assert_array_equal(again.encode(TEXTS), twin.encode(TEXTS))
        assert [len(list(one)) for one in towers(again)] == [2, 2]
    assert not [*folder.rglob("*.bin"), *folder.rglob("*.pt")]
    call = [sys.executable, "-c", LOAD, str(tmp_path / "cls"), "|".join(TEXTS), str(out)]
    subprocess.run(call, check=True, cwd=tmp_path, capture_output=True)
    expected = join_towers(*pair(tmp_path, "cls")).encode(TEXTS)
    np.testing.assert_allclose(np.load(out), expected, rtol=0, atol=1e-6)


def test_only_the_towers_are_trained(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    trained = {id(weight) for tower in (first, second) for weight in tower.parameters()}
    twin = join_towers(first, second)
    assert {id(weight) for weight in twin.parameters() if weight.requires_grad} == trained


def test_towers_that_do_not_fit(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    with pytest.raises(UsageError, match="16 in 2 heads and 32 in 2 heads; give them bases of one"):
        join_towers(first, tower(tmp_path, "cls", 1, hidden=32))
    with pytest.raises(ValueError, match="the same pooling"):
        join_towers(first, tower(tmp_path, "mean", 2))
    with pytest.raises(TypeError, match="not a twin"):
        towers(first)
    decoder = Transformer(str(tiny_decoder(tmp_path / "gpt2", "gpt2")))
    with pytest.raises(UsageError, match="GPT2Model is not in it"):
        join_towers(first, SentenceTransformer(modules=[decoder, Pooling(16, "cls")], device="cpu"))
    second.tokenizer.add_tokens(["kettle"])
    with pytest.raises(UsageError, match="different vocabularies"):
        join_towers(first, second)


def bert(model: SentenceTransformer) -> Any:
    transformer: Any = model[0]
    return transformer.auto_model


def states(seed: int) -> torch.Tensor:
    return torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def layers(tmp_path: Path) -> list[Any]:
    """The last layers of two towers, without dropout."""
    return [bert(one).encoder.layer[-1] for one in pair(tmp_path)]


def test_attention_falls_on_tokens_alone(layers: list[Any]) -> None:
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    weights = cross_weights(layers[0], layers[1], states(0), states(1), mask)
    assert weights.shape == (2, 2, 5, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 5))
    assert weights[0, :, :, 3:].abs().max() == 0
    assert weights[0, :, :, :3].min() > 0


def test_attention_across_equal_towers_is_their_own(layers: list[Any]) -> None:
    layer, x = layers[0], states(0)
    own = layer.attention(x, None)[0]
    crossed = cross_attend(layer, layer, x, x, torch.ones(2, 5))
    torch.testing.assert_close(crossed, own)


def test_queries_and_output_are_of_the_one_and_keys_and_values_of_the_other(
    layers: list[Any],
) -> None:
    mine, other = layers
    x, y = states(0), states(1)
    query = mine.attention.self.query(x).view(2, 5, 2, 8)
    key = other.attention.self.key(y).view(2, 5, 2, 8)
    value = other.attention.self.value(y).view(2, 5, 2, 8)
    weights = (torch.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(8)).softmax(-1)
    context = torch.einsum("bhqk,bkhd->bqhd", weights, value).reshape(2, 5, 16)
    expected = mine.attention.output(context, x)
    torch.testing.assert_close(cross_attend(mine, other, x, y, torch.ones(2, 5)), expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_cross_attention_leaves_the_towers_alone(tmp_path: Path, pooling: str) -> None:
    first, second = pair(tmp_path, pooling)
    expected = [torch.tensor(one.encode(TEXTS)) for one in (first, second)]
    twin = join_towers(first, second)
    features = twin.preprocess(TEXTS)
    found = TwinPass(twin, cross_layers=1)(twin, features)
    for own, plain in zip(found.own, expected, strict=True):
        torch.testing.assert_close(own, plain, rtol=0, atol=1e-5)
    assert found.crossed is not None
    assert not torch.allclose(found.crossed[0], found.crossed[1], atol=1e-2)
    assert TwinPass(twin, cross_layers=0)(twin, features).crossed is None
    hooked = [layer._forward_hooks for layer in bert(twin).encoder.layer]
    assert not any(hooked)


def test_what_goes_across_is_the_input_of_the_last_layers(tmp_path: Path) -> None:
    twin = join_towers(*pair(tmp_path))
    features = twin.preprocess(TEXTS)
    found = TwinPass(twin, cross_layers=1)(twin, features)
    models = [bert(one) for one in towers(twin)]
    inputs = [model(**features, output_hidden_states=True).hidden_states[-2] for model in models]
    ends = [model.encoder.layer[-1] for model in models]
    mask = features["attention_mask"]
    expected = cross_attend(ends[1], ends[0], inputs[1], inputs[0], mask)[:, 0]
    assert found.crossed is not None
    torch.testing.assert_close(found.crossed[1], expected)


def test_layers_that_attend_across_are_equally_spaced() -> None:
    assert crossings(12, 6) == [1, 3, 5, 7, 9, 11]
    assert crossings(12, 1) == [11]
    assert crossings(3, 3) == [0, 1, 2]
    for count in (5, 24):
        with pytest.raises(
            UsageError, match=f"{count} does not divide the 12 .*: 1, 2, 3, 4, 6, 12"
        ):
            crossings(12, count)


def test_what_several_layers_find_goes_on_to_the_last_one(tmp_path: Path) -> None:
    """Of six layers the 2nd, the 4th and the 6th attend across."""
    first, second = (tower(tmp_path, "cls", seed, layers=6) for seed in (1, 2))
    twin = join_towers(first, second)
    features = twin.preprocess(TEXTS)
    mask = features["attention_mask"]
    stacks = [bert(one).encoder.layer for one in (first, second)]
    models = [bert(one) for one in (first, second)]
    x, y = (model(**features, output_hidden_states=True).hidden_states[1] for model in models)
    additive = (1 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
    for i in (1, 3, 5):
        a, b = stacks[0][i], stacks[1][i]
        x, y = cross_attend(a, b, x, y, mask), cross_attend(b, a, y, x, mask)
        if i < 5:
            x, y = (layer.feed_forward_chunk(one) for layer, one in ((a, x), (b, y)))
            x, y = (stack[i + 1](one, additive) for stack, one in zip(stacks, (x, y), strict=True))
    found = TwinPass(twin, cross_layers=3)(twin, features)
    assert found.crossed is not None
    for crossed, expected in zip(found.crossed, (x, y), strict=True):
        torch.testing.assert_close(crossed, expected[:, 0], rtol=0, atol=1e-5)
    for own, plain in zip(found.own, (first, second), strict=True):
        torch.testing.assert_close(own, torch.tensor(plain.encode(TEXTS)), rtol=0, atol=1e-5)


def test_the_number_of_layers_that_attend_across_counts(tmp_path: Path) -> None:
    first, second = (tower(tmp_path, "mean", seed, layers=6) for seed in (1, 2))
    twin = join_towers(first, second)
    seen = [TwinPass(twin, cross_layers=n)(twin, twin.preprocess(TEXTS)) for n in (1, 2, 3, 6)]
    for number, one in enumerate(seen):
        assert one.crossed is not None
        for other in seen[number + 1 :]:
            assert other.crossed is not None
            assert not torch.allclose(one.crossed[0], other.crossed[0], atol=1e-3)
    with pytest.raises(UsageError, match="cross_layers=4 does not divide the 6 layers"):
        TwinPass(twin, cross_layers=4)


def test_a_further_encoder_is_added_by_its_weight(tmp_path: Path) -> None:
    twin, further = join_towers(*pair(tmp_path)), tower(tmp_path, "mean", 3)
    expected = 0.3 * twin.encode(TEXTS) + 0.7 * further.encode(TEXTS)
    found = WeightedSum(twin, further, 0.7).encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert found.dtype == np.float32
    with pytest.raises(UsageError, match="16 dimensions and the model beside it 32; give uc="):
        WeightedSum(twin, tower(tmp_path, "mean", 3, hidden=32), 0.7)


def test_folders_of_other_models_are_no_twins(tmp_path: Path) -> None:
    plain = tiny_sentence_transformer(tmp_path / "tiny")
    with pytest.raises(TypeError, match="not a twin"):
        TwinPass(plain, cross_layers=0)
    twin = join_towers(*pair(tmp_path, "mean"))
    twin.save_pretrained(str(tmp_path / "saved"))
    kinds = [entry["type"] for entry in json.loads((tmp_path / "saved/modules.json").read_text())]
    assert all(kind.startswith("sentence_transformers.") for kind in kinds)
