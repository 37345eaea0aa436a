"""Sizes of transformers, and the memory of a training: computed, with no weights loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bench.method import TrainingLoad

_FP32 = 4
_MASK = 1
# NF4 with scales that are quantised too: 4 bits and 0.127 of one (arXiv 2305.14314, section 3).
_NF4 = 4.127 / 8


@dataclass(frozen=True)
class Shape:
    """What the memory of a transformer follows from.

    Attributes:
        parameters: Number of its weights, without a head for language modelling.
        layers: Number of layers.
        hidden: Width h of the states.
        inner: Width i between the two maps of a feed-forward layer.
        keys: Width k of all keys of a token, less than h where heads share them.
        queries: Width q of all queries of a token.
        gated: Whether the feed-forward layer has a third map, its gate (Llama and its kin).
    """

    parameters: int
    layers: int
    hidden: int
    inner: int
    keys: int
    queries: int
    gated: bool = False

    @property
    def states(self) -> int:
        """Numbers that each layer keeps of a token for the backward pass.

        8 h + 2 i for BERT, the count of arXiv 2205.05198, section 4.1: the inputs of attention,
        feed-forward layer and both norms, queries, keys, values and what attention gives, and both
        sides of the activation; with a gate two more of those. Scores of attention are not among
        them, as the kernels that torch takes compute them again.
        """
        inner = 4 if self.gated else 2
        return 4 * self.hidden + 2 * self.queries + 2 * self.keys + inner * self.inner

    @property
    def linear(self) -> int:
        """Weights of all linear layers."""
        attention = 2 * self.hidden * (self.queries + self.keys)
        feed_forward = (3 if self.gated else 2) * self.hidden * self.inner
        return self.layers * (attention + feed_forward)

    def adapter_weights(self, rank: int) -> int:
        """Weights of adapters of some rank on all linear layers, see ``bench.training.lora``."""
        attention = 2 * (self.hidden + self.queries) + 2 * (self.hidden + self.keys)
        feed_forward = (3 if self.gated else 2) * (self.hidden + self.inner)
        return rank * self.layers * (attention + feed_forward)


def _bert(parameters: int, layers: int, hidden: int) -> Shape:
    return Shape(parameters, layers, hidden, 4 * hidden, hidden, hidden)


def _decoder(parameters: int, layers: int, hidden: int, inner: int, keys: int) -> Shape:
    return Shape(parameters, layers, hidden, inner, keys, hidden, gated=True)


_LARGE = _bert(335_141_888, 24, 1024)
# Of config.json of each on the hub; parameters are those of the library's model of that config.
PUBLISHED: Mapping[str, Shape] = {
    "nreimers/BERT-Tiny_L-2_H-128_A-2": _bert(4_385_920, 2, 128),
    "google/bert_uncased_L-4_H-256_A-4": _bert(11_170_560, 4, 256),
    "nreimers/BERT-Small-L-4_H-512_A-8": _bert(28_763_648, 4, 512),
    "bert-base-uncased": _bert(109_482_240, 12, 768),
    "bert-large-uncased": _LARGE,
    "princeton-nlp/unsup-simcse-bert-large-uncased": _LARGE,
    "roberta-base": _bert(124_645_632, 12, 768),
    "roberta-large": _bert(355_359_744, 24, 1024),
    "intfloat/multilingual-e5-large-instruct": _bert(559_890_432, 24, 1024),
    # Its layers share their weights.
    "albert-xxlarge-v2": _bert(222_595_584, 12, 4096),
    "microsoft/deberta-large": _bert(405_163_008, 24, 1024),
    "mistralai/Mistral-7B-v0.1": _decoder(7_110_660_096, 32, 4096, 14_336, 1024),
    "meta-llama/Llama-2-7b-hf": _decoder(6_607_343_616, 32, 4096, 11_008, 4096),
    "meta-llama/Llama-2-13b-hf": _decoder(12_852_024_320, 40, 5120, 13_824, 5120),
    "meta-llama/Meta-Llama-3-8B": _decoder(7_504_924_672, 32, 4096, 14_336, 1024),
    "Qwen/Qwen2-7B": _decoder(7_070_619_136, 28, 3584, 18_944, 512),
    "google/gemma-2-9b": Shape(9_241_705_984, 42, 3584, 14_336, 2048, 4096, gated=True),
}


def read_shape(folder: Path) -> Shape | None:
    """Shape of the transformer in a folder, by its config and the heads of its files of weights.

    Returns:
        None where the folder has neither, or names its sizes otherwise than BERT and Llama do.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        size = int(config.get("head_dim") or hidden // heads)
        return Shape(
            parameters=_weights(folder),
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            inner=int(config["intermediate_size"]),
            keys=size * int(config.get("num_key_value_heads") or heads),
            queries=size * heads,
            gated=config.get("hidden_act") == "silu" or "hidden_activation" in config,
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _weights(folder: Path) -> int:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(folder)
    count = 0
    for path in files:
        with safe_open(path, framework="np") as weights:
            # What is opened is no mapping, and cannot be iterated over.
            sizes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
            count += sum(math.prod(size) for size in sizes)
    return count


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training holds at its largest, but for what its loss keeps besides.

    Attributes:
        weights: The weights.
        gradients: One number for each weight that is trained.
        optimizer: The two moments of Adam for each of these.
        activations: What the backward pass of one step needs.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(shape: Shape, load: TrainingLoad, *, number_bytes: int = 4) -> TrainingMemory:
    """Estimate the memory of a training whose weights, gradients and moments are of fp32.

    Args:
        shape: The transformer.
        load: What a step encodes. Its texts count as long as they can be.
        number_bytes: Bytes of a number that the training multiplies, 4 for fp32.
    """
    adapters = load.encoders * shape.adapter_weights(load.lora_rank)
    weights = load.encoders * shape.parameters
    trained = adapters if load.lora_rank else weights
    quantised = load.encoders * shape.linear if load.four_bit else 0
    # Two masks of dropout, a byte each.
    token = number_bytes * shape.states + 2 * _MASK * shape.hidden
    kept = shape.layers * token
    if load.checkpointed:
        kept = shape.layers * number_bytes * shape.hidden + token
    return TrainingMemory(
        weights=_FP32 * (weights - quantised + adapters) + round(_NF4 * quantised),
        gradients=_FP32 * trained,
        optimizer=2 * _FP32 * trained,
        activations=load.encoders * load.texts * load.tokens * kept,
    )
