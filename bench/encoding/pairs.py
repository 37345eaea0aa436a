"""Pairs of texts through the encoding plan: each distinct pair is scored once, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.encoding.encoder import Column


def pair_column(first: Sequence[str], second: Sequence[str]) -> Column:
    """Pairs of n texts each as a column, in which a pair is one text that says both."""
    return Column([json.dumps(pair) for pair in zip(first, second, strict=True)])


class PairEncoder:
    """What scores pairs, as an encoder of the texts of ``pair_column``: vectors of one number.

    Args:
        score: Scores n pairs, to (n,).
        device: Torch device that it computes on.
    """

    def __init__(
        self, score: Callable[[Sequence[tuple[str, str]]], NDArray[Any]], device: Any
    ) -> None:
        self._score, self.device = score, device

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Score the pairs that n texts say, to float32 of shape (n, 1)."""
        pairs = [(first, second) for first, second in map(json.loads, texts)]
        return np.asarray(self._score(pairs), dtype=np.float32).reshape(len(texts), -1)
