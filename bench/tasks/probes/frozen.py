"""Predictors on frozen vectors: what a method that only encodes is asked through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.method import Answer, Item, LabelledTexts, Probabilities, Question
from bench.tasks.base import Embed
from bench.tasks.probes import protocols
from bench.tasks.probes.base import FeatureMatrix, ProbeRows
from bench.tasks.probes.devices import CPU, logistic
from bench.tasks.probes.logistic import LogisticModel

# Of a list of columns of vectors, the features of its rows.
Combine = Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]]


class FrozenClassifier:
    """Logistic regression on the vectors of texts, by the protocol of the frozen track.

    The dev rows choose the regularisation, or folds of the training rows where there are none.

    Args:
        embed: Encodes texts.
        combine: Makes features of the vectors of each column of texts.
        folds: Folds of the training rows.
        device: Torch device of the regression.
    """

    def __init__(self, embed: Embed, combine: Combine, folds: int, device: str = CPU) -> None:
        self._embed = embed
        self._combine = combine
        self._folds = folds
        self._device = device

    def answer(self, question: Question) -> Answer:
        """Label rows as the training rows are; seed and pool are not used.

        Raises:
            CellError: The rows are too few for the folds, or are of one label.
        """
        train, dev = question.train, question.dev
        parts = [question.texts, train.texts, *([] if dev is None else [dev.texts])]
        x, fit, *held = features(parts, self._embed, self._combine)
        known = [*train.labels, *([] if dev is None else dev.labels)]
        labels = sorted(set(known), key=lambda label: (isinstance(label, str), label))
        number = {label: i for i, label in enumerate(labels)}

        def numbered(part: LabelledTexts) -> NDArray[np.int64]:
            return np.array([number[label] for label in part.labels])

        rows = ProbeRows(fit, numbered(train))
        checked = None if dev is None else ProbeRows(held[0], numbered(dev))
        try:
            model, x = self._fitted(rows, checked, x)
        except ValueError as error:
            raise CellError(f"the probe failed: {error}") from error
        learned = [labels[column] for column in model.classes]
        return Answer.most_probable(Probabilities(learned, model.probabilities(x)))

    def _fitted(
        self, train: ProbeRows, dev: ProbeRows | None, x: FeatureMatrix
    ) -> tuple[LogisticModel, FeatureMatrix]:
        """A model, and features as it takes them."""
        probe = logistic(self._device)
        with protocols.one_thread():
            parts = [train.x, x, *([] if dev is None else [dev.x])]
            fit, x, *held = probe.prepared(parts)
        train = ProbeRows(fit, train.y)
        if dev is None:
            best = protocols.best_by_folds(train, probe, self._folds)
        else:
            with protocols.one_thread():
                best = protocols.best_by_dev(train, ProbeRows(held[0], dev.y), probe)
        with protocols.one_thread():
            return probe.fit(train, best), x


class FrozenScorer:
    """SentEval's probe of relatedness on the vectors of pairs.

    Args:
        embed: Encodes texts.
        combine: Makes features of the vectors of each column of texts.
        classes: Largest whole score.
        device: Torch device of the probe.
    """

    def __init__(self, embed: Embed, combine: Combine, classes: int, device: str = CPU) -> None:
        self._embed = embed
        self._combine = combine
        self._classes = classes
        self._device = device

    def answer(self, question: Question) -> Answer:
        """Score pairs; seed and pool are not used.

        Where there are no dev rows, the probe stops on a fifth of the training rows that it does
        not learn from, the same ones for every encoder and seed.

        Raises:
            CellError: There are no dev rows, and too few training rows to spare any.
        """
        from bench.tasks.probes.senteval_relatedness import predict_scores

        train, dev = question.train, question.dev
        if dev is None:
            train, dev = _held_out(train)
        texts = [question.texts, train.texts, dev.texts]
        x, fit, held = features(texts, self._embed, self._combine)
        gold = [np.array(part.labels, dtype=np.float64) for part in (train, dev)]
        train_rows, dev_rows = (fit, gold[0]), (held, gold[1])
        scores = predict_scores(train_rows, dev_rows, x, self._classes, self._device)
        return Answer(scores.tolist())


def _held_out(train: LabelledTexts) -> tuple[LabelledTexts, LabelledTexts]:
    """Four fifths of the rows, and the other one."""
    order = np.random.RandomState(protocols.SENTEVAL_SEED).permutation(len(train.texts)).tolist()
    size = len(order) // 5
    if size < 1:
        raise CellError("the probe of relatedness needs dev rows to stop on; name them as dev")
    fit, held = (
        LabelledTexts([train.texts[i] for i in rows], [train.labels[i] for i in rows])
        for rows in (order[size:], order[:size])
    )
    return fit, held


def features(
    parts: Sequence[Sequence[Item]], embed: Embed, combine: Combine
) -> list[NDArray[np.float32]]:
    """Features of the rows of several parts, all their texts encoded at once.

    Args:
        parts: Rows of one text or several.
        embed: Encodes texts.
        combine: Makes features of the vectors of each column.
    """
    texts = list(dict.fromkeys(text for rows in parts for row in rows for text in row))
    place = {text: i for i, text in enumerate(texts)}
    vectors = embed(texts)
    return [
        combine([vectors[[place[text] for text in column]] for column in zip(*rows, strict=True)])
        for rows in parts
    ]
