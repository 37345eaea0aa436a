"""Vectors of lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.method import BuildContext, Encoder, Method, MethodInfo


class LengthVectors(Method):
    """Describes a text by its number of characters, words and vowels."""

    info = MethodInfo(
        name="length-vectors", title="Lengths of a text", kind="static", requires=("numpy",)
    )

    def build(self, ctx: BuildContext) -> Encoder:
        """Return the encoder."""
        return _LengthEncoder()


class _LengthEncoder:
    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        rows = [
            [len(text), len(text.split()), sum(letter in "aeiou" for letter in text)]
            for text in texts
        ]
        return np.array(rows, dtype=np.float32)
