"""Models of the ensemble: what they learn from, and how they are made by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.method import Item
from bench.methods.ensemble.targets import Floats

FEATURES = 50_000


@dataclass(frozen=True)
class MemberRows:
    """Texts or pairs to learn from or to predict.

    Attributes:
        items: The n texts or pairs.
        neighbours: Retrieved texts of each, rows of the pool (n, K), −1 where there is none.
        targets: Probabilities or scores (n, o), none where they are to be predicted.
    """

    items: Sequence[Item]
    neighbours: NDArray[np.intp]
    targets: Floats | None = None

    def without_context(self) -> MemberRows:
        """The same with no retrieved texts."""
        return MemberRows(self.items, np.full_like(self.neighbours, -1), self.targets)

    def __add__(self, other: MemberRows) -> MemberRows:
        """These and others, both to learn from."""
        if self.targets is None or other.targets is None:
            raise ValueError("examples without targets cannot be learnt from")
        return MemberRows(
            [*self.items, *other.items],
            np.concatenate([self.neighbours, other.neighbours]),
            np.concatenate([self.targets, other.targets]),
        )


@dataclass(frozen=True)
class MemberOutputs:
    """Outputs (n, o), and how much the context adds to each text, (n,)."""

    outputs: Floats
    context_share: Floats


class Member(Protocol):
    """A model of the ensemble."""

    def fit(self, stages: Sequence[MemberRows], seed: int) -> None:
        """Learn from examples, one stage after the other."""

    def predict(self, examples: MemberRows) -> MemberOutputs:
        """Predict probabilities by class, or scores."""


class TfidfMember:
    """Ridge regression on TF-IDF weights of character n-grams: a model of another family.

    It learns from soft labels, and like the others by squared error. Of a pair it sees the
    differences and the products of both texts' weights. It reads no retrieved texts, and learns
    from the examples of all stages at once.

    Args:
        classes: Whether the targets are classes.
    """

    def __init__(self, *, classes: bool) -> None:
        self._classes = classes
        self._weights: Any = None
        self._ridge: Any = None

    def fit(self, stages: Sequence[MemberRows], seed: int) -> None:
        """Fit the weights and the regression."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge

        items = [item for stage in stages for item in stage.items]
        targets = np.concatenate([stage.targets for stage in stages if stage.targets is not None])
        self._weights = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), max_features=FEATURES, sublinear_tf=True
        )
        self._weights.fit([text for item in items for text in item])
        self._ridge = Ridge(random_state=seed).fit(self._features(items), targets)

    def predict(self, examples: MemberRows) -> MemberOutputs:
        """Predict probabilities by class, or scores."""
        flat = self._ridge.predict(self._features(examples.items))
        outputs = np.asarray(flat).reshape(len(examples.items), -1)
        if self._classes:
            outputs = outputs.clip(1e-6, 1)
            outputs /= outputs.sum(axis=1, keepdims=True)
        return MemberOutputs(outputs, np.zeros(len(outputs)))

    def _features(self, items: Sequence[Item]) -> Any:
        from scipy.sparse import hstack

        columns = [self._weights.transform(column) for column in zip(*items, strict=True)]
        if len(columns) == 1:
            return columns[0]
        first, second = columns
        return hstack([abs(first - second), first.multiply(second)]).tocsr()
