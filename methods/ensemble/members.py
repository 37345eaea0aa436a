"""Models of the ensemble: what they learn from, and how they are made by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.method import Item
from bench.methods.ensemble.targets import Floats

FEATURES = 50_000
# Of vectors whose numbers have a variance of 1.
PENALTIES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)


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


class RidgeMember(ABC):
    """Ridge regression on features of texts that nothing of here trains.

    It learns from soft labels, and like the others by squared error. Of a pair it sees the
    differences and the products of both texts' features. It reads no retrieved texts, and learns
    from the examples of all stages at once.

    Args:
        classes: Whether the targets are classes.
    """

    def __init__(self, *, classes: bool) -> None:
        self._classes = classes
        self._ridge: Any = None

    def fit(self, stages: Sequence[MemberRows], seed: int) -> None:
        """Fit what makes the features, and the regression."""
        items = [item for stage in stages for item in stage.items]
        targets = np.concatenate([stage.targets for stage in stages if stage.targets is not None])
        self._learn([text for item in items for text in item])
        self._ridge = self._regression(seed).fit(self._of_items(items), targets)

    def predict(self, examples: MemberRows) -> MemberOutputs:
        """Predict probabilities by class, or scores."""
        flat = self._ridge.predict(self._of_items(examples.items))
        outputs = np.asarray(flat).reshape(len(examples.items), -1)
        if self._classes:
            outputs = outputs.clip(1e-6, 1)
            outputs /= outputs.sum(axis=1, keepdims=True)
        return MemberOutputs(outputs, np.zeros(len(outputs)))

    def _of_items(self, items: Sequence[Item]) -> Any:
        columns = [self._features(column) for column in zip(*items, strict=True)]
        return columns[0] if len(columns) == 1 else self._of_pairs(*columns)

    @abstractmethod
    def _learn(self, texts: Sequence[str]) -> None:
        """Fit what makes the features."""

    @abstractmethod
    def _features(self, texts: Sequence[str]) -> Any:
        """Features (n, f) of texts."""

    @abstractmethod
    def _of_pairs(self, first: Any, second: Any) -> Any:
        """Differences and products of two matrices of features, (n, 2f)."""

    @abstractmethod
    def _regression(self, seed: int) -> Any:
        """A regression of scikit-learn, to be fitted."""


class TfidfMember(RidgeMember):
    """Ridge regression on TF-IDF weights of character n-grams: a model of another family."""

    def _learn(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._weights: Any = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), max_features=FEATURES, sublinear_tf=True
        )
        self._weights.fit(texts)

    def _features(self, texts: Sequence[str]) -> Any:
        return self._weights.transform(texts)

    def _of_pairs(self, first: Any, second: Any) -> Any:
        from scipy.sparse import hstack

        return hstack([abs(first - second), first.multiply(second)]).tocsr()

    def _regression(self, seed: int) -> Any:
        from sklearn.linear_model import Ridge

        return Ridge(random_state=seed)


class FrozenMember(RidgeMember):
    """Ridge regression on standardised vectors of a model that stays as it is.

    The penalty is chosen by leaving out one example at a time.

    Args:
        encode: Makes vectors (n, d) of texts.
        classes: Whether the targets are classes.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], NDArray[np.float32]], *, classes: bool
    ) -> None:
        super().__init__(classes=classes)
        self._encode = encode

    def _learn(self, texts: Sequence[str]) -> None:
        """There is nothing to fit."""

    def _features(self, texts: Sequence[str]) -> Any:
        return self._encode(texts).astype(np.float64)

    def _of_pairs(self, first: Any, second: Any) -> Any:
        return np.hstack([np.abs(first - second), first * second])

    def _regression(self, seed: int) -> Any:
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
