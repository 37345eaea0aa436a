"""Methods that give no dense vector of a text: scores of pairs instead, or sparse vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


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


class SparseScorer(ABC):
    """What gives sparse vectors; its method says so by ``output="sparse"``.

    Args:
        name: Name of the method.
        cosine: Whether vectors are compared by their cosine, and not by their dot product.
    """

    def __init__(self, name: str, *, cosine: bool) -> None:
        self.name, self.cosine = name, cosine

    @abstractmethod
    def encode_sparse(self, texts: Sequence[str], role: str | None) -> csr_array:
        """Encode n texts, as queries, documents or neither, to float32 of shape (n, V)."""

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Refuse.

        Raises:
            CellError: Always, as there are no dense vectors.
        """
        raise CellError(
            f"{self.name} gives sparse vectors, which are too large to be dense; run it on tasks "
            "of retrieval, of pairs or of reranking, e.g. --suite retrieval"
        )
