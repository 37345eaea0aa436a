"""Vectors as bytes or as bits, by the quantisation of sentence-transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.encoding.maps import Fitted, Floats

QuantisedKind = Literal["int8", "binary", "ubinary"]


@dataclass(frozen=True)
class Quantised:
    """Rows as the integers that ``sentence_transformers.util.quantize_embeddings`` makes of them.

    Of ``int8`` these are −128 to 127, steps of 1/255 of the range of each dimension; what lies
    outside of it becomes the nearest. Of ``binary`` and ``ubinary`` they are 1 where a number is
    positive and −1 elsewhere, so that the cosine of two vectors of d bits is 1 − 2h/d with their
    Hamming distance h; the bits are those that the library packs into signed or unsigned bytes.

    Attributes:
        kind: What numbers become.
        width: Size d of the vectors.
        ranges: Least and largest number of each dimension, float32 of shape (2, d); None of bits.
    """

    kind: QuantisedKind
    width: int
    ranges: NDArray[np.float32] | None = None

    @property
    def dim(self) -> int:
        """Size of the vectors that it gives: the same."""
        return self.width

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector as the library stores it."""
        return self.width if self.kind == "int8" else -(-self.width // 8)

    def __call__(self, vectors: NDArray[Any]) -> Floats:
        """Quantise rows (n, d) of the precision of an encoder, to whole float64 numbers (n, d)."""
        from sentence_transformers.util.quantization import quantize_embeddings

        rows = np.asarray(vectors, dtype=np.float32)
        stored: Any = quantize_embeddings(rows, self.kind, ranges=self.ranges)
        if self.kind == "int8":
            return np.asarray(stored, dtype=np.float64)
        # Signed bytes are the others less 128.
        packed = stored if self.kind == "ubinary" else (stored.astype(np.int16) + 128)
        bits = np.unpackbits(packed.astype(np.uint8), axis=1, count=self.width)
        return np.asarray(2.0 * bits - 1)


def fit_quantisation(vectors: Floats, *, kind: QuantisedKind) -> Fitted:
    """Take the ranges of ``int8`` from vectors, as the library does of calibration embeddings.

    Args:
        vectors: Float64 of shape (n, d); of bits n may be 0.
        kind: What numbers become.

    Raises:
        CellError: There are fewer than two vectors to take ranges from.
    """
    width = vectors.shape[1]
    if kind != "int8":
        return Fitted(Quantised(kind, width))
    if len(vectors) < 2:
        raise CellError(
            f"quantize[kind=int8] takes the range of each dimension from the vectors of its "
            f"corpus, and there are {len(vectors)}; name a larger corpus"
        )
    ranges = np.stack([vectors.min(axis=0), vectors.max(axis=0)]).astype(np.float32)
    return Fitted(Quantised(kind, width, ranges))
