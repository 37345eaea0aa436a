"""Sizes and memory that are computed, against models that are built without their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, BertConfig, BertModel

from bench.method import TrainingLoad
from bench.models.sizes import PUBLISHED, Shape, read_shape, training_memory
from bench.training.lora import add_lora
from tests.support.models import tiny_bert, tiny_decoder, tiny_sentence_transformer

# What config.json of each says besides the sizes that the table has: kind, words, positions and
# types of tokens.
ENCODERS = {
    "nreimers/BERT-Tiny_L-2_H-128_A-2": ("bert", 30_522, 512, 2),
    "google/bert_uncased_L-4_H-256_A-4": ("bert", 30_522, 512, 2),
    "nreimers/BERT-Small-L-4_H-512_A-8": ("bert", 30_522, 512, 2),
    "bert-base-uncased": ("bert", 30_522, 512, 2),
    "bert-large-uncased": ("bert", 30_522, 512, 2),
    "princeton-nlp/unsup-simcse-bert-large-uncased": ("bert", 30_522, 512, 2),
    "roberta-base": ("roberta", 50_265, 514, 1),
    "roberta-large": ("roberta", 50_265, 514, 1),
    "intfloat/multilingual-e5-large-instruct": ("xlm-roberta", 250_002, 514, 1),
    "albert-xxlarge-v2": ("albert", 30_000, 512, 2),
    "microsoft/deberta-large": ("deberta", 50_265, 512, 0),
}
DECODERS = {
    "mistralai/Mistral-7B-v0.1": ("mistral", 32_000),
    "meta-llama/Llama-2-7b-hf": ("llama", 32_000),
    "meta-llama/Llama-2-13b-hf": ("llama", 32_000),
    "meta-llama/Meta-Llama-3-8B": ("llama", 128_256),
    "Qwen/Qwen2-7B": ("qwen2", 152_064),
    "google/gemma-2-9b": ("gemma2", 256_000),
}
OF_DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
}


def config(name: str, shape: Shape) -> Any:
    sizes = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "intermediate_size": shape.inner,
    }
    if name in DECODERS:
        kind, words = DECODERS[name]
        size = 256 if kind == "gemma2" else 128
        heads = {
            "num_attention_heads": shape.queries // size,
            "num_key_value_heads": shape.keys // size,
            "head_dim": size,
        }
        return AutoConfig.for_model(kind, vocab_size=words, **sizes, **heads)
    kind, words, positions, types = ENCODERS[name]
    return AutoConfig.for_model(
        kind,
        vocab_size=words,
        max_position_embeddings=positions,
        type_vocab_size=types,
        num_attention_heads=shape.hidden // 64,
        **sizes,
        **(OF_DEBERTA if kind == "deberta" else {}),
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_are_those_of_the_library(name: str) -> None:
    with torch.device("meta"):
        model = AutoModel.from_config(config(name, PUBLISHED[name]))
    assert sum(weight.numel() for weight in model.parameters()) == PUBLISHED[name].parameters


def test_the_size_of_a_folder_is_read_of_its_files(tmp_path: Path) -> None:
    shape = read_shape(tiny_bert(tmp_path / "bert", layers=3))
    weights = AutoModel.from_pretrained(tmp_path / "bert").parameters()
    assert shape == Shape(sum(weight.numel() for weight in weights), 3, 16, 32, 16, 16)
    decoder = read_shape(tiny_decoder(tmp_path / "llama", "llama"))
    assert decoder is not None and decoder.gated
    assert (decoder.keys, decoder.queries) == (16, 16)


def test_a_folder_that_does_not_say_its_size(tmp_path: Path) -> None:
    assert read_shape(tmp_path / "nothing") is None
    folder = tiny_bert(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    assert read_shape(folder) is None
    (folder / "config.json").write_text("{")
    assert read_shape(folder) is None


def kept_bytes(layers: int, *, checkpointed: bool = False) -> int:
    """Bytes that the backward pass of a BERT needs, its weights apart."""
    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4}
    # The kernel of the CPU keeps scores where they have dropout.
    options = {**sizes, "attention_probs_dropout_prob": 0.0}
    model = BertModel(BertConfig(vocab_size=99, num_hidden_layers=layers, **options)).train()
    if checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in weights:
            kept[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(input_ids=torch.ones(8, 32, dtype=torch.long))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_linear_weights_are_those_of_the_library() -> None:
    for name in ("bert-base-uncased", "mistralai/Mistral-7B-v0.1", "google/gemma-2-9b"):
        with torch.device("meta"):
            model = AutoModel.from_config(config(name, PUBLISHED[name]))
        layers = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
        pooler = 768**2 if name == "bert-base-uncased" else 0
        linear = sum(layer.weight.numel() for layer in layers) - pooler
        assert linear == PUBLISHED[name].linear


def test_a_layer_of_4_bits_and_its_adapters() -> None:
    shape = PUBLISHED["mistralai/Mistral-7B-v0.1"]
    plain, small = (
        training_memory(shape, TrainingLoad(8, 32, lora_rank=4, four_bit=flag))
        for flag in (False, True)
    )
    assert plain.weights - small.weights == 4 * shape.linear - round(shape.linear * 4.127 / 8)
    assert (small.gradients, small.activations) == (plain.gradients, plain.activations)


def test_checkpointing_keeps_the_input_of_each_layer_and_the_inside_of_one() -> None:
    shape, load = Shape(0, 6, 64, 256, 64, 64), TrainingLoad(8, 32, checkpointed=True)
    inputs = (kept_bytes(8, checkpointed=True) - kept_bytes(2, checkpointed=True)) / 6
    inside = (kept_bytes(8) - kept_bytes(2)) / 6
    assert training_memory(shape, load).activations == pytest.approx(6 * inputs + inside, rel=0.15)


def test_activations_are_what_the_backward_pass_keeps() -> None:
    load = TrainingLoad(texts=8, tokens=32)
    memory = training_memory(Shape(0, 2, 64, 256, 64, 64), load)
    assert memory.activations == pytest.approx(kept_bytes(4) - kept_bytes(2), rel=0.15)


def test_what_is_trained_has_gradients_and_moments() -> None:
    shape, load = Shape(1_000, 2, 16, 32, 16, 16), TrainingLoad(4, 8)
    memory = training_memory(shape, load)
    assert (memory.weights, memory.gradients, memory.optimizer) == (4_000, 4_000, 8_000)
    assert memory.total == 16_000 + memory.activations
    assert training_memory(shape, TrainingLoad(8, 8)).activations == 2 * memory.activations
    assert training_memory(shape, load, number_bytes=2).activations < memory.activations
    both = training_memory(shape, TrainingLoad(4, 8, encoders=2))
    assert both.total == 2 * memory.total


def test_adapters_are_trained_in_place_of_the_weights(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    shape = read_shape(tmp_path / "tiny")
    assert shape is not None
    add_lora(model, 4, 0)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    # The pooler, which no published decoder has, gets adapters too.
    pooler = 4 * (16 + 16)
    assert shape.adapter_weights(4) == trained - pooler
    memory = training_memory(shape, TrainingLoad(1, 1, lora_rank=4))
    assert memory.gradients == 4 * shape.adapter_weights(4)
    assert memory.weights == 4 * (shape.parameters + shape.adapter_weights(4))
