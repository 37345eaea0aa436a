"""The encoding plan: every text of a suite once, sorted by length, in full batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.core.compute import Compute
from bench.core.errors import CellError
from bench.core.fingerprint import fingerprint
from bench.core.progress import Progress
from bench.encoding.ahead import made_ahead
from bench.encoding.batches import Planned, planned_for
from bench.encoding.changing import refuse_changed
from bench.encoding.encoder import Columns, Encoder, TaskEncoder, TaskLabel, as_vectors
from bench.encoding.sharing import shared
from bench.encoding.store import ABSENT, Places, VectorStore, text_keys
from bench.encoding.stored import StoredColumn

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


TEXTS_PER_SHARD = 4096
# What a column that may be streamed takes in memory; a larger one stays on disk.
MOST_BYTES = 2**30
_BYTES = 4
_ROUNDING = 1e-6
# The texts, which of them have no vectors yet, and what to encode.
Batch = tuple[list[str], list[int], Any]


@dataclass
class Encoded:
    """Vectors of all columns, and what they cost.

    Attributes:
        vectors: Float32 of shape (n, d) by (task, column); of streamed columns that are too large
            for memory ``bench.encoding.stored.StoredColumn``, which gives slices of them.
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
    batch_size: int | None = None,
    compute: Compute | None = None,
    copies: Sequence[SentenceTransformer] = (),
) -> Encoded:
    """Encode the texts of all columns, each distinct text once per role and prompt.

    Args:
        encoder: The encoder.
        columns: Columns by (task, column).
        model_fingerprint: Identity of the encoder.
        folder: Folder of the vector store.
        progress: Where the work reports.
        batch_size: Most texts in a batch, by default those of the encoder's kind of device.
        compute: What computes the vectors, where that is known.
        copies: The same encoder on other devices, which share its batches where that is possible.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    texts_of_all = sum(len(column.texts) for column in columns.values())
    result = Encoded(texts=texts_of_all, compute=compute)
    for space in spaces_of(encoder, columns, model_fingerprint, folder, batch_size, compute):
        numbers = {text: number for number, text in enumerate(space.texts)}
        workers = space.planned.sharing(copies)
        places = _filled(space.store, workers, space.texts, result, progress)
        for key, column in space.columns.items():
            rows = map(numbers.__getitem__, column.texts)
            chosen = np.fromiter(rows, dtype=np.intp, count=len(column.texts))
            result.vectors[key] = _column(space.store, places[chosen], streamed=column.streamed)
        vectors = [result.vectors[key] for key in space.columns]
        if len(numbers) > 1 and _all_equal(vectors):
            progress.note(
                f"  warning: all {len(numbers):,} different texts have the same vector, "
                "so the scores mean nothing"
            )
        elif empty := sum(map(_zeros, vectors)):
            progress.note(
                f"  warning: {empty:,} of {sum(map(len, vectors)):,} texts have a vector of zeros, "
                "which is like no other"
            )
        result.distinct += len(numbers)
    return result


@dataclass(frozen=True)
class Space:
    """Columns whose equal texts have equal vectors, and where these are.

    Attributes:
        columns: The columns by (task, column).
        texts: Their distinct texts.
        planned: How the encoder is given them.
        store: Their vectors.
    """

    columns: Columns
    texts: list[str]
    planned: Planned
    store: VectorStore


def spaces_of(
    encoder: Encoder | SentenceTransformer,
    columns: Columns,
    model_fingerprint: str,
    folder: Path,
    batch_size: int | None,
    compute: Compute | None,
) -> Iterator[Space]:
    """Columns by what decides the vector of a text, see ``encode_columns``."""
    for (role, prompt, task), wanted in _alike(encoder, columns).items():
        texts = dict.fromkeys(chain.from_iterable(one.texts for one in wanted.values()))
        planned = planned_for(encoder, role, batch_size, prompt=prompt, task=task)
        space = fingerprint([model_fingerprint, planned.settings(), *_other_compute(compute)])
        store = VectorStore(folder / space)
        refuse_changed(encoder, store)
        yield Space(wanted, list(texts), planned, store)


def _alike(
    encoder: Encoder | SentenceTransformer, columns: Columns
) -> dict[tuple[str | None, str | None, TaskLabel | None], Columns]:
    """Columns whose equal texts have equal vectors, by role, prompt and task."""
    by_task = isinstance(encoder, TaskEncoder)
    groups: dict[tuple[str | None, str | None, TaskLabel | None], dict[Any, Any]] = {}
    for key, column in columns.items():
        context = column.role, column.prompt, column.task if by_task else None
        groups.setdefault(context, {})[key] = column
    return {context: groups[context] for context in sorted(groups, key=_text_of)}


def _text_of(context: tuple[object, ...]) -> list[str]:
    return [*map(str, context)]


def _other_compute(compute: Compute | None) -> list[Any]:
    """What tells vectors of another library apart, whose version is no part of the model's."""
    if compute is None or compute.backend == "torch":
        return []
    from bench.encoding.exports import made_by

    return [str(compute), dict(made_by(compute.backend))]


def _column(store: VectorStore, places: Places, *, streamed: bool) -> NDArray[np.float32]:
    if streamed and len(places):
        column = StoredColumn(store, places)
        if _BYTES * math.prod(column.shape) > MOST_BYTES:
            # To the task that takes slices of it, and to nobody else, it is an array.
            return cast("NDArray[np.float32]", column)
    return store.take(places)


def _filled(
    store: VectorStore,
    workers: Sequence[Planned],
    texts: list[str],
    result: Encoded,
    progress: Progress,
) -> Places:
    """Encode what the store lacks of n distinct texts; where their vectors are, (n,)."""
    keys = text_keys(texts)
    places = store.find(keys)
    missing = {texts[number] for number in np.flatnonzero(places == ABSENT)}
    if not missing:
        return places
    progress.start("encode", len(missing))
    fill(store, workers, prepared(workers[0], texts, missing), progress)
    result.encoded += len(missing)
    # The first one prepares the batches of all.
    if workers[0].tokens is not None:
        result.tokens = (result.tokens or 0) + workers[0].tokens
    return store.find(keys)


def fill(
    store: VectorStore,
    workers: Sequence[Planned],
    batches: Iterator[Batch],
    progress: Progress,
) -> None:
    """Encode batches, and keep the vectors of their new texts.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    done, names, parts = 0, list[str](), list[NDArray[np.float32]]()
    ready = made_ahead(batches, ahead=len(workers) + 1)
    encode = [partial(_encode, worker) for worker in workers]
    try:
        for (batch, new, _), vectors in shared(ready, encode):
            parts.append(_checked(vectors, batch, parts)[new])
            names += [batch[row] for row in new]
            done += len(new)
            progress.advance(done)
            if len(names) >= TEXTS_PER_SHARD:
                full, names, parts = (names, parts), [], []
                store.put(full[0], np.concatenate(full[1]))
    finally:
        # Also of an encoding that fails: what is there is not paid for again.
        if names:
            store.put(names, np.concatenate(parts))


def _encode(planned: Planned, batch: Batch) -> Any:
    return planned.encode(batch[2])


def prepared(
    planned: Planned, texts: list[str], missing: set[str], share: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Batches with a text that is missing: their texts, the rows of such, and what to encode.

    Args:
        planned: How texts are cut into batches.
        texts: All texts, which decide the batches.
        missing: Those to encode.
        share: Number k, from 0, and n: every n-th batch from the k-th on.
    """
    number, of = share
    for batch in islice(planned.batches(texts), number, None, of):
        # The others keep the vectors that they had in earlier runs.
        new = [row for row, text in enumerate(batch) if text in missing]
        if new:
            yield batch, new, planned.prepare(batch)


def _checked(
    vectors: Any, batch: Sequence[str], before: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    array = as_vectors(vectors, len(batch))
    sizes = {array.shape[1], *(part.shape[1] for part in before[-1:])}
    if len(sizes) > 1:
        raise CellError(f"the encoder returned vectors of different sizes: {sorted(sizes)}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        text = batch[int(np.argmin(finite))]
        raise CellError(f"the encoder returned NaN or infinity for the text {text[:60]!r}")
    return array


def _zeros(column: NDArray[np.float32]) -> int:
    """How many rows of a column have no number but 0."""
    return sum(
        int((~column[start : start + TEXTS_PER_SHARD].any(axis=1)).sum())
        for start in range(0, len(column), TEXTS_PER_SHARD)
    )


def _all_equal(columns: Sequence[NDArray[np.float32]]) -> bool:
    """Whether all rows of some columns are one vector, but for what the order of a sum changes."""
    first = next(column[0] for column in columns if len(column))
    tolerance = _ROUNDING * np.abs(first).max(initial=0)
    return all(
        np.allclose(first, column[start : start + TEXTS_PER_SHARD], rtol=_ROUNDING, atol=tolerance)
        for column in columns
        for start in range(0, len(column), TEXTS_PER_SHARD)
    )
