"""The most frequent label, whatever the text: the floor of a supervised track."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bench.method import (
    BuildContext,
    LabelledTexts,
    Method,
    MethodInfo,
    MostProbable,
    Probabilities,
)
from bench.training.classifiers.saved import LabelsOnly


class MajorityPredictor(MostProbable, LabelsOnly):
    """Predicts the most frequent training label; of several the one that comes first.

    One class is enough, and dev rows are not used.
    """

    def predict_proba(
        self,
        texts: Sequence[tuple[str, ...]],
        train: LabelledTexts,
        dev: LabelledTexts | None,
        *,
        seed: int,
    ) -> Probabilities:
        """Give every text the shares of the training labels."""
        counts = Counter(train.labels)
        shares = np.array([*counts.values()], dtype=np.float64) / len(train.labels)
        return Probabilities([*counts], np.tile(shares, (len(texts), 1)))


class Majority(Method):
    """Learns the shares of the labels and nothing of the texts."""

    info = MethodInfo(
        name="majority",
        title="Most frequent label",
        kind="static",
        requires=("numpy",),
    )

    def build(self, ctx: BuildContext) -> MajorityPredictor:
        """Make the predictor."""
        return MajorityPredictor(self.info.name)
