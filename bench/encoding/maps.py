"""Maps of vectors: known, fitted on a corpus, or fitted to each task.

A method whose vectors are maps of another's costs no encoding of its own: the vectors of the
innermost encoder are kept, and mapped in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UsageError
from bench.encoding.batches import planned_for
from bench.encoding.encoder import Encoder
from bench.records.entries import FitEntry

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


Floats: TypeAlias = NDArray[np.float64]
FitSource = Literal["known", "corpus", "train", "test"]
_Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class VectorMap(Protocol):
    """A map of rows, each by itself."""

    @property
    def width(self) -> int:
        """Size d of the vectors that it takes."""

    @property
    def dim(self) -> int:
        """Size k of those that it gives."""

    @property
    def vector_bytes(self) -> int | None:
        """Bytes that one of these is stored in; None of float32."""

    def __call__(self, vectors: NDArray[Any]) -> Floats:
        """Map rows (n, d) to float64 (n, k)."""


@dataclass(frozen=True)
class Affine:
    """The map x ↦ (x − mean) @ matrix of rows.

    Attributes:
        mean: Float64 of shape (d,).
        matrix: Float64 of shape (d, k).
    """

    mean: Floats
    matrix: Floats

    @property
    def width(self) -> int:
        """Size d of the vectors that it takes."""
        return int(self.matrix.shape[0])

    @property
    def dim(self) -> int:
        """Size k of those that it gives."""
        return int(self.matrix.shape[1])

    @property
    def vector_bytes(self) -> None:
        """None: they stay float32."""
        return None

    def __call__(self, vectors: NDArray[Any]) -> Floats:
        """Map rows (n, d) to float64 (n, k)."""
        return np.asarray((vectors - self.mean) @ self.matrix, dtype=np.float64)


@dataclass(frozen=True)
class Fitted:
    """A map, and the rank of the vectors that it was fitted on; None where that is not asked."""

    map: VectorMap
    rank: int | None = None


Fit: TypeAlias = Callable[[Floats], Fitted]


@dataclass(frozen=True)
class Link:
    """One map of a chain.

    Attributes:
        name: Name of the method that it is of.
        fit: Makes the map from vectors (n, d); a known map looks at d alone, and n may be 0. It
            goes to other processes.
        source: What it is fitted on: nothing, a corpus, or the vectors of a task, of its training
            rows or of all.
        texts: Reads the text of the corpus, which ``train`` takes where a task has no training
            rows.
        features: Whether it maps the features that a probe sees of pairs, where it sees any. It is
            then the only map that is fitted to each task.
    """

    name: str
    fit: Fit
    source: FitSource = "known"
    texts: Callable[[], list[str]] | None = None
    features: bool = False

    @property
    def per_task(self) -> bool:
        """Whether each task has a map of its own."""
        return self.source in ("train", "test")


@dataclass(frozen=True)
class Mapped:
    """An encoder and the maps of its vectors; an encoder too unless maps are fitted to tasks.

    Attributes:
        encoder: The innermost encoder.
        fingerprint: Its identity.
        embed: Encodes texts with it through the store of vectors.
        training: What its training reported.
        done: Names and maps that are the same for all tasks.
        fits: How those of them were fitted that were.
        rest: Maps from the first that is fitted to each task on.
        model: The encoder with ``done`` as its last layers, where it is a sentence transformer,
            all of them are affine, and nothing is left in ``rest``.
    """

    encoder: Encoder | SentenceTransformer
    fingerprint: str
    embed: _Embed
    training: dict[str, Any] | None = None
    done: tuple[VectorMap, ...] = ()
    fits: tuple[FitEntry, ...] = ()
    rest: tuple[Link, ...] = ()
    model: SentenceTransformer | None = None

    def with_link(self, link: Link) -> Mapped:
        """Add a map at the end, fitted at once where that takes no task.

        Raises:
            UsageError: The map does not fit vectors of this size.
            CellError: It cannot be fitted on these vectors.
        """
        if link.per_task or self.rest:
            return replace(self, rest=(*self.rest, link))
        vectors = self._corpus(link)
        fitted = link.fit(vectors)
        entries = fit_entries([link], [fitted], "corpus", len(vectors))
        return replace(self, done=(*self.done, fitted.map), fits=(*self.fits, *entries))

    @property
    def fitted_on(self) -> FitSource | None:
        """What the maps in ``rest`` are fitted on, ``train`` or ``test``; None where all are."""
        return next((link.source for link in self.rest if link.per_task), None)

    @property
    def vector_bytes(self) -> int | None:
        """Bytes that a vector is stored in; None of float32, and of maps fitted to each task."""
        return self.done[-1].vector_bytes if self.done and not self.rest else None

    def apply_done(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Map rows (n, d) by all maps that are the same for all tasks, to float64 if any."""
        return apply_all(self.done, vectors)

    @cached_property
    def on_corpus(self) -> tuple[tuple[VectorMap, ...], tuple[FitEntry, ...]]:
        """The maps in ``rest``, each fitted on its corpus: for tasks without rows to fit on."""
        maps: list[VectorMap] = []
        entries: list[FitEntry] = []
        for link in self.rest:
            vectors = apply_all(maps, self._corpus(link))
            fitted = link.fit(vectors)
            maps.append(fitted.map)
            entries += fit_entries([link], [fitted], "corpus", len(vectors))
        return tuple(maps), tuple(entries)

    def _corpus(self, link: Link) -> Floats:
        """Vectors of a link's corpus behind ``done``; none, of the same size, where it has none."""
        if link.texts is None:
            return np.empty((0, self._width()))
        return np.asarray(self.apply_done(self.embed(link.texts())), dtype=np.float64)

    def _width(self) -> int:
        if self.done:
            return self.done[-1].dim
        asked: Any = getattr(self.encoder, "get_embedding_dimension", None)
        known = None if asked is None else asked()
        return int(known) if known else int(self.embed(["A sentence."]).shape[1])

    def refuse_per_task(self) -> None:
        """Refuse to be taken for one model.

        Raises:
            UsageError: Some maps are fitted to each task.
        """
        if self.rest:
            raise UsageError(
                f"{self.rest[0].name}[fit={self.fitted_on}] is fitted to each task of a suite, so "
                "there is no single model of it; fit=corpus gives one"
            )

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode texts with the innermost encoder and map their vectors.

        Raises:
            UsageError: Some maps are fitted to each task.
        """
        self.refuse_per_task()
        planned = planned_for(self.encoder, role)
        distinct = list(dict.fromkeys(texts))
        rows: dict[str, NDArray[Any]] = {}
        for batch in planned.batches(distinct):
            rows |= zip(batch, planned.encode(planned.prepare(batch)), strict=True)
        vectors = np.array([rows[text] for text in texts], dtype=np.float32)
        return self.apply_done(vectors).astype(np.float32)


def apply_all(maps: Sequence[VectorMap], vectors: NDArray[Any]) -> NDArray[Any]:
    """Map rows by one map after the other."""
    for one in maps:
        vectors = one(vectors)
    return vectors


def fit_all(links: Sequence[Link], vectors: NDArray[Any]) -> list[Fitted]:
    """Fit maps one after the other, each on the rows (n, d) that those before it have mapped.

    Raises:
        UsageError: A map does not fit vectors of this size.
        CellError: A map cannot be fitted on these vectors.
    """
    rows, fits = np.asarray(vectors, dtype=np.float64), []
    for link in links:
        fitted = link.fit(rows)
        rows = fitted.map(rows)
        fits.append(fitted)
    return fits


def fit_entries(
    links: Sequence[Link], fitted: Sequence[Fitted], source: str, vectors: int
) -> tuple[FitEntry, ...]:
    """What maps were fitted on; nothing of known ones."""
    return tuple(
        FitEntry(
            method=link.name,
            source=source,
            vectors=vectors,
            rank=fit.rank,
            dimension=fit.map.width,
        )
        for link, fit in zip(links, fitted, strict=True)
        if link.source != "known"
    )
