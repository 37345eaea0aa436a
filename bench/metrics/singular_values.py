"""How much of their space vectors use, as they are: rank, entropy and condition of their matrix.

CoDiEmb (arXiv 2508.11442) compares models by these and by how alike the tokens of a text are, and
gives no formulas; those here are the usual ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix
from bench.metrics.isotropy import mean_cosine
from bench.metrics.vectors import as_float64

# Vectors are float32, whatever they are computed with afterwards.
_EPSILON = float(np.finfo(np.float32).eps)


def singular_values(vectors: Matrix) -> NDArray[np.float64]:
    """Singular values of vectors (n, d) as they are, largest first: float64, (min(n, d),).

    Raises:
        ValueError: There are fewer than two, a value is not finite, or all are zero.
    """
    sizes = np.linalg.svd(as_float64(vectors), compute_uv=False)
    if not sizes.any():
        raise ValueError("vectors that are all zero have no rank")
    return np.asarray(sizes)


def numerical_rank(sizes: NDArray[np.float64], longest: int) -> int:
    """Number of singular values above what float32 rounds away, as NumPy's ``matrix_rank`` has it.

    That is the largest one times the longer side of the matrix times the epsilon of float32.

    Args:
        sizes: Singular values, largest first, (r,).
        longest: Longer side of the matrix, max(n, d).
    """
    return int((sizes > sizes[0] * longest * _EPSILON).sum())


def singular_entropy(sizes: NDArray[np.float64]) -> float:
    """Entropy −Σ p ln p in nats of singular values over their sum.

    It is 0 where all vectors lie on a line through the origin, ln r where all r are equal.

    Args:
        sizes: Singular values, (r,), not all zero.
    """
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-shares @ np.log(shares))


def effective_rank(vectors: Matrix) -> float:
    """Compute the effective rank of vectors as they are (Roy & Vetterli, EUSIPCO 2007).

    It is exp(−Σ p ln p) with p the singular values over their sum: 1 where all vectors lie on a
    line through the origin, d where all directions are alike. Scale and rotations do not count.

    Args:
        vectors: Vectors, one a row, (n, d) with n ≥ 2.

    Raises:
        ValueError: There are fewer, a value is not finite, or all are zero.
    """
    return float(np.exp(singular_entropy(singular_values(vectors))))


def condition_number(sizes: NDArray[np.float64], longest: int) -> float:
    """Largest singular value over the least that counts for the rank: 1 where all are equal.

    Args:
        sizes: Singular values, largest first, (r,).
        longest: Longer side of the matrix, max(n, d).
    """
    return float(sizes[0] / sizes[numerical_rank(sizes, longest) - 1])


def token_similarity(states: Sequence[Matrix]) -> float:
    """Mean over texts of the mean cosine of all pairs of a text's tokens.

    It is 1 where all tokens of a text have the same direction, as in a model that smooths over.

    Args:
        states: States of the tokens of each text, (t, d); those of a single token do not count.

    Raises:
        ValueError: No text has two tokens, a value is not finite, or a state is zero.
    """
    similarities = [mean_cosine(one) for one in states if len(one) > 1]
    if not similarities:
        raise ValueError("texts of a single token have no pairs of tokens")
    return float(np.mean(similarities))
