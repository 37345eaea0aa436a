"""The most frequent label, whatever the text: the floor of a supervised track."""

from __future__ import annotations

from collections import Counter

import numpy as np

from bench.method import (
    Answer,
    BuildContext,
    LabelsOnly,
    Method,
    MethodInfo,
    Probabilities,
    Question,
)


class MajorityPredictor(LabelsOnly):
    """Predicts the most frequent training label; of several the one that comes first.

    One class is enough, and dev rows are not used.
    """

    def answer(self, question: Question) -> Answer:
        """Give every text the shares of the training labels."""
        labels = question.train.labels
        counts = Counter(labels)
        shares = np.array([*counts.values()], dtype=np.float64) / len(labels)
        values = np.tile(shares, (len(question.texts), 1))
        return Answer.most_probable(Probabilities([*counts], values))


class Majority(Method):
    """Learns the shares of the labels and nothing of the texts."""

    info = MethodInfo(
        name="majority",
        title="Most frequent label",
        kind="static",
        requires=("numpy",),
        example="--suite intent-supervised --methods majority",
    )

    def build(self, ctx: BuildContext) -> MajorityPredictor:
        """Make the predictor."""
        return MajorityPredictor(self.info.name)
