"""Protocols of probes: what they fit on, what they predict, and that nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from bench.tasks.probes import protocols
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.logistic import Logistic
from bench.tasks.probes.senteval_relatedness import split_scores
from bench.tasks.probes.senteval_torch import SentEvalTorch


def blobs(n: int, classes: int, noise: float, seed: int = 0) -> ProbeRows:
    """Points around class centres."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 8))
    return ProbeRows((centres[y] + noise * rng.normal(size=(n, 8))).astype(np.float32), y)


class Spy:
    """Remembers what it was given; predicts class 0."""

    grid = (1.0, 2.0)
    grid_cross_validated = (3.0, 4.0)

    def __init__(self) -> None:
        self.paths, self.fits = [], []

    def prepared(self, parts):
        return parts

    def path(self, train, dev, grid):
        self.paths.append((set(train.x[:, 0]), set(dev.x[:, 0]), tuple(grid)))
        return np.array([0.1, 0.9])

    def predict(self, train, dev, value, x):
        self.fits.append((set(train.x[:, 0]), None if dev is None else len(dev), value))
        return np.zeros(len(x), dtype=np.int64)


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs in this process, so that a spy sees them."""
    monkeypatch.setattr(
        protocols, "_parallel", lambda function, jobs: [function(*job) for job in jobs]
    )


def numbered(n: int) -> ProbeRows:
    """Rows that can be told apart."""
    return ProbeRows(np.arange(n, dtype=np.float32)[:, None], np.arange(n) % 3)


@pytest.mark.usefixtures("serial")
def test_nested_folds_never_see_the_rows_they_predict() -> None:
    spy, data = Spy(), numbered(30)
    predicted, fold = protocols.nested_folds(data, spy, 5)
    assert len(predicted) == 30
    assert np.bincount(fold).tolist() == [6] * 5
    assert len(spy.fits) == 5
    assert len(spy.paths) == 25
    for number, (train, dev, value) in enumerate(spy.fits):
        outside = {float(i) for i in np.flatnonzero(fold == number)}
        assert not train & outside
        assert train | outside == {float(i) for i in range(30)}
        assert dev is None
        assert value == 2.0
        for fit, check, grid in spy.paths[5 * number : 5 * number + 5]:
            assert fit | check == train
            assert not fit & check
            assert grid == spy.grid
    for number in range(5):
        assert np.bincount(data.y[fold == number]).tolist() == [2, 2, 2]


@pytest.mark.usefixtures("serial")
def test_each_outer_fold_chooses_by_its_own_inner_folds() -> None:
    class Choosing(Spy):
        """Prefers the first value wherever row 0 is among the rows to choose on."""

        def path(self, train, dev, grid):
            return np.array([0.5 + (0.0 in {*train.x[:, 0], *dev.x[:, 0]}), 1.0])

    spy = Choosing()
    protocols.nested_folds(numbered(30), spy, 5)
    assert [value for _, _, value in spy.fits].count(2.0) == 1
    assert {0.0 in train: value for train, _, value in spy.fits} == {True: 1.0, False: 2.0}


@pytest.mark.usefixtures("serial")
def test_folds_of_the_training_rows_choose_for_the_test_rows() -> None:
    spy, train = Spy(), numbered(30)
    protocols.cross_validated(train, np.zeros((4, 1), np.float32), spy, 3)
    assert [grid for _, _, grid in spy.paths] == [spy.grid_cross_validated] * 3
    assert spy.fits == [({float(i) for i in range(30)}, None, 4.0)]


def test_dev_rows_choose_for_the_test_rows() -> None:
    spy, train = Spy(), numbered(9)
    protocols.dev_split(train, numbered(6), np.zeros((4, 1), np.float32), spy)
    assert spy.paths == [({float(i) for i in range(9)}, {float(i) for i in range(6)}, spy.grid)]
    assert spy.fits == [({float(i) for i in range(9)}, 6, 2.0)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=5, max_size=60), st.integers(1, 9))
def test_few_shot_takes_the_same_number_of_each_class(labels, per_label: int) -> None:
    experiments = protocols.few_shot_rows(labels, per_label, 4)
    assert len(experiments) == 4
    for rows in experiments:
        assert len(set(rows)) == len(rows)
        for label in set(labels):
            taken = sum(labels[row] == label for row in rows)
            assert taken == min(per_label, labels.count(label))


def test_warm_started_path_ends_where_cold_fits_do() -> None:
    train, dev = blobs(300, 3, 2.0), blobs(200, 3, 2.0, seed=1)
    probe = Logistic()
    cold = [
        LogisticRegression(C=c, max_iter=1000).fit(train.x, train.y).score(dev.x, dev.y)
        for c in probe.grid
    ]
    np.testing.assert_allclose(probe.path(train, dev, probe.grid), cold, atol=0.0101)


# SentEval's loop stops early by counting checks, so it needs rows enough for its steps.
@pytest.mark.parametrize(("make", "n"), [(Logistic, 120), (lambda: SentEvalTorch(3), 1200)])
def test_probes_learn_what_can_be_learned(make, n: int) -> None:
    easy, noise = blobs(n, 3, 0.1), blobs(n, 3, 1e3)
    assert np.mean(protocols.nested_folds(easy, make(), 3)[0] == easy.y) > 0.99
    assert abs(np.mean(protocols.nested_folds(noise, make(), 3)[0] == noise.y) - 1 / 3) < 0.15


def test_torch_probe_counts_failures_in_total_and_not_in_a_row(monkeypatch) -> None:
    scores = iter([0.2, 0.1, 0.3, 0.2, 0.4, 0.4, 0.9])
    probe = SentEvalTorch(2, tenacity=2, epoch_size=1)
    data = blobs(8, 2, 1.0)
    checks = []

    def predict(weights, x):
        right = round(next(scores) * 10)
        checks.append(right)
        return np.where(np.arange(10) < right, 0, 1)[None]

    monkeypatch.setattr("bench.tasks.probes.senteval_torch._predict", predict)
    dev = ProbeRows(np.zeros((10, 8), np.float32), np.zeros(10, np.int64))
    # Failures: second, fourth, sixth check; the third of them ends the training.
    assert probe.path(data, dev, [0.0]).tolist() == [0.4]
    assert checks == [2, 1, 3, 2, 4, 4]


def test_scores_are_split_between_their_neighbours() -> None:
    np.testing.assert_allclose(
        split_scores(np.array([1.0, 3.7, 5.0, 0.4]), 5),
        [[1, 0, 0, 0, 0], [0, 0, 0.3, 0.7, 0], [0, 0, 0, 0, 1], [0.4, 0, 0, 0, 0]],
        atol=1e-12,
    )
