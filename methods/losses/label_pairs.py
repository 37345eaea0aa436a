"""Pairs of labelled texts, with a correction for labels that are rare (EMNLP 2023 main 124)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bench.method import Label

Levels = tuple[str, ...]
# From so many classes on, the number of shuffles no longer grows with their number.
MANY_CLASSES = 100
_DIGITS = 9


@dataclass(frozen=True)
class Correction:
    """How rare labels are corrected for.

    Attributes:
        max_ratio: R, copies of the only text of a class.
        min_ratio: r, below which a class stays as it is. R = r = 1 corrects nothing.
        stop_words: Add to a class that is repeated its texts without stop words, first.
    """

    max_ratio: int = 4
    min_ratio: float = 1.5
    stop_words: bool = True


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts, and the cosine between 0 and 1 that they should have."""

    texts: list[tuple[str, str]]
    cosines: list[float]

    def __len__(self) -> int:
        return len(self.texts)


def share_of_ratio(size: float, largest: int, max_ratio: float) -> float:
    """f(x) = R·log(M / x) / log(M): R at one row, 0 at the size M > 1 of the largest class.

    Equation 4 of the paper; its print of equation 5 would shrink classes, the code does not.
    """
    return max_ratio * math.log(largest / size) / math.log(largest)


def repetitions(size: int, largest: int, correction: Correction) -> int:
    """How often the rows of a class are taken: 1 to R times, never less than once.

    Args:
        size: Rows x of the class.
        largest: Rows M of the largest class.
        correction: R and r.

    Returns:
        f(x) rounded to the nearest whole number, the even one of two, but 1 where f(x) < r.
    """
    if largest <= 1:
        return 1
    # The edges of the steps are powers of M, which floats miss by a little.
    ratio = round(share_of_ratio(size, largest, correction.max_ratio), _DIGITS)
    if ratio < correction.min_ratio:
        return 1
    return max(1, min(correction.max_ratio, round(ratio)))


def corrected(
    texts: Sequence[str], classes: Sequence[int], correction: Correction
) -> tuple[list[str], list[int]]:
    """Repeat the rows of rare classes.

    Every row that is added is a copy of one of its class, or one without its stop words.

    Args:
        texts: Texts.
        classes: Class of each.
        correction: How.

    Returns:
        Texts and classes, the given rows first.
    """
    taken, numbers = list(texts), list(classes)
    if correction.stop_words:
        rare = {number for number, count in _repetitions(numbers, correction).items() if count > 1}
        for text, number in zip(texts, classes, strict=True):
            if number in rare and (short := without_stop_words(text)):
                taken.append(short)
                numbers.append(number)
    counts = _repetitions(numbers, correction)
    for text, number in list(zip(taken, numbers, strict=True)):
        taken += [text] * (counts[number] - 1)
        numbers += [number] * (counts[number] - 1)
    return taken, numbers


def without_stop_words(text: str) -> str | None:
    """The other words of a text, or None where there are none, or no stop words.

    The list is scikit-learn's for English, as the paper's own is not published.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = text.split()
    kept = [word for word in words if word.lower() not in ENGLISH_STOP_WORDS]
    return " ".join(kept) if kept and len(kept) < len(words) else None


def path_of(label: Label, separator: str) -> Levels:
    """Levels of a label, e.g. ``LOC:city`` of two; one where it has no separator.

    Args:
        label: The label.
        separator: What separates levels, or an empty text for none.
    """
    return tuple(label.split(separator)) if separator and isinstance(label, str) else (str(label),)


def cosine_of(left: Levels, right: Levels, depth: int) -> float:
    """Cosine that texts of two labels should have: 1 for the same, else the share of equal levels.

    Levels are equal from the first one on: of two levels, a label that agrees with another in the
    second alone has nothing in common with it.

    Args:
        left: Levels of a label.
        right: Levels of the other.
        depth: Levels D of the deepest label.
    """
    if left == right:
        return 1.0
    same = 0
    for left_level, right_level in zip(left, right, strict=False):
        if left_level != right_level:
            break
        same += 1
    return same / depth


def shuffles(classes: int, factor: int) -> int:
    """How often the rows are shuffled for pairs: factor·⌊log₂ K⌋, the factor for K ≥ 100.

    Args:
        classes: Number K of classes.
        factor: A, "epochs" of pairs in the paper.
    """
    return factor if classes >= MANY_CLASSES else factor * max(1, classes.bit_length() - 1)


def draw_pairs(
    texts: Sequence[str],
    paths: Sequence[Levels],
    times: int,
    seed: int,
    limit: int | None = None,
) -> Pairs:
    """Align shuffles of the rows, and keep as many pairs of each cosine as the rarest has.

    No text is paired with itself, and no two texts twice, in either order; the paper's code does
    both. All cosines are balanced among those that were drawn.

    Args:
        texts: Texts, a text several times where it is to be drawn more often.
        paths: Levels of the label of each.
        times: Shuffles of either side.
        seed: Seed of the shuffles.
        limit: Most pairs, or None for all.

    Returns:
        Pairs in a random order.
    """
    rng = np.random.default_rng(seed)
    left, right = (
        np.concatenate([rng.permutation(len(texts)) for _ in range(times)]) for _ in range(2)
    )
    met = [*zip(left.tolist(), right.tolist(), strict=True)]
    if all(texts[left_row] == texts[right_row] for left_row, right_row in met):
        # Few texts may have met none but themselves.
        met = [*combinations({text: row for row, text in enumerate(texts)}.values(), 2)]
    depth = max(map(len, paths))
    pairs: dict[frozenset[str], tuple[tuple[str, str], float]] = {}
    for left_row, right_row in met:
        key = frozenset((texts[left_row], texts[right_row]))
        if len(key) == 2 and key not in pairs:
            pairs[key] = (
                (texts[left_row], texts[right_row]),
                cosine_of(paths[left_row], paths[right_row], depth),
            )
    kept = _balanced([*pairs.values()], limit)
    order = rng.permutation(len(kept)).tolist()
    return Pairs([kept[i][0] for i in order], [kept[i][1] for i in order])


def _balanced(
    pairs: Sequence[tuple[tuple[str, str], float]], limit: int | None
) -> list[tuple[tuple[str, str], float]]:
    counts = Counter(cosine for _, cosine in pairs)
    if not counts:
        return []
    share = min(counts.values())
    if limit is not None:
        share = max(1, min(share, limit // len(counts)))
    taken: Counter[float] = Counter()
    kept = []
    # They come in a random order already.
    for pair, cosine in pairs:
        if taken[cosine] < share:
            taken[cosine] += 1
            kept.append((pair, cosine))
    return kept


def _repetitions(classes: Sequence[int], correction: Correction) -> dict[int, int]:
    sizes = Counter(classes)
    largest = max(sizes.values())
    return {number: repetitions(size, largest, correction) for number, size in sizes.items()}
