"""How much of a test set a method has seen in training: texts that are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NOT_LETTERS = re.compile(r"\W+")


@dataclass(frozen=True)
class Overlap:
    """Distinct texts of a test set that were trained on.

    Attributes:
        texts: Distinct texts of the test set.
        exact: Those of them that were trained on as they are.
        normalised: Those that were, but for case, punctuation and blanks.
    """

    texts: int
    exact: int
    normalised: int


class TrainingText:
    """The texts that a method trained on.

    Args:
        texts: The texts.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._exact = set(texts)
        self._normalised = {normalise(text) for text in self._exact} - {""}

    def __bool__(self) -> bool:
        return bool(self._exact)

    def overlap(self, texts: Iterable[str]) -> Overlap:
        """Count the distinct texts of a test set that are among them."""
        distinct = set(texts)
        return Overlap(
            texts=len(distinct),
            exact=sum(text in self._exact for text in distinct),
            normalised=sum(normalise(text) in self._normalised for text in distinct),
        )


def row_key(texts: Iterable[str]) -> tuple[str, ...]:
    """The same for rows whose texts differ in case, punctuation or their order alone.

    A text without letters and digits, of which nothing would be left, counts as it is.
    """
    return tuple(sorted(normalise(text) or text for text in texts))


def normalise(text: str) -> str:
    """Keep letters and digits, in lower case, words apart by one space."""
    return _NOT_LETTERS.sub(" ", text.lower()).strip()
