"""Variants of gold texts under the same label: synonyms, round trips, guessed words."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.contamination import normalise
from bench.method import Item
from bench.methods.ensemble.retrieval import HeldOut, item_vectors
from bench.methods.parts.nearest import Embeddings
from bench.methods.parts.views import put_synonyms, words_with_synonyms

RATE = 0.1


@dataclass(frozen=True)
class Augmented:
    """Variants that are kept.

    Attributes:
        items: Texts or pairs.
        sources: Row of the gold text that each is a variant of, (v,).
        made: Variants that differ from their text, by arm.
        kept: Those that are near enough to it, by arm.
    """

    items: list[Item]
    sources: NDArray[np.intp]
    made: dict[str, int]
    kept: dict[str, int]


def replace_words(
    texts: Sequence[str], table: Mapping[str, tuple[str, ...]], seed: int, rate: float = RATE
) -> list[str]:
    """Replace each word that has synonyms by one of them with a probability, and one at least.

    Args:
        texts: Texts; those without such words stay as they are.
        table: Synonyms of words in lower case.
        seed: Seed of the choices.
        rate: Probability of a word to be replaced.
    """
    chance = random.Random(seed)
    return [_replaced(text, table, chance, rate) for text in texts]


def _replaced(
    text: str, table: Mapping[str, tuple[str, ...]], chance: random.Random, rate: float
) -> str:
    places = words_with_synonyms(text, table)
    chosen = [match for match in places if chance.random() < rate]
    if places and not chosen:
        chosen = [chance.choice(places)]
    return put_synonyms(text, chosen, table, chance)


def augment(
    items: Sequence[Item],
    vectors: Embeddings,
    arms: Mapping[str, Callable[[Sequence[str]], list[str]]],
    encode: Callable[[Sequence[str]], Embeddings],
    least: float,
    held_out: HeldOut,
) -> Augmented:
    """Make a variant of each item by each arm, and keep those that stay near to it.

    Both texts of a pair are varied. A variant of the same letters and digits as its item is none.

    Args:
        items: Texts or pairs.
        vectors: Their unit vectors, (n, d).
        arms: What makes the variants of texts, in order, by name.
        encode: Makes vectors of texts.
        least: Least cosine of a variant to its item.
        held_out: Texts that no variant may be the same as.
    """
    kept_items: list[Item] = []
    sources: list[int] = []
    made, kept = dict.fromkeys(arms, 0), dict.fromkeys(arms, 0)
    for name, arm in arms.items():
        columns = [arm(list(column)) for column in zip(*items, strict=True)]
        variants = list(zip(*columns, strict=True))
        rows = [i for i, item in enumerate(items) if _serves(item, variants[i], held_out)]
        made[name] = len(rows)
        if not rows:
            continue
        near = item_vectors([variants[i] for i in rows], encode)
        rows = [i for i, unit in zip(rows, near, strict=True) if float(unit @ vectors[i]) >= least]
        kept[name] = len(rows)
        kept_items += [variants[i] for i in rows]
        sources += rows
    return Augmented(kept_items, np.array(sources, dtype=np.intp), made, kept)


def _serves(item: Item, variant: Item, held_out: HeldOut) -> bool:
    pairs = zip(item, variant, strict=True)
    differs = any(normalise(text) != normalise(varied) for text, varied in pairs)
    return differs and all(text.strip() for text in variant) and variant not in held_out
