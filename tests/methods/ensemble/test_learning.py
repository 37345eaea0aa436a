"""What the ensemble learns from, what it never sees, and what it tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.method import Item, named_method
from bench.methods.ensemble import members, neural
from bench.methods.ensemble import rows as ensemble_rows
from bench.methods.ensemble.pipeline import make_folds
from bench.methods.ensemble.targets import find_targets
from bench.methods.hierarchical_ensemble import HierarchicalEnsemble
from bench.models.checkpoints import load_folder
from bench.records.files import find_records, read_items, read_record
from tests.support.classifiers import asked
from tests.support.ensembles import (
    UNLABELLED,
    answered,
    ask,
    built,
    labelled,
    pairs,
    parts,
    rows,
    spec,
    suite,
)
from tests.support.models import tiny_decoder
from tests.support.suites import Bench


def test_no_test_row_is_in_any_fit(base: Path, fits: list[list[Item]]) -> None:
    # Invariant 9: the pool holds every test and dev text, as it is and in other letters.
    train, test, dev = (labelled(rows(part, n)) for part, n in (("t", 20), ("s", 8), ("d", 4)))
    secret = [text.texts for text in (test, dev)]
    poison = [(form(item[0]),) for part in secret for item in part for form in (str, str.upper)]
    clean = labelled(rows("p", 6)).texts
    encoder = built(spec(base, filter="none", k=40))
    made_of = parts(asked(encoder, test.texts, train, dev, [*poison, *clean]))
    learnt = {item[0].lower() for one in fits for item in one}
    assert not {item[0].lower() for part in secret for item in part} & learnt
    assert {item[0] for item in clean} <= learnt
    assert made_of.report["rows"]["removed"]["held_out"] == len(poison)


def test_a_fold_learns_from_nothing_that_is_held_out_there(
    base: Path, fits: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.methods.parts import views

    monkeypatch.setattr(views, "synonyms", lambda data: {"aaa": ("aab",), "kkk": ("kkj",)})
    # Rows of a label are held out in the order that their fold is found in.
    train = labelled(rows("t", 20))
    strata = np.array([label == "pos" for label in train.labels], dtype=np.int64)
    held = [{train.texts[row] for row in rows} for rows in make_folds(strata, 2, 0)]
    monkeypatch.setattr(HierarchicalEnsemble, "inputs", lambda self, data, models: {})
    ask(built(spec(base, augment="syn", least_similarity=-1)))
    per_fold = len(fits) // 2
    assert per_fold == 5
    names = [{item[0].rpartition(" ")[2] for item in fold} for fold in held]
    for number, texts in enumerate(fits):
        here = {item[0].rpartition(" ")[2] for item in texts}
        assert not here & names[number // per_fold]
    variants = {item for one in fits for item in one} - {*train.texts}
    assert any("aab" in item[0] or "kkj" in item[0] for item in variants)


def test_labels_of_the_pool_change_the_audit_alone(
    bench: Bench, base: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("true", "false"):
        code, _, err = bench(
            "run",
            "--suite",
            suite(tmp_path / name, flip=name == "false"),
            "--methods",
            spec(base, filter="agree", models="tfidf"),
        )
        assert code == 0, err
        (path,) = find_records([tmp_path / "results" / "runs" / name])
        found.append((read_record(path), read_items(path)))
    (one, items), (two, others) = found
    np.testing.assert_array_equal(items["words/predicted"], others["words/predicted"])
    right, wrong = (record.diagnostics["words"]["audit"] for record in (one, two))
    assert right["kept"] == wrong["kept"] > 0
    assert right["accuracy"] == pytest.approx(1 - wrong["accuracy"])
    assert {**one.diagnostics["words"], "audit": 0, "alarms": 0} == {
        **two.diagnostics["words"],
        "audit": 0,
        "alarms": 0,
    }


@pytest.mark.parametrize("column", ["label", None])
def test_a_pool_may_have_no_labels(
    bench: Bench, base: Path, tmp_path: Path, column: str | None
) -> None:
    path = suite(tmp_path / "bare")
    pool = path.with_name("pool.jsonl")
    bare = [{"text": row["text"]} | ({column: None} if column else {}) for row in rows("pool", 16)]
    pool.write_text("".join(json.dumps(row) + "\n" for row in bare))
    code, _, err = bench("run", "--suite", path, "--methods", spec(base, models="tfidf"))
    assert code == 0, err
    (found,) = find_records([tmp_path / "results" / "runs" / "bare"])
    told = read_record(found).diagnostics["words"]
    assert told["pseudo_labels"]["kept"] > 0
    assert "audit" not in told


def test_the_record_and_the_view(bench: Bench, base: Path, tmp_path: Path) -> None:
    code, out, err = bench(
        "run", "--suite", suite(tmp_path / "tiny"), "--methods", f"{spec(base)},good"
    )
    assert code == 0, err
    records = {r.method.name: r for r in map(read_record, find_records([tmp_path / "results"]))}
    entry = records["hierarchical-ensemble"].tasks["words"]
    assert {"accuracy", "log_loss", "auroc"} <= {*entry.metrics}
    told = records["hierarchical-ensemble"].diagnostics["words"]
    assert told["scores"]["ridge"]["accuracy"] == pytest.approx(entry.main)
    assert told["scores"]["ridge"]["log_loss"] == pytest.approx(entry.metrics["log_loss"], rel=1e-3)
    assert {*told["scores"]} == {
        str(base),
        "tfidf",
        "ridge",
        "mean",
        "best_single",
        "logistic",
        "labeller",
    }
    assert told["oracle"]["accuracy"] >= max(
        told["scores"][one]["accuracy"] for one in (str(base), "tfidf")
    )
    assert [*told["errors"]] == [f"{base} / tfidf"]
    assert {*told["attention"]} == {str(base)}
    assert records["good"].diagnostics == {}
    assert "hierarchical-ensemble" in out
    code, out, err = bench("table", "--view", "diagnostics")
    assert code == 0, err
    assert "tiny by diagnostics: words" in out
    assert "oracle" in out
    code, out, err = bench("table", "--view", "diagnostics", "--format", "markdown")
    assert (code, "| Method" in out) == (0, True)
    code, _, err = bench("table", "results/runs", "--write")
    assert code == 0, err
    page = (tmp_path / "results" / "leaderboards" / "tiny.md").read_text()
    assert "### tiny by diagnostics: words" in page


def test_scores_of_pairs(base: Path) -> None:
    given = answered(built(spec(base)), of_pairs=True)
    made_of = parts(given)
    assert (made_of.classes, given.probabilities) == ((), None)
    assert all(isinstance(label, float) and np.isfinite(label) for label in given.labels)
    assert {name: values.shape for name, values in made_of.combined.items()} == dict.fromkeys(
        ("ridge", "mean", "best_single"), (8, 1)
    )
    assert made_of.pseudo is not None
    assert (made_of.pseudo.tolerance > 0).all()


def test_it_learns(base: Path) -> None:
    texts = labelled(rows("new", 30))
    train, pool = labelled(rows("t", 60)), labelled(rows("p", 30))
    encoder = built(spec(base, epochs=6, lr="5e-3"))
    given = asked(encoder, texts.texts, train, pool=pool.texts)
    made_of = parts(given)
    for name in (str(base), "tfidf", "labeller"):
        likeliest = {**made_of.members, **made_of.baselines}[name].argmax(axis=1)
        right = [
            made_of.classes[i] == label for i, label in zip(likeliest, texts.labels, strict=True)
        ]
        assert np.mean(right) > 0.8, name
    assert made_of.pseudo is not None
    assert made_of.report["attention"][str(base)]["share"] > 0
    assert np.mean([one == two for one, two in zip(given.labels, texts.labels, strict=True)]) > 0.9


def test_nothing_is_trained_twice_and_seeds_repeat(
    base: Path, fits: list[list[Item]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec(base, **UNLABELLED)
    first = ask(built(text))
    assert len(fits) == 2 * 2
    again = ask(built(text))
    assert len(fits) == 2 * 2
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "other"))
    anew = ask(built(text))
    assert len(fits) == 2 * 2 * 2
    other = ask(built(text, seed=1), seed=1)
    for one in (again, anew):
        np.testing.assert_array_equal(one.combined["ridge"], first.combined["ridge"])
        assert one.report == first.report
    assert not np.array_equal(other.combined["ridge"], first.combined["ridge"])


def test_the_labeller_is_shared_by_what_it_has_no_part_in(
    base: Path, fits: list[list[Item]]
) -> None:
    first = ask(built(spec(base, filter="agree")))
    # In either fold a labeller, two more for its tolerance, and two members.
    assert len(fits) == 2 * 5
    for options in (
        {"filter": "none", "cross_attention": "false"},
        {"filter": "confidence", "confidence": 0.5, "context": "random", "refine_conv": "false"},
        {"models": "tfidf", "schedule": "pretrain_then_gold", "sigma_scale": 2},
    ):
        fits.clear()
        other = ask(built(spec(base, **options)))
        assert len(fits) == 2 * len(other.members)
        np.testing.assert_array_equal(other.baselines["labeller"], first.baselines["labeller"])
    for options in ({"snippets": "random"}, {"labeller_epochs": 1}, {"lr": "2e-3"}, {"k": 3}):
        fits.clear()
        ask(built(spec(base, filter="agree", **options)))
        assert len(fits) == 2 * 5


def test_dev_rows_are_part_of_what_is_learnt(base: Path, fits: list[list[Item]]) -> None:
    train, texts, pool, dev = (labelled(rows(part, 12)) for part in "tspd")
    encoder = built(spec(base, **UNLABELLED))
    for held_out, trained in ((None, 4), (dev, 4), (dev, 0)):
        fits.clear()
        asked(encoder, texts.texts, train, held_out, pool.texts)
        assert len(fits) == trained


def test_labels_are_those_of_the_texts_that_are_retrieved(
    base: Path, fits: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec(base, filter="agree", models="tfidf")
    ask(built(text))
    nearest = ensemble_rows.nearest

    def others(queries: Any, pool: Any, k: int, own: Any = None) -> Any:
        near = nearest(queries, pool, k, own)
        return replace(near, rows=(near.rows + 1) % len(pool))

    monkeypatch.setattr(ensemble_rows, "nearest", others)
    fits.clear()
    ask(built(spec(base, filter="none", models="tfidf")))
    # Two members and six labellers: those of before have labelled other texts.
    assert len(fits) == 2 + 6


def test_what_loading_a_base_draws_changes_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec(base, **UNLABELLED)
    first = ask(built(text))
    load = neural._transformer

    def trains_first(*given: Any) -> Any:
        torch.rand(7)
        return load(*given)

    monkeypatch.setattr(neural, "_transformer", trains_first)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "other"))
    again = ask(built(text))
    np.testing.assert_array_equal(again.combined["ridge"], first.combined["ridge"])


def test_random_texts_are_chosen_by_no_filter(base: Path) -> None:
    told = ask(built(spec(base, snippets="random"))).report["pseudo_labels"]
    assert (told["snippets"], told["filter"]) == ("random", "none")
    assert told["pairs"] == told["kept_pairs"] == told["kept"] == told["distinct"] > 0


@pytest.mark.parametrize("attn_pool", ["true", "false"])
def test_decoders_learn_and_label_empty_texts(tmp_path: Path, attn_pool: str) -> None:
    # Without a token to pad with, and none at the start: an empty text has no tokens at all.
    folder = tiny_decoder(tmp_path / "decoder", "qwen2", bos=False)
    train = labelled([*rows("t", 12), {"text": "", "label": "neg"}])
    encoder = built(spec(folder, attn_pool=attn_pool, **UNLABELLED))
    made_of = parts(asked(encoder, [("",), ("aaa",)], train))
    assert np.isfinite(made_of.combined["ridge"]).all()


@pytest.mark.parametrize("of_pairs", [False, True])
def test_a_frozen_member_is_a_regression_on_its_vectors(base: Path, of_pairs: bool) -> None:
    text = spec(base, frozen=base, **UNLABELLED)
    found = ask(built(text), of_pairs=of_pairs).members[str(base)]
    # The same of scikit-learn, on vectors that are made here.
    encode = load_folder(base, "cpu", "mean").encode
    make: Any = pairs if of_pairs else rows
    train, test = (labelled(make(part, n)) for part, n in (("t", 20), ("s", 8)))

    def features(items: Any) -> Any:
        columns = [encode(list(column)).astype(np.float64) for column in zip(*items, strict=True)]
        if len(columns) == 1:
            return columns[0]
        return np.hstack([np.abs(columns[0] - columns[1]), columns[0] * columns[1]])

    targets = find_targets(train.labels)
    gold, expected = targets.matrix(train.labels), []
    for held in make_folds(targets.strata(gold), 2, 0):
        kept = np.setdiff1d(np.arange(20), held)
        model = make_pipeline(StandardScaler(), RidgeCV((1, 10, 100, 1_000, 10_000)))
        model.fit(features([train.texts[i] for i in kept]), gold[kept])
        outputs = model.predict(features(test.texts)).reshape(8, -1)
        if not of_pairs:
            outputs = outputs.clip(1e-6, 1)
            outputs /= outputs.sum(axis=1, keepdims=True)
        expected.append(outputs)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-4)


def test_a_frozen_member_is_not_trained_and_may_be_no_transformer(
    base: Path, fits: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> Any:
        raise AssertionError("no transformer is trained")

    monkeypatch.setattr(neural.NeuralMember, "fit", refuse)
    static = "random"
    models = f"({base},{static},tfidf)"
    text = spec(base, models=models, frozen=f"({base},{static})", **UNLABELLED)
    made_of = ask(built(text))
    assert [*made_of.members] == [str(base), static, "tfidf"]
    method = named_method(text, "local")
    assert method is not None
    assert method.trainings == {}
    assert {str(base), static} <= {*method.parents}
    assert made_of.report["attention"] == {}


def test_a_run_that_was_cut_off_goes_on(
    base: Path, fits: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = members.TfidfMember.fit

    def dies(self: Any, stages: Any, seed: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(members.TfidfMember, "fit", dies)
    with pytest.raises(KeyboardInterrupt):
        ask(built(spec(base)))
    assert len(fits) == 4
    monkeypatch.setattr(members.TfidfMember, "fit", fit)
    ask(built(spec(base)))
    assert len(fits) == 10


def folds_of(count: int) -> Iterator[np.ndarray]:
    yield from make_folds(np.arange(count) % 3, 4, 7)


def test_folds_hold_every_row_once_and_are_balanced() -> None:
    found = list(folds_of(48))
    assert sorted(np.concatenate(found).tolist()) == [*range(48)]
    assert all(np.bincount(fold % 3).tolist() == [4, 4, 4] for fold in found)
