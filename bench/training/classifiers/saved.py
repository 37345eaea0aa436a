"""A trained classifier: an ordinary sentence transformer whose vectors are logits, and labels.

Its folder holds what the library saves, weights as safetensors, and ``labels.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import DataError
from bench.core.files import write_atomic
from bench.method import Answer, Label, LabelsOnly, Probabilities, Question
from bench.training.classifiers.rows import single_texts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LABELS_FILE = "labels.json"
PREDICT_BATCH = 64


@dataclass(frozen=True)
class Classifier:
    """A network that gives a logit for each label.

    Attributes:
        model: The network.
        labels: The K labels, in the order of the logits.
    """

    model: SentenceTransformer
    labels: tuple[Label, ...]

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Label texts; an empty one is labelled as any other.

        Returns:
            The softmax of the logits, float64 of shape (n, K).
        """
        from scipy.special import softmax

        logits = self.model.encode(
            list(texts), batch_size=PREDICT_BATCH, show_progress_bar=False, convert_to_numpy=True
        )
        return Probabilities(self.labels, softmax(np.asarray(logits, dtype=np.float64), axis=1))


class SavedClassifier(LabelsOnly):
    """A classifier that was trained before: training rows are not looked at.

    Args:
        name: Name of the method.
        classifier: The classifier.
    """

    def __init__(self, name: str, classifier: Classifier) -> None:
        super().__init__(name)
        self._classifier = classifier

    def answer(self, question: Question) -> Answer:
        """Answer with the labels that the classifier was trained on.

        Raises:
            CellError: Rows hold two texts.
        """
        texts = single_texts(question.texts)
        return Answer.most_probable(self._classifier.probabilities(texts))


def write_labels(folder: Path, labels: Sequence[Label]) -> None:
    """Write the labels of a classifier into its folder."""
    content = json.dumps(list(labels), ensure_ascii=False, allow_nan=False)
    write_atomic(folder / LABELS_FILE, content.encode())


def read_labels(folder: Path) -> tuple[Label, ...]:
    """Read the labels of a classifier.

    Raises:
        DataError: The folder holds none.
    """
    path = folder / LABELS_FILE
    try:
        labels: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(label, str | int) for label in labels):
        raise DataError(f"{folder} holds no classifier: it has no list of labels in {LABELS_FILE}")
    return tuple(labels)


def make_classifier(model: SentenceTransformer, folder: Path) -> Classifier:
    """Make a classifier of a network that is loaded, and the labels in its folder.

    Raises:
        DataError: The folder has no labels, or not as many as the network has logits.
    """
    labels = read_labels(folder)
    logits = model.get_embedding_dimension()
    if logits != len(labels):
        raise DataError(f"{folder} is damaged: {len(labels)} labels for {logits} logits")
    return Classifier(model, labels)
