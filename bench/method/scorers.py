"""Methods that score pairs of texts, and have no vector of a text by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError


class PairScorer(ABC):
    """What scores pairs; its method says so by ``output="pairs"``.

    Args:
        name: Name of the method.

    Attributes:
        device: Torch device that it computes on, which decides how many pairs it is given at once.
    """

    device: Any = None

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Score n pairs of texts, the higher the closer or the more relevant the second, (n,)."""

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Refuse.

        Raises:
            CellError: Always, as there are no vectors.
        """
        raise CellError(
            f"{self.name} scores pairs of texts and has no vectors of texts by themselves; run it "
            "on tasks of pairs or of reranking, e.g. --suite pairs"
        )
