"""Our logistic regression against scikit-learn's optimum, and what turning the rows leaves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bench.tasks.probes import protocols
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.logistic import Logistic, LogisticProblem, principal_axes
from tests.tasks.probes.test_protocols import blobs


def wide(n: int, d: int, classes: int) -> ProbeRows:
    """Rows of more features than rows, far from zero, some features far larger than others."""
    rng = np.random.default_rng(5)
    y = np.arange(n) % classes
    x = 3 + rng.normal(size=(n, d)) * np.geomspace(0.01, 3, d) + rng.normal(size=(classes, d))[y]
    return ProbeRows(x.astype(np.float32), y)


def optimum(rows: ProbeRows, c: float) -> LogisticRegression:
    """Scikit-learn's model, by another solver."""
    model = LogisticRegression(C=c, max_iter=10_000, tol=1e-10, solver="newton-cholesky")
    return model.fit(rows.x.astype(np.float64), rows.y)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("rows", [blobs(300, 5, 2.0), wide(40, 60, 5)], ids=["blobs", "wide"])
@pytest.mark.parametrize("c", [0.25, 8.0])
def test_probabilities_are_those_of_scikit_learn(rows: ProbeRows, classes: int, c: float) -> None:
    rows = ProbeRows(rows.x, 7 + rows.y % classes)
    found, expected = LogisticProblem(rows).fit(c), optimum(rows, c)
    assert found.classes.tolist() == expected.classes_.tolist()
    exact = expected.predict_proba(rows.x.astype(np.float64))
    np.testing.assert_allclose(found.probabilities(rows.x), exact, atol=1e-2)
    clear = np.ptp(np.sort(exact, axis=1)[:, -2:], axis=1) > 0.02
    assert clear.sum() > 20
    assert (found.predict(rows.x) == expected.predict(rows.x))[clear].all()


@pytest.mark.parametrize("classes", [2, 5])
def test_principal_axes_leave_every_model_as_it_was(classes: int) -> None:
    rows = wide(60, 90, classes)
    train, other = rows.take(np.arange(40)), rows.take(np.arange(40, 60))
    turned, others = principal_axes([train.x, other.x])
    assert turned.shape == (40, 40)
    assert others.shape == (20, 40)
    covariance = turned.T @ turned
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-2)
    assert np.diag(covariance).max() > 100
    np.testing.assert_allclose(
        LogisticProblem(ProbeRows(turned, train.y)).fit(2.0).probabilities(others),
        optimum(train, 2.0).predict_proba(other.x.astype(np.float64)),
        atol=1e-2,
    )


def test_a_path_ends_where_a_fit_from_zero_does() -> None:
    rows = blobs(200, 3, 2.0)
    problem = LogisticProblem(rows)
    weak = problem.fit(8.0, problem.fit(0.25))
    np.testing.assert_allclose(weak.weights, problem.fit(8.0).weights, atol=1e-2)


def test_nested_folds_predict_what_scikit_learn_predicts() -> None:
    rows = wide(90, 120, 3)
    predicted, fold = protocols.nested_folds(rows, _One(), 3)
    for number in range(3):
        train, test = (rows.take(np.flatnonzero(part)) for part in (fold != number, fold == number))
        expected = optimum(train, 1.0).predict(test.x.astype(np.float64))
        assert np.sum(predicted[fold == number] != expected) <= 1


class _One(Logistic):
    grid = (1.0,)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_not_finite_is_refused(value: float) -> None:
    rows = blobs(30, 3, 1.0)
    rows.x[7, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        LogisticProblem(rows)


def test_rows_of_one_class_are_refused() -> None:
    rows = blobs(30, 3, 1.0)
    with pytest.raises(ValueError, match="one class"):
        LogisticProblem(ProbeRows(rows.x, np.zeros_like(rows.y)))
