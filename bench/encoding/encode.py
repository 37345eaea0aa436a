"""The encoding plan: every text of a suite once, sorted by length, in full batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.compute import Compute
from bench.core.errors import CellError
from bench.core.fingerprint import fingerprint
from bench.core.progress import Progress
from bench.encoding.batches import TEXTS_PER_BATCH, Planned, planned_for
from bench.encoding.encoder import Columns, Encoder
from bench.encoding.store import VectorStore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


TEXTS_PER_SHARD = 4096
_ROUNDING = 1e-6


@dataclass
class Encoded:
    """Vectors of all columns, and what they cost.

    Attributes:
        vectors: Float32 of shape (n, d) by (task, column).
        texts: Texts in all columns.
        distinct: Distinct texts.
        encoded: Texts that were not in the store.
        tokens: Tokens of the encoded texts, where the encoder counts them.
        compute: What computed the vectors, where that is known.
    """

    vectors: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)
    texts: int = 0
    distinct: int = 0
    encoded: int = 0
    tokens: int | None = None
    compute: Compute | None = None


def encode_columns(
    encoder: Encoder | SentenceTransformer,
    columns: Columns,
    *,
    model_fingerprint: str,
    folder: Path,
    progress: Progress,
    batch_size: int = TEXTS_PER_BATCH,
    compute: Compute | None = None,
) -> Encoded:
    """Encode the texts of all columns, each distinct text once per role.

    Args:
        encoder: The encoder.
        columns: Columns by (task, column).
        model_fingerprint: Identity of the encoder.
        folder: Folder of the vector store.
        progress: Where the work reports.
        batch_size: Most texts in a batch.
        compute: What computes the vectors, where that is known.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    texts_of_all = sum(len(column.texts) for column in columns.values())
    result = Encoded(texts=texts_of_all, compute=compute)
    for role in sorted({column.role for column in columns.values()}, key=str):
        wanted = {key: column for key, column in columns.items() if column.role == role}
        texts = list(dict.fromkeys(t for column in wanted.values() for t in column.texts))
        planned = planned_for(encoder, role, batch_size)
        space = fingerprint([model_fingerprint, planned.settings(), *_other_compute(compute)])
        store = VectorStore(folder / space)
        _fill(store, planned, texts, result, progress)
        if _all_equal([store.get(text) for text in texts]):
            progress.note(
                f"  warning: all {len(texts):,} different texts have the same vector, "
                "so the scores mean nothing"
            )
        result.distinct += len(texts)
        for key, column in wanted.items():
            result.vectors[key] = np.stack([store.get(text) for text in column.texts])
    return result


def _other_compute(compute: Compute | None) -> list[Any]:
    """What tells vectors of another library apart, whose version is no part of the model's."""
    if compute is None or compute.backend == "torch":
        return []
    from bench.encoding.exports import made_by

    return [str(compute), dict(made_by(compute.backend))]


def _fill(
    store: VectorStore, planned: Planned, texts: list[str], result: Encoded, progress: Progress
) -> None:
    missing = {text for text in texts if text not in store}
    if not missing:
        return
    progress.start("encode", len(missing))
    done, names, parts = 0, list[str](), list[NDArray[np.float32]]()
    for batch in planned.batches(texts):
        if not missing.intersection(batch):
            continue
        parts.append(_checked(planned.encode(batch), batch))
        names += batch
        done += len(missing.intersection(batch))
        progress.advance(done)
        if len(names) >= TEXTS_PER_SHARD:
            store.put(names, np.concatenate(parts))
            names, parts = [], []
    if names:
        store.put(names, np.concatenate(parts))
    result.encoded += len(missing)
    if planned.tokens is not None:
        result.tokens = (result.tokens or 0) + planned.tokens


def _checked(vectors: Any, batch: Sequence[str]) -> NDArray[np.float32]:
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or len(array) != len(batch):
        raise CellError(
            f"the encoder returned shape {array.shape} for {len(batch)} texts; "
            f"expected ({len(batch)}, d)"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        text = batch[int(np.argmin(finite))]
        raise CellError(f"the encoder returned NaN or infinity for the text {text[:60]!r}")
    return array


def _all_equal(vectors: Sequence[NDArray[np.float32]]) -> bool:
    """Whether several vectors are one, but for what the order of a sum changes."""
    first = vectors[0] if vectors else np.zeros(0, dtype=np.float32)
    return len(vectors) > 1 and all(
        np.allclose(first, vector, rtol=_ROUNDING, atol=_ROUNDING * np.abs(first).max(initial=0))
        for vector in vectors
    )
