"""Our methods for people who run SentEval itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import build_method
from bench.encode import encode_columns
from bench.tasks.base import Column

Tokens = Sequence[str]
Prepare = Callable[[Any, Sequence[Tokens]], None]
Batcher = Callable[[Any, Sequence[Tokens]], NDArray[np.float32]]
# SentEval's examples encode a lone full stop where a sentence has no tokens.
EMPTY = "."


def adapter(method: str, **options: Any) -> tuple[Prepare, Batcher]:
    """Make ``prepare`` and ``batcher`` for ``senteval.engine.SE(params, batcher, prepare)``.

    ``prepare`` encodes all sentences of a task at once, each distinct one once; ``batcher`` then
    looks them up.

    Args:
        method: Method spec, e.g. ``sct`` or ``simcse[lr=1e-4]``.
        options: Those of ``bench.api.build_method``.

    Raises:
        UsageError: Unknown method or bad options.
        DataError: Data or a checkpoint is missing or changed.
    """
    built, settings = build_method(method, **options)

    def encode(sentences: Sequence[Tokens]) -> NDArray[np.float32]:
        column = Column([_text(tokens) for tokens in sentences])
        encoded = encode_columns(
            built.encoder,
            {("senteval", "text"): column},
            model_fingerprint=built.fingerprint,
            folder=settings.cache.vectors,
            progress=settings.progress,
        )
        return encoded.vectors["senteval", "text"]

    def prepare(params: Any, samples: Sequence[Tokens]) -> None:
        encode(samples)

    def batcher(params: Any, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        return encode(batch)

    return prepare, batcher


def _text(tokens: Tokens | str) -> str:
    text = tokens if isinstance(tokens, str) else " ".join(tokens)
    return text if text.strip() else EMPTY
