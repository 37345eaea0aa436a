"""Metrics of labels and probabilities equal scikit-learn's, in every resample."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score, roc_auc_score

from bench.metrics.classification import (
    SMALLEST,
    auroc_replicates,
    label_replicates,
    log_losses,
)
from bench.stats.bootstrap import resample_counts

RNG = np.random.default_rng(0)
CLASSES, ROWS = 5, 60
# The fourth class is rare and the last one never there, so that resamples lose classes.
GOLD = np.array([*RNG.integers(0, 3, ROWS - 1), 3])
PREDICTED = np.where(RNG.random(ROWS) < 0.6, GOLD, RNG.integers(0, 4, ROWS))
VALUES = np.round(RNG.dirichlet(np.ones(CLASSES), ROWS), 1) + 0.01
VALUES /= VALUES.sum(axis=1, keepdims=True)
COUNTS = resample_counts(ROWS, np.random.default_rng(1), 130)
SHOWN = [0, 3, 99, 101, 129]


def test_macro_averages() -> None:
    found = label_replicates(PREDICTED, GOLD, CLASSES, COUNTS)
    for row in SHOWN:
        drawn = np.repeat(np.arange(ROWS), COUNTS[row])
        for name, metric in (
            ("f1_macro", f1_score),
            ("precision_macro", precision_score),
            ("recall_macro", recall_score),
        ):
            expected = metric(GOLD[drawn], PREDICTED[drawn], average="macro", zero_division=0)
            assert found[name][row] == pytest.approx(expected)


def test_log_loss() -> None:
    expected = log_loss(GOLD, VALUES, labels=range(CLASSES))
    assert log_losses(VALUES, GOLD).mean() == pytest.approx(expected)
    assert log_losses(np.array([[0.0, 1.0]]), np.array([0])) == pytest.approx(-np.log(SMALLEST))
    assert np.isfinite(log_losses(np.array([[1.0, 0.0]]), np.array([1]))).all()


def test_area_under_the_curve() -> None:
    found = auroc_replicates(VALUES, GOLD, COUNTS)
    for row in SHOWN:
        drawn = np.repeat(np.arange(ROWS), COUNTS[row])
        areas = [
            roc_auc_score(GOLD[drawn] == number, VALUES[drawn, number])
            for number in np.unique(GOLD[drawn])
        ]
        assert found[row] == pytest.approx(np.mean(areas))


def test_areas_at_the_edge() -> None:
    once = np.ones((1, 4), dtype=np.int16)
    gold = np.array([0, 0, 1, 1])
    sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    assert auroc_replicates(sure, gold, once)[0] == 1
    assert auroc_replicates(sure[::-1], gold, once)[0] == 0
    assert auroc_replicates(np.full((4, 2), 0.5), gold, once)[0] == 0.5
    assert np.isnan(auroc_replicates(sure, np.zeros(4, int), once)[0])


def test_models_of_folds_are_not_ranked_together() -> None:
    # Shares of the other folds' labels, as a classifier has that never looks at a text.
    gold = np.array([0] * 12 + [1])
    fold = np.arange(13) % 3
    rare = np.array([gold[fold != one].mean() for one in fold])
    values = np.stack([1 - rare, rare], axis=1)
    counts = resample_counts(13, np.random.default_rng(0), 50)
    assert auroc_replicates(values, gold, counts[:1] * 0 + 1)[0] < 0.2
    found = auroc_replicates(values, gold, counts, fold)
    assert {*found[np.isfinite(found)]} == {0.5}
    # Where only one class is left, in all folds, there is no area.
    np.testing.assert_array_equal(np.isnan(found), counts[:, 12] == 0)
    with_one = auroc_replicates(VALUES, GOLD, COUNTS, np.zeros(ROWS, int))
    np.testing.assert_array_equal(with_one, auroc_replicates(VALUES, GOLD, COUNTS))
