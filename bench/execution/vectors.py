"""Vectors of a built method, through the store of a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.encoding.encode import Encoded, encode_columns
from bench.encoding.encoder import Columns
from bench.encoding.maps import Mapped
from bench.execution.settings import Settings
from bench.method import Built

_ROWS = 65_536


def encode(built: Built, columns: Columns, settings: Settings) -> Encoded:
    """Encode columns of texts with a built method, through the store of a run.

    Raises:
        UsageError: The method is fitted to each task, so that texts alone have no vectors.
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    if built.mapped is not None:
        built.mapped.refuse_per_task()
    return encode_unfitted(built, columns, settings)


def encode_unfitted(built: Built, columns: Columns, settings: Settings) -> Encoded:
    """The same up to the first map that is fitted to each task, see ``bench.execution.fitting``.

    A method that maps the vectors of another one shares those with it.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    inner = built if built.mapped is None else built.mapped
    converted = settings.conversions.get(inner.encoder, inner.fingerprint)
    encoded = encode_columns(
        converted.encoder,
        columns,
        model_fingerprint=inner.fingerprint,
        folder=settings.cache.vectors,
        progress=settings.progress,
        batch_size=settings.batch_size,
        compute=converted.compute,
        copies=converted.copies,
    )
    if built.mapped is not None:
        for key, vectors in encoded.vectors.items():
            encoded.vectors[key] = _map_rows(built.mapped, vectors)
    return encoded


def _map_rows(mapped: Mapped, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map vectors (n, d) to float32 (n, k), a few of them in float64 at a time."""
    if not mapped.done:
        return np.asarray(vectors)
    rows = np.empty((len(vectors), mapped.done[-1].dim), dtype=np.float32)
    for start in range(0, len(rows), _ROWS):
        rows[start : start + _ROWS] = mapped.apply_done(vectors[start : start + _ROWS])
    return rows
