"""Every registered method, in profile smoke: it is built and keeps the contract of methods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bench.api import build_method
from bench.core.registry import METHODS, names, owner
from bench.core.spec import parse_method_spec
from bench.method import LabelledTexts, Predictor, make_method
from bench.testing import Finding, check_method
from tests.contract.small_methods import SETTINGS, spec
from tests.support import stub_methods
from tests.support.classifiers import asked

# Methods of other distributions are checked with the settings that they bring.
NAMES = names(METHODS)
OWN = [name for name in NAMES if owner(METHODS, name) == "sentence-bench"]
PREDICTORS = ("majority", "ft", "three-phase", "hierarchical-ensemble", "minbert", "tfidf")


def broken(findings: Iterable[Finding]) -> list[str]:
    return [one.rule for one in findings if not one.holds]


def built(name: str, made: dict[str, Any], seed: int = 0) -> Any:
    return build_method(spec(name, made), seed=seed, profile="smoke")[0]


def learns(name: str) -> bool:
    """Whether the build of a method trains or reads data, with what profile smoke gives it."""
    method = make_method(parse_method_spec(name), "smoke")
    return method.trains or bool(method.reads())


def without_settings(known: Iterable[str]) -> set[str]:
    return {name for name in known if learns(name)} - {*SETTINGS}


def test_every_method_of_ours_that_learns_has_settings() -> None:
    assert without_settings(OWN) == set()
    assert {*SETTINGS} <= {*OWN}


def test_a_method_without_settings_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("simcse", "tfidf"):
        monkeypatch.delitem(SETTINGS, name)
    assert without_settings(["simcse", "tfidf", "sct", "random"]) == {"simcse", "tfidf"}


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_kept(name: str, made: dict[str, Any]) -> None:
    findings = [*check_method(spec(name, made))]
    assert len(findings) >= 7
    assert broken(findings) == []


@pytest.mark.parametrize("name", ["nan", "shape", "crash"])
def test_a_method_that_breaks_the_contract_is_found(name: str) -> None:
    stub_methods.register()
    assert broken(check_method(name))


@pytest.mark.parametrize("name", NAMES)
def test_only_what_says_so_predicts(name: str, made: dict[str, Any]) -> None:
    assert isinstance(built(name, made).encoder, Predictor) == (name in PREDICTORS)


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictions_are_labels_that_follow_from_the_seed(name: str, made: dict[str, Any]) -> None:
    encoder = built(name, made).encoder
    # Those of SST5, as minbert has heads for what it was trained on alone.
    labels = [0, 1, 2, 3, 4] * 4
    texts = [(f"{'aekqz'[label] * 3} {i}",) for i, label in enumerate(labels)]
    train = LabelledTexts(texts, labels)
    first, again = (asked(encoder, texts[:3], train) for _ in range(2))
    assert len(first.labels) == 3
    assert {*first.labels} <= {*labels}
    assert [*first.labels] == [*again.labels]
    if first.probabilities is not None:
        assert first.probabilities.values.shape == (3, len(first.probabilities.labels))
        assert first.probabilities.best() == [*first.labels]
