"""Encoders with token prepending on tiny decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
