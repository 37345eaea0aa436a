"""Sparse vectors of columns: each distinct text once, kept in memory as rows of one matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.progress import Progress
from bench.encoding.encode import Encoded
from bench.encoding.encoder import Columns

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Encodes n texts in a role, to float32 of shape (n, V).
EncodeSparse: TypeAlias = "Callable[[Sequence[str], str | None], csr_array]"
# What the numbers that are not zero may take, and while they are put together twice that.
MOST_BYTES = 4 * 2**30
_TEXTS = 256
_PAIRS = 8192


@dataclass(frozen=True)
class SparseColumn:
    """Vectors of a column of n texts.

    Attributes:
        matrix: Vectors of distinct texts, float32 of shape (m, V).
        rows: The one of each text, (n,).
    """

    matrix: csr_array
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Any) -> csr_array:
        rows: csr_array = self.matrix[self.rows[places]]
        return rows


@dataclass
class SparselyEncoded(Encoded):
    """Sparse vectors of all columns, and what they cost.

    Attributes:
        sparse: Vectors by (task, column).
        size: Numbers V of a vector.
    """

    sparse: dict[tuple[str, str], SparseColumn] = field(default_factory=dict)
    size: int = 0


def encode_sparse(
    encode: EncodeSparse, columns: Columns, progress: Progress, batch_size: int | None = None
) -> SparselyEncoded:
    """Encode the texts of all columns, each distinct text once per role.

    They are kept in memory for as long as they are scored, and not in the store of vectors, whose
    rows are dense.

    Args:
        encode: Encodes texts.
        columns: Columns by (task, column).
        progress: Where the work reports.
        batch_size: Most texts that are encoded at once, or None for 256.

    Raises:
        CellError: Vectors of a wrong shape, with NaN or infinity, or too large for memory.
    """
    result = SparselyEncoded(texts=sum(len(column.texts) for column in columns.values()))
    size, held = batch_size or _TEXTS, 0
    for role in sorted({column.role for column in columns.values()}, key=str):
        wanted = {key: column for key, column in columns.items() if column.role == role}
        distinct = set(chain.from_iterable(column.texts for column in wanted.values()))
        ordered = sorted(distinct, key=lambda text: (len(text), text))
        progress.start("encode", len(ordered))
        blocks = []
        for start in range(0, len(ordered), size):
            batch = ordered[start : start + size]
            blocks.append(_checked(encode(batch, role), batch))
            held += _bytes(blocks[-1])
            _refuse_large(held, start + len(batch))
            progress.advance(start + len(batch))
        # Imported late, as it brings SciPy, which planning and listing never need.
        from scipy.sparse import vstack

        matrix = vstack(blocks, format="csr")
        numbers = {text: number for number, text in enumerate(ordered)}
        for key, column in wanted.items():
            rows = np.array([numbers[text] for text in column.texts], dtype=np.intp)
            result.sparse[key] = SparseColumn(matrix, rows)
        result.distinct += len(ordered)
        result.encoded += len(ordered)
        result.size = matrix.shape[1]
    return result


def _checked(vectors: csr_array, batch: Sequence[str]) -> csr_array:
    if vectors.ndim != 2 or vectors.shape[0] != len(batch):
        raise CellError(
            f"the encoder returned shape {vectors.shape} for {len(batch)} texts; "
            f"expected ({len(batch)}, V)"
        )
    if not np.isfinite(vectors.data).all():
        finite = np.isfinite(vectors.data)
        row = int(np.searchsorted(vectors.indptr, int(np.argmin(finite)), side="right")) - 1
        raise CellError(f"the encoder returned NaN or infinity for the text {batch[row][:60]!r}")
    return vectors


def _bytes(vectors: csr_array) -> int:
    return int(vectors.data.nbytes + vectors.indices.nbytes + vectors.indptr.nbytes)


def _refuse_large(held: int, texts: int) -> None:
    if held > MOST_BYTES:
        raise CellError(
            f"the sparse vectors of {texts:,} texts take {held / 2**30:.1f} GiB, and more than "
            f"{MOST_BYTES / 2**30:.0f} GiB are not held; use a model with fewer numbers that are "
            "not zero, or a smaller corpus"
        )


def similarities(
    first: SparseColumn,
    second: SparseColumn,
    pairs: Sequence[NDArray[np.intp]],
    *,
    cosine: bool,
) -> NDArray[np.float64]:
    """Dot product or cosine of pairs of rows, in float64; 0 where a vector is zero.

    Args:
        first: A column.
        second: Another column.
        pairs: Rows of the first and of the second, (p,) each.
        cosine: Whether vectors count by their direction alone.

    Returns:
        Shape (p,).
    """
    left, right = pairs
    products = np.empty(len(left))
    for start in range(0, len(left), _PAIRS):
        block = slice(start, start + _PAIRS)
        a, b = (
            column[rows[block]].astype(np.float64)
            for column, rows in ((first, left), (second, right))
        )
        if cosine:
            a, b = normalised(a), normalised(b)
        products[block] = a.multiply(b).sum(axis=1)
    return products


def normalised(vectors: csr_array) -> csr_array:
    """Rows of norm 1; zero rows stay zero."""
    norms = np.sqrt(vectors.multiply(vectors).sum(axis=1))
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    scaled = vectors.copy()
    scaled.data *= np.repeat(scale, np.diff(vectors.indptr)).astype(vectors.dtype)
    return scaled
