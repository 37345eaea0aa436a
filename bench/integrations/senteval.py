"""Our methods for people who run SentEval itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import build_method
from bench.encoding.encoder import Column
from bench.execution.vectors import encode

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

    known: dict[str, NDArray[np.float32]] = {}

    def prepare(params: Any, samples: Sequence[Tokens]) -> None:
        texts = list({text: None for text in map(_text, samples) if text not in known})
        if texts:
            encoded = encode(built, {("senteval", "text"): Column(texts)}, settings)
            known.update(zip(texts, encoded.vectors["senteval", "text"], strict=True))

    def batcher(params: Any, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        # Tasks whose engine calls no prepare, or with other sentences, are encoded here.
        prepare(params, batch)
        return np.stack([known[_text(tokens)] for tokens in batch])

    return prepare, batcher


def _text(tokens: Tokens | str) -> str:
    # Some loaders of SentEval read files as bytes.
    words = [one.decode() if isinstance(one, bytes) else one for one in tokens]
    text = tokens if isinstance(tokens, str) else " ".join(words)
    return text if text.strip() else EMPTY
