"""What is told of an ensemble where the truth is known, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from bench.method import Composition, PseudoLabels
from bench.metrics.agreement import disagreement, kappa, q_statistic
from bench.records.entries import Record
from bench.report.views.diagnostics import render
from bench.tasks.diagnostics import alarms, audit, diagnose
from tests.support.records import make_record

FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=20)


@given(FLAGS)
def test_agreement_of_being_right(flags: list[tuple[bool, bool]]) -> None:
    one, two = (np.array(column) for column in zip(*flags, strict=True))
    assert disagreement(one, two) == pytest.approx(np.mean(one != two))
    if len({*one, *two}) == 2:
        assert kappa(one, two) == pytest.approx(cohen_kappa_score(one, two), abs=1e-9)
    q = q_statistic(one, two)
    assert np.isnan(q) or -1 <= q <= 1


def test_q_of_the_same_and_of_opposites() -> None:
    one = np.array([True, True, False, False])
    assert q_statistic(one, one) == 1
    assert q_statistic(one, ~one) == -1
    assert q_statistic(one, np.array([True, False, True, False])) == 0
    assert np.isnan(q_statistic(one, np.array([True] * 4)))


def two_classes() -> PseudoLabels:
    return PseudoLabels(
        rows=np.array([0, 1, 2, 3, 0]),
        outputs=np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]]),
        kept=np.array([True, True, False, False, True]),
        tolerance=np.zeros(5),
    )


def test_the_audit_by_hand() -> None:
    # Right: rows 0 and 2 and 3 as they are labelled first; kept are two labels of which one is.
    found = audit(two_classes(), ("n", "p"), ["n", "p", "n", "p"])
    assert (found["labelled"], found["kept"]) == (5, 3)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == found["accuracy_kept"] == pytest.approx(1 / 3)
    assert found["accuracy_rejected"] == 1
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["f1"] == pytest.approx(1 / 3)


def test_the_audit_of_scores_and_of_nothing() -> None:
    pseudo = PseudoLabels(
        rows=np.array([1, 0]),
        outputs=np.array([[1.0], [4.0]]),
        kept=np.array([True, False]),
        tolerance=np.array([0.5, 0.5]),
    )
    found = audit(pseudo, (), [2.0, 1.5])
    assert (found["accuracy_kept"], found["accuracy_rejected"]) == (1, 0)
    assert (found["rmse_kept"], found["rmse_rejected"]) == (0.5, 2.0)
    # Without a choice there is nothing that a filter would have recalled.
    everything = audit(replace(pseudo, kept=np.ones(2, bool)), (), [2.0, 1.5])
    assert (everything["precision"], everything["recall"], everything["f1"]) == (0.5, None, None)
    nothing = audit(replace(pseudo, kept=np.zeros(2, bool)), (), [2.0, 1.5])
    assert (nothing["accuracy_kept"], nothing["rmse_kept"], nothing["f1"]) == (None, None, None)


def test_rows_whose_truth_is_not_known_are_left_out() -> None:
    given = made_of(pseudo=two_classes())
    gold = ["n", "p", "n", "p"]
    some = diagnose(given, gold, [None, "p", "n", None])["audit"]
    # Rows 1 and 2, of which the first is kept, and wrong.
    assert (some["labelled"], some["kept"], some["accuracy"]) == (2, 1, 0.5)
    none = diagnose(given, gold, [None] * 4)
    assert "audit" not in none
    assert not any("pseudo-labels" in alarm for alarm in none["alarms"])


def made_of(**changes: Any) -> Composition:
    good = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    bad = np.array([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6], [0.4, 0.6]])
    given = Composition(
        classes=("n", "p"),
        chosen="mean",
        members={"good": good, "bad": bad},
        combined={"mean": (good + bad) / 2},
        baselines={"labeller": bad},
        pseudo=two_classes(),
        report={
            "weights": {"weights": {"good": 1.1, "bad": -0.1}, "shares": {"good": 0.9, "bad": 0.1}}
        },
    )
    return replace(given, **changes)


def test_members_and_combinations_are_scored() -> None:
    found = diagnose(made_of(), ["n", "p", "n", "n"], ["n", "p", "n", "p"])
    scores = found["scores"]
    assert {name: one["accuracy"] for name, one in scores.items()} == {
        "good": 0.75,
        "bad": 0.25,
        "mean": 0.75,
        "labeller": 0.25,
    }
    assert scores["good"]["log_loss"] == pytest.approx(-np.mean(np.log([0.9, 0.8, 0.7, 0.4])))
    assert scores["good"]["auroc"] == 1
    assert scores["good"]["f1"] == pytest.approx(2 / 3)
    assert found["oracle"] == {"accuracy": 0.75}
    assert found["errors"]["good / bad"]["disagreement"] == 0.5
    told = found["alarms"]
    assert any("33.3% of the kept pseudo-labels are right" in one for one in told)
    assert any("good has 90% of the weights" in one for one in told)
    assert any("bad has a negative weight" in one for one in told)


def test_a_label_that_no_gold_row_has_is_wrong() -> None:
    found = diagnose(made_of(), ["n", "p", "n", "new"], ["n", "p", "n", "p"])
    assert found["scores"]["good"]["accuracy"] == 0.75
    assert found["scores"]["good"]["auroc"] is None
    assert np.isfinite(found["scores"]["good"]["log_loss"])


def test_a_single_text_has_no_correlation() -> None:
    one = {"good": np.array([[0.9, 0.1]]), "bad": np.array([[0.6, 0.4]])}
    found = diagnose(made_of(members=one, combined={}, baselines={}, pseudo=None), ["n"], [])
    assert found["errors"]["good / bad"]["pearson"] is None
    assert found["scores"]["good"]["accuracy"] == 1


def test_scores_have_an_oracle_too() -> None:
    members = {"a": np.array([[1.0], [5.0], [2.0]]), "b": np.array([[3.0], [2.0], [2.5]])}
    given = made_of(classes=(), members=members, combined={}, baselines={}, pseudo=None)
    found = diagnose(given, [1.0, 2.0, 2.0], [])
    assert found["oracle"] == {"rmse": 0}
    assert found["scores"]["a"]["rmse"] == pytest.approx(np.sqrt(3))
    assert {*found["errors"]["a / b"]} == {"pearson", "spearman", "outputs"}
    constant = diagnose(
        replace(given, members={"a": np.ones((3, 1)), "b": members["b"]}), [1.0, 2.0, 3.0], []
    )
    assert constant["scores"]["a"]["pearson"] is None


def test_errors_that_are_alike_raise_an_alarm() -> None:
    assert alarms({"errors": {"a / b": {"pearson": 0.85}}}) == [
        "errors of a / b correlate by 0.85, above 0.8"
    ]
    assert (
        alarms(
            {
                "errors": {"a / b": {"pearson": None}},
                "audit": {"accuracy_kept": 0.95, "precision": 0.95},
            }
        )
        == []
    )
    (told,) = alarms({"audit": {"accuracy_kept": 0.88, "precision": 0.88}})
    assert "precision is 88.0%, below 90%" in told


@pytest.fixture
def records() -> list[Record]:
    told = diagnose(made_of(), ["n", "p", "n", "n"], ["n", "p", "n", "p"])
    seeds = [make_record("one", {"S1": 0.5}, seed=seed, trained=True) for seed in (0, 1)]
    with_facts = [one.model_copy(update={"diagnostics": {"S1": told}}) for one in seeds]
    return [*with_facts, make_record("other", {"S1": 0.5})]


def test_the_view(records: list[Record]) -> None:
    text = render("cuts", records)
    assert text is not None
    assert "cuts by diagnostics: S1" in text
    row = next(line for line in text.splitlines() if line.startswith("one local"))
    assert "33.3%" in row
    assert "75.00*" in row
    assert "other" not in text
    (alarm,) = (line for line in text.splitlines() if "bad has a negative weight" in line)
    assert alarm.endswith(": one local, seed 0; one local, seed 1")
    assert render("cuts", records[2:]) is None
    narrow = render("cuts", records, width=60)
    assert narrow is not None
    assert max(len(line) for line in narrow.splitlines()) <= 60


def test_the_view_as_markdown(records: list[Record]) -> None:
    text = render("cu*ts", records, style="markdown")
    assert text is not None
    assert r"### cu\*ts by diagnostics: S1" in text
    assert r"75.00\*" in text


def test_records_keep_diagnostics_and_old_ones_load(records: list[Record]) -> None:
    text = records[0].model_dump_json()
    assert Record.model_validate_json(text) == records[0]
    old = records[2].model_dump(mode="json")
    del old["diagnostics"]
    assert Record.model_validate(old).diagnostics == {}
