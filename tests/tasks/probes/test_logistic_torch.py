"""Logistic regression in torch, all folds at once, against the one on the CPU and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from bench.method import LabelledTexts
from bench.tasks.probes import devices, logistic_torch, protocols
from bench.tasks.probes.base import FoldsProbe, ProbeRows
from bench.tasks.probes.devices import logistic
from bench.tasks.probes.frozen import FrozenClassifier
from bench.tasks.probes.logistic import Logistic, LogisticModel, LogisticProblem, principal_axes
from bench.tasks.probes.logistic_torch import TorchLogistic
from bench.tasks.probes.mapped import MappedProbe
from tests.support.classifiers import asked
from tests.tasks.probes.test_logistic import optimum, wide
from tests.tasks.probes.test_protocols import blobs

# The device of these tests, which have no GPU.
TORCH = TorchLogistic("cpu")
GRID = Logistic.grid


def ill_conditioned(n: int, classes: int) -> ProbeRows:
    """Features of which some are a million times larger than others, and some almost equal."""
    rng = np.random.default_rng(7)
    rows = blobs(n, classes, 2.0, seed=3)
    twin = rows.x[:, :3] + 1e-4 * rng.normal(size=(n, 3))
    return ProbeRows(
        np.hstack([rows.x * np.geomspace(1e-4, 1e2, 8), twin]).astype(np.float32), rows.y
    )


def exact(rows: ProbeRows, c: float) -> np.ndarray:
    """Weights of scikit-learn's optimum, (K, d + 1), of two classes (1, d + 1)."""
    model = optimum(rows, c)
    return np.column_stack([model.coef_, model.intercept_])


def centred(weights: np.ndarray) -> np.ndarray:
    """Weights whose sum over several classes is 0, as only their differences count."""
    return weights if len(weights) == 1 else weights - weights.mean(axis=0)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("make", [lambda k: blobs(300, k, 2.0), lambda k: wide(40, 60, k)])
@pytest.mark.parametrize("c", [0.25, 8.0])
def test_weights_are_those_of_the_optimum(make, classes: int, c: float) -> None:
    rows = make(classes)
    rows = ProbeRows(rows.x, 7 + rows.y)
    found, expected, peer = TORCH.fit(rows, c), exact(rows, c), optimum(rows, c)
    assert found.classes.tolist() == sorted({*rows.y.tolist()})
    assert found.weights.shape == expected.shape
    # Features far from 0 leave the intercepts open, not what comes out.
    weights, others = centred(found.weights)[:, :-1], centred(expected)[:, :-1]
    np.testing.assert_allclose(weights, others, atol=1e-3)
    probabilities = peer.predict_proba(rows.x.astype(np.float64))
    np.testing.assert_allclose(found.probabilities(rows.x), probabilities, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("c", GRID)
def test_ill_conditioned_features_reach_the_optimum_too(classes: int, c: float) -> None:
    rows = ill_conditioned(200, classes)
    expected = optimum(rows, c).predict_proba(rows.x.astype(np.float64))
    np.testing.assert_allclose(TORCH.fit(rows, c).probabilities(rows.x), expected, atol=1e-4)


def splits_of(rows: ProbeRows, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return protocols._split(rows.y, folds)


@pytest.mark.parametrize("classes", [2, 3])
def test_folds_fitted_together_are_the_folds_fitted_one_by_one(classes: int) -> None:
    rows = blobs(150, classes, 2.0)
    splits = splits_of(rows, 4)
    paths = TORCH.paths(rows, splits, GRID)
    assert paths.shape == (4, len(GRID))
    for path, (fit, held) in zip(paths, splits, strict=True):
        alone = Logistic().path(rows.take(fit), rows.take(held), GRID)
        np.testing.assert_allclose(path, alone, atol=1 / len(held) + 1e-9)
    assert len({tuple(path) for path in paths}) > 1
    values = GRID[:4]
    for (fit, held), value, found in zip(
        splits, values, TORCH.predictions(rows, splits, values), strict=True
    ):
        expected = optimum(rows.take(fit), value).predict(rows.x[held])
        assert np.sum(found != expected) <= 1


def test_a_class_that_a_fold_lacks_is_never_predicted_there() -> None:
    rows = blobs(90, 4, 1.5)
    # Fold by fold: of four classes one is missing, then two, so that two are left.
    kept = [np.flatnonzero(rows.y != 1), np.flatnonzero(rows.y > 1), np.arange(90)]
    splits = [(fit, np.arange(90)) for fit in kept]
    for (fit, _), found in zip(splits, TORCH.predictions(rows, splits, (1.0,) * 3), strict=True):
        part = rows.take(fit)
        assert set(found.tolist()) == set(part.y.tolist())
        assert (found == optimum(part, 1.0).predict(rows.x)).mean() > 0.98
    models = logistic_torch._fit_all(
        rows, kept, [logistic_torch._Fit(number, 1.0) for number in range(3)], "cpu"
    )
    for model, fit in zip(models, kept, strict=True):
        expected = exact(rows.take(fit), 1.0)
        assert model.weights.shape == expected.shape
        np.testing.assert_allclose(centred(model.weights), centred(expected), atol=2e-4)


@pytest.mark.parametrize("limit", [("BLOCK", 100), ("TOGETHER", 30)])
def test_blocks_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch, limit) -> None:
    rows = blobs(80, 3, 2.0)
    splits = splits_of(rows, 3)
    whole = TORCH.fit(rows, 2.0).weights, TORCH.paths(rows, splits, GRID)
    monkeypatch.setattr(logistic_torch, *limit)
    np.testing.assert_allclose(TORCH.fit(rows, 2.0).weights, whole[0], atol=1e-5)
    np.testing.assert_array_equal(TORCH.paths(rows, splits, GRID), whole[1])


@pytest.mark.parametrize("shape", [(60, 90), (60, 20)])
def test_principal_axes_are_those_of_the_cpu(shape: tuple[int, int]) -> None:
    rows = wide(*shape, 3)
    train, other = rows.x[:40], rows.x[40:]
    found, expected = TORCH.prepared([train, other]), principal_axes([train, other])
    for part, peer in zip(found, expected, strict=True):
        assert (part.dtype, part.shape) == (np.float32, peer.shape)
        # Either end of an axis may be its positive one, which products do not tell.
        np.testing.assert_allclose(part @ found[0].T, peer @ expected[0].T, rtol=1e-4, atol=0.02)
    np.testing.assert_allclose((found[0] ** 2).sum(0), (expected[0] ** 2).sum(0), atol=0.05)


@pytest.mark.parametrize("rows", [blobs(120, 2, 2.0), wide(90, 120, 3)], ids=["blobs", "wide"])
def test_protocols_agree_with_the_cpu_within_one_item(rows: ProbeRows) -> None:
    thirds = np.random.default_rng(0).permutation(len(rows)).reshape(3, -1)
    train, dev, test = map(rows.take, thirds)
    x = test.x
    mapped = [
        MappedProbe(probe, lambda _: [lambda vectors: 2 * vectors], 1, lambda columns: columns[0])
        for probe in (TORCH, Logistic())
    ]
    for run in (
        lambda probe: protocols.nested_folds(rows, probe, 3)[0],
        lambda probe: protocols.cross_validated(train, x, probe, 3),
        lambda probe: protocols.dev_split(train, dev, x, probe),
    ):
        assert np.sum(run(TORCH) != run(Logistic())) <= 1
        assert np.sum(run(mapped[0]) != run(mapped[1])) <= 1


def test_nested_folds_are_fitted_in_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    fit_all = logistic_torch._fit_all
    monkeypatch.setattr(
        logistic_torch,
        "_fit_all",
        lambda rows, sets, wanted, device: (
            fits.append((len(sets), len(wanted))) or fit_all(rows, sets, wanted, device)
        ),
    )
    protocols.nested_folds(blobs(60, 2, 2.0), TORCH, 3)
    assert fits == [(9, 9 * len(GRID)), (3, 3)]


@pytest.mark.parametrize("dev", [False, True])
def test_frozen_classifiers_answer_alike(monkeypatch: pytest.MonkeyPatch, dev: bool) -> None:
    rows = blobs(140, 4, 1.0)
    labels = ["abcd"[number] for number in rows.y]
    texts = [(str(number),) for number in range(140)]
    parts = [LabelledTexts(texts[first::3], labels[first::3]) for first in range(2 + dev)]

    def embed(asked_for):
        return rows.x[[int(text) for text in asked_for]]

    def answer(device: str):
        classifier = FrozenClassifier(embed, lambda columns: columns[0], 3, device)
        return asked(classifier, texts[2::3], *parts)

    expected = answer("cpu")
    monkeypatch.setattr(devices, "CPU", "not this one")
    found = answer("cpu")
    assert found.probabilities.labels == expected.probabilities.labels
    assert not np.array_equal(found.probabilities.values, expected.probabilities.values)
    np.testing.assert_allclose(found.probabilities.values, expected.probabilities.values, atol=1e-2)
    assert sum(a != b for a, b in zip(found.labels, expected.labels, strict=True)) <= 1


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_not_finite_is_refused(value: float) -> None:
    rows = blobs(30, 3, 1.0)
    rows.x[7, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        TORCH.fit(rows, 1.0)


def test_rows_of_one_class_are_refused() -> None:
    rows = blobs(30, 3, 1.0)
    whole, one = np.arange(30), np.flatnonzero(rows.y == 1)
    with pytest.raises(ValueError, match="one class"):
        TORCH.predictions(rows, [(whole, whole), (one, whole)], (1.0, 1.0))


def test_only_other_devices_than_the_cpu_are_asked_of_torch() -> None:
    assert type(logistic("cpu")) is Logistic
    assert not isinstance(logistic("cpu"), FoldsProbe)
    assert type(logistic("cuda")) is TorchLogistic
    assert isinstance(logistic("cuda"), FoldsProbe)


def test_models_of_both_are_of_one_shape() -> None:
    rows = blobs(60, 2, 2.0)
    one, other = LogisticProblem(rows).fit(1.0), TORCH.fit(rows, 1.0)
    assert isinstance(other, LogisticModel)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-2)
