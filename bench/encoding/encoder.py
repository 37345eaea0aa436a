"""What an encoder reads and is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray


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
