"""Random vectors, the floor of every table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.method import BuildContext, Method, MethodInfo

DIMENSION = 32


class RandomEncoder:
    """A vector drawn with the text's own hash as the seed, as in MTEB's random baseline."""

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode texts; equal texts have equal vectors."""
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            digest = hashlib.sha256(text.encode()).digest()
            # The last four bytes are the digest modulo 2**32.
            generator = np.random.default_rng(int.from_bytes(digest[-4:], "big"))
            vectors[row] = generator.random(DIMENSION, dtype=np.float32)
        return vectors


class RandomVectors(Method):
    """Random vectors."""

    info = MethodInfo(
        name="random",
        title="Random vectors, equal for equal texts (mteb/baseline-random-encoder)",
        kind="static",
        requires=("numpy",),
    )

    def build(self, ctx: BuildContext) -> RandomEncoder:
        """Make the encoder."""
        return RandomEncoder()
