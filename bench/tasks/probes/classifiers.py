"""The support vector machine, random forest and naive Bayes of SentEval+, by scikit-learn.

SentEval+ is the code of arXiv 2407.12886. It gives each of them one setting, that of the library,
so that folds have nothing to choose. Its seeds are drawn anew for each run; here all is seeded by
1111, as the folds are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bench.tasks.probes.base import ClassNumbers, FeatureMatrix, ProbeRows

SEED = 1111
ClassifierName = Literal["svm", "rf", "nb"]


def _support_vectors(c: float) -> Any:
    return make_pipeline(StandardScaler(), SVC(C=c, kernel="rbf", gamma="scale"))


def _forest(trees: float) -> Any:
    return RandomForestClassifier(n_estimators=int(trees), random_state=SEED)


def _naive_bayes(smoothing: float) -> Any:
    return GaussianNB(var_smoothing=smoothing)


# What makes one with a value of its knob, and the one value.
_MADE: Mapping[ClassifierName, tuple[Callable[[float], Any], float]] = {
    "svm": (_support_vectors, 1.0),
    "rf": (_forest, 100),
    "nb": (_naive_bayes, 1e-9),
}


class SklearnClassifier:
    """A classifier of scikit-learn with one setting.

    ``svm`` has a Gaussian kernel on features scaled to mean 0 and variance 1, and C = 1; ``rf`` 100
    trees of any depth; ``nb`` a Gaussian for each class and feature.

    Args:
        name: Which of them.
    """

    def __init__(self, name: ClassifierName) -> None:
        self._make, value = _MADE[name]
        self._name = name
        self.grid = self.grid_cross_validated = (value,)

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Leave rows as they are: trees and variances of features change where they are turned."""
        return parts

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Accuracy on the dev rows for each value of a grid."""
        return np.array([np.mean(self.predict(train, None, c, dev.x) == dev.y) for c in grid])

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit on the training rows alone.

        Raises:
            ValueError: The rows are of one class, have features that are not finite, or, for
                ``nb``, all the same ones.
        """
        if len(np.unique(train.y)) < 2:
            raise ValueError("all rows that it is fitted on are of one class")
        # Trees would take what is not a number as missing.
        if not (np.isfinite(train.x).all() and np.isfinite(x).all()):
            raise ValueError("features are not finite")
        if self._name == "nb" and not np.ptp(train.x, axis=0).any():
            raise ValueError("all rows that it is fitted on have the same features")
        model = self._make(value).fit(train.x, train.y)
        return np.asarray(model.predict(x), dtype=np.int64)
