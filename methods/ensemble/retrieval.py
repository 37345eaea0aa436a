"""Texts of a pool that are near to given ones, and those that may not be learnt from at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.contamination import normalise, row_key
from bench.method import Item
from bench.methods.parts.nearest import ABSENT, Embeddings, float32_units


@dataclass(frozen=True)
class CleanPool:
    """What of a pool may be learnt from.

    Attributes:
        rows: Rows of the pool, in order.
        removed: Number of the others by reason.
    """

    rows: NDArray[np.intp]
    removed: dict[str, int]


class HeldOut:
    """Texts of test and dev rows, from which nothing is learnt.

    Texts are compared as they are, and by letters and digits in lower case.

    Args:
        items: Texts or pairs of these rows.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._forms = {form for item in items for text in item for form in _forms(text)}

    def __contains__(self, item: Item) -> bool:
        """Whether one of an item's texts is among them."""
        return any(form in self._forms for text in item for form in _forms(text))


def clean_pool(pool: Sequence[Item], gold: Sequence[Item], held_out: HeldOut) -> CleanPool:
    """Leave out what is held out, what is in the gold rows, and what is there twice.

    A pair counts as gold or as a repetition where both of its texts are, in either order.

    Args:
        pool: Texts or pairs of the pool.
        gold: Those that labels are known of.
        held_out: Those of the test and dev rows.
    """
    known, seen = {row_key(item) for item in gold}, set[Item]()
    rows: list[int] = []
    removed = {"held_out": 0, "gold": 0, "repeated": 0}
    for row, item in enumerate(pool):
        key = row_key(item)
        if item in held_out:
            removed["held_out"] += 1
        elif key in known:
            removed["gold"] += 1
        elif key in seen:
            removed["repeated"] += 1
        else:
            seen.add(key)
            rows.append(row)
    return CleanPool(np.array(rows, dtype=np.intp), removed)


def _forms(text: str) -> list[tuple[str, str]]:
    # Of a text of punctuation alone nothing is left that could be compared.
    short = normalise(text)
    return [("exact", text), *([("normalised", short)] if short else [])]


def item_vectors(
    items: Sequence[Item], encode: Callable[[Sequence[str]], Embeddings]
) -> Embeddings:
    """Unit vectors of n texts (n, d), or of pairs (n, 2d): those of both texts side by side.

    The product of two pairs' vectors is then the mean of the cosines of their first and of their
    second texts.

    Args:
        items: Texts or pairs.
        encode: Makes vectors (m, d) of m texts.
    """
    columns = [encode(list(column)) for column in zip(*items, strict=True)]
    units = [float32_units(column) for column in columns]
    return np.asarray(np.hstack(units) / np.sqrt(len(units)), dtype=np.float32)


def drawn(
    queries: int, pool: int, k: int, seed: int, own: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """Draw k texts of a pool for each query at random, none twice and none that it is itself.

    Args:
        queries: Number n of queries.
        pool: Number of texts in the pool.
        k: Number of texts to draw.
        seed: Seed of the draw.
        own: Row of the pool that each query is itself, (n,); none by default.

    Returns:
        Rows of the pool (n, k), −1 where there are fewer than k.
    """
    rng = np.random.default_rng(seed)
    rows = np.full((queries, k), ABSENT, dtype=np.intp)
    others = pool - (own is not None)
    for query in range(queries):
        chosen = rng.choice(others, min(k, others), replace=False)
        if own is not None:
            chosen[chosen >= own[query]] += 1
        rows[query, : len(chosen)] = chosen
    return rows
