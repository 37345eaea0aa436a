"""Metrics of predicted labels, each for the rows as they are and for resamples of them.

A resample is a vector of counts, see ``bench.stats.bootstrap``; the rows as they are count once
each. Macro averages are over the classes that a resample has among its gold or predicted labels,
as scikit-learn averages them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import chunks
from bench.metrics.groups import Groups

# The smallest probability that a logarithm is taken of, as scikit-learn does.
SMALLEST = float(np.finfo(np.float64).eps)


def label_replicates(
    predicted: NDArray[np.int64], gold: NDArray[np.int64], classes: int, counts: NDArray[np.int16]
) -> Mapping[str, NDArray[np.float64]]:
    """Macro F1, precision and recall of resamples; a class that is never predicted has precision 0.

    Args:
        predicted: Numbers of the predicted classes, (n,).
        gold: Numbers of the right ones, (n,).
        classes: Number K of classes.
        counts: Resampling counts of shape (R, n).

    Returns:
        ``f1_macro``, ``precision_macro`` and ``recall_macro``, float64 of shape (R,) each.
    """
    right = np.flatnonzero(predicted == gold)
    groups = Groups(predicted, classes), Groups(gold, classes), Groups(gold[right], classes, right)
    guessed, there, hits = (
        np.concatenate([one.sums(chunk) for chunk in chunks(counts)]) for one in groups
    )
    precision, recall = _divided(hits, guessed), _divided(hits, there)
    counted = guessed + there > 0
    return {
        "f1_macro": _mean(_divided(2 * hits, guessed + there), counted),
        "precision_macro": _mean(precision, counted),
        "recall_macro": _mean(recall, counted),
    }


def log_losses(values: NDArray[np.float64], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Negative logarithm of the probability of each right class, at most 36.04, in nats.

    Args:
        values: Probabilities of shape (n, K).
        gold: Numbers of the right classes, (n,).
    """
    given = values[np.arange(len(gold)), gold]
    return np.asarray(-np.log(np.clip(given, SMALLEST, 1)))


def auroc_replicates(
    values: NDArray[np.float64],
    gold: NDArray[np.int64],
    counts: NDArray[np.int16],
    fold: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """Area under the ROC curve of resamples: mean over classes of each against the others.

    A class counts in a resample that has rows of it and of others. Ties count one half, so that a
    class whose probability is 0 everywhere has one half.

    Args:
        values: Probabilities of shape (n, K).
        gold: Numbers of the right classes, (n,).
        counts: Resampling counts of shape (R, n).
        fold: Which of several models gave the probabilities of each row, (n,), for the mean over
            models. They are not to be ranked together: a model that was held more rows of a class
            has learned from fewer of them, and thinks it less likely just where it is frequent.

    Returns:
        Float64 of shape (R,), NaN where no class counts.
    """
    if fold is not None:
        parts = [fold == number for number in np.unique(fold)]
        by_fold = [auroc_replicates(values[rows], gold[rows], counts[:, rows]) for rows in parts]
        means = np.stack(by_fold, axis=1)
        return _mean(means, np.isfinite(means))
    by_class = [_auroc(values[:, number], gold == number, counts) for number in np.unique(gold)]
    areas = np.stack(by_class, axis=1)
    return _mean(areas, np.isfinite(areas))


def _auroc(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    right = positive[order]
    areas = []
    for chunk in chunks(counts):
        drawn = chunk[:, order].astype(np.float64)
        hits = np.add.reduceat(drawn * right, starts, axis=1)
        others = np.add.reduceat(drawn * ~right, starts, axis=1)
        below = others.cumsum(axis=1)
        won = np.einsum("ij,ij->i", hits, below - others / 2)
        pairs = hits.sum(axis=1) * below[:, -1]
        areas.append(np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0))
    return np.concatenate(areas)


def _divided(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(
        np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    )


def _mean(values: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of each row over what counts, NaN where nothing does."""
    total, number = np.where(counted, values, 0).sum(axis=1), counted.sum(axis=1)
    out = np.full(len(total), np.nan)
    return np.asarray(np.divide(total, number, out=out, where=number > 0))
