"""What an encoder reads and is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError


@runtime_checkable
class Encoder(Protocol):
    """Anything that turns texts into vectors.

    A ``sentence_transformers.SentenceTransformer`` serves as one too; the encoding plan then
    tokenises and batches for it.
    """

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode ``n`` texts to float32 of shape (n, d), in order, without side effects."""


class TaskLabel(NamedTuple):
    """The task that texts are of.

    Attributes:
        kind: Its kind, ``sts`` or ``retrieval`` or so.
        name: Its name, that of mteb where it has one.
    """

    kind: str
    name: str


@runtime_checkable
class TaskEncoder(Protocol):
    """An encoder whose vectors depend on the task too, so that tasks share none."""

    by_task: Literal[True]

    def encode(
        self, texts: Sequence[str], *, role: str | None = None, task: TaskLabel | None = None
    ) -> NDArray[np.float32]:
        """Encode n texts of a task, or of none, to float32 of shape (n, d), in order."""


@dataclass(frozen=True)
class Column:
    """Texts that an encoder sees in one role.

    Attributes:
        texts: The texts, in the order of the rows.
        role: ``query``, ``document`` or None, for encoders that tell them apart.
        streamed: Whether the vectors are taken a few rows at a time, so that they may stay on disk
            where they are many, see ``bench.encoding.stored``.
        prompt: Text to put before each text in place of the encoder's own prompt; None for that.
        task: The task, for encoders that tell tasks apart.
    """

    texts: Sequence[str]
    role: str | None = None
    streamed: bool = False
    prompt: str | None = None
    task: TaskLabel | None = None


Columns: TypeAlias = Mapping[tuple[str, str], Column]


def as_vectors(given: Any, texts: int) -> NDArray[np.float32]:
    """What an encoder gave for n texts as float32 of shape (n, d).

    Raises:
        CellError: It has another shape, is no array of real numbers, or only a part of one.
    """
    if inspect.isawaitable(given):
        getattr(given, "close", lambda: None)()
        raise CellError("the encoder is asynchronous; hand over a function that returns vectors")
    if isinstance(given, np.ma.MaskedArray):
        raise CellError("the encoder returned a masked array; say what stands for what is masked")
    try:
        array = np.asarray(given)
        if np.iscomplexobj(array):
            raise CellError("the encoder returned complex numbers, of which none is a similarity")
        # What float32 cannot hold is infinity, which is refused with the text.
        with np.errstate(over="ignore"):
            array = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError):
        raise CellError(
            f"the encoder returned a {type(given).__name__} that is no array of numbers; expected "
            f"shape ({texts}, d) for {texts} texts"
        ) from None
    if array.ndim != 2 or len(array) != texts or not array.shape[1]:
        raise CellError(
            f"the encoder returned shape {array.shape} for {texts} texts; expected ({texts}, d)"
        )
    return array
