"""Vectors of a built method, through the store of a run."""

from __future__ import annotations

import numpy as np

from bench.encoding.encode import Encoded, encode_columns
from bench.encoding.encoder import Columns
from bench.execution.settings import Settings
from bench.method import Built


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
    )
    if built.mapped is not None:
        for key, vectors in encoded.vectors.items():
            encoded.vectors[key] = built.mapped.apply_done(vectors).astype(np.float32)
    return encoded
