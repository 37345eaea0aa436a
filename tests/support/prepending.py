"""Encoders with token prepending on tiny decoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from bench.api import build_method
from bench.methods.parts.prepending import PrependingEncoder

LAYERS = 4
WORDS = ["A", "red", "kettle", "sings", "while", "two", "dogs", "run", "in", "rain", "and", "snow"]
TEXTS = [" ".join(WORDS[i % 7 : i % 7 + 1 + i % 9]) + f" {i}" for i in range(32)]


def encoder(base: Path | str, **options: Any) -> PrependingEncoder:
    inner = ",".join(f"{name}={value}" for name, value in {"base": base, **options}.items())
    built, _ = build_method(f"token-prepending[{inner}]")
    assert isinstance(built.encoder, PrependingEncoder)
    return built.encoder


def place_of(made: PrependingEncoder, ids: list[int]) -> int:
    return ids.index(made._placeholder)


def plain_model(folder: Path) -> Any:
    return transformers.AutoModel.from_pretrained(folder).eval()


def embedded(model: Any, ids: Sequence[int], places: Collection[int], vector: Tensor) -> Tensor:
    """Embeddings (1, T, h) of a row, the placeholders' put in by hand."""
    known = [0 if i in places else token for i, token in enumerate(ids)]
    states: Tensor = model.get_input_embeddings()(torch.tensor([known])).clone()
    for place in places:
        states[0, place] = vector
    return states


def by_hand(
    model: Any,
    ids: Sequence[int],
    places: Collection[int],
    vector: Tensor,
    edited: Collection[int],
    masks: Mapping[int, Tensor] | None = None,
) -> list[Tensor]:
    """Outputs (T, h) of all layers of an unpadded row, calling each layer on its own.

    Entry 0 are the embeddings, and the last entry went through the final norm. ``masks`` are those
    (T, T) of layers that are not causal, to be added to the logits.
    """
    kind, length = model.config.model_type, len(ids)
    positions = torch.arange(length)[None]
    causal = torch.full((length, length), float("-inf")).triu(1)
    hidden = embedded(model, ids, places, vector)
    more: dict[str, Any] = {}
    if kind == "gpt2":
        layers, norm = model.h, model.ln_f
        hidden = hidden + model.wpe(positions)
    elif kind == "opt":
        layers, norm = model.decoder.layers, model.decoder.final_layer_norm
        hidden = hidden + model.decoder.embed_positions(torch.ones_like(positions))
    else:
        layers, norm = model.layers, model.norm
        more["position_embeddings"] = model.rotary_emb(hidden, positions)
    states = [hidden]
    for number, layer in enumerate(layers):
        if number in edited:
            last = hidden[0, -1]
            row = [last if i in places else hidden[0, i] for i in range(length)]
            hidden = torch.stack(row)[None]
        mask = (masks or {}).get(number, causal)[None, None]
        out = layer(hidden, attention_mask=mask, **more)
        hidden = out[0] if isinstance(out, tuple) else out
        states.append(hidden)
    states[-1] = norm(hidden)
    return [one[0] for one in states]
