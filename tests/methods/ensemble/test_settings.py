"""Every switch of the ensemble, and settings that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, BertTokenizer

from bench.api import build_method
from bench.core.errors import BenchError, CellError, DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.method import Item, LabelledTexts, Predictor, named_method, resolve, stand_ins
from bench.methods.ensemble.pipeline import Training
from bench.methods.ensemble.settings import EnsembleConfig
from bench.methods.hierarchical_ensemble import HierarchicalEnsemble
from bench.suite import load_suite
from bench.tasks.diagnostics import alarms
from tests.support.classifiers import asked, probable
from tests.support.ensembles import (
    UNLABELLED,
    answered,
    ask,
    built,
    labelled,
    parts,
    rows,
    spec,
    suite,
)

SWITCHES: list[dict[str, Any]] = [
    {"cross_attention": "false", **UNLABELLED},
    {"refine_conv": "false", "attn_pool": "false", "context": "random", **UNLABELLED},
    {"context": "none", **UNLABELLED},
    {"filter": "none", "snippets": "random", "models": "tfidf"},
    {"filter": "confidence", "confidence": 0.5, "loss": "ce", "sigma_scale": 2, "models": "tfidf"},
    {"schedule": "pretrain_then_gold", "filter": "none", "context": "random"},
    {"ridge_lambda": 0, "models": "tfidf", **UNLABELLED},
]


@pytest.mark.parametrize("options", SWITCHES, ids="-".join)
def test_switches(base: Path, options: dict[str, Any], fits: list[list[Item]]) -> None:
    made_of = ask(built(spec(base, **options)))
    for values in made_of.combined.values():
        np.testing.assert_allclose(values.sum(axis=1), 1)
    attends = "cross_attention" not in options and options.get("context") != "none"
    assert bool(made_of.report.get("attention")) is (attends and "models" not in options)
    if options.get("filter") == "none":
        pseudo_labels = made_of.report["pseudo_labels"]
        assert pseudo_labels["kept"] == pseudo_labels["distinct"]
    if "pseudo_labels" in options:
        assert (made_of.pseudo, made_of.baselines) == (None, {})
        assert len(fits) == 2 * len(made_of.members)
    if "schedule" in options:
        # The pool first: a stage of its own, before the gold rows.
        last = [item[0].split()[-1][0] for item in fits[-1]]
        assert last == sorted(last)


def test_without_a_pool_nothing_is_retrieved(base: Path) -> None:
    encoder = built(spec(base))
    assert isinstance(encoder, Predictor)
    train, test = labelled(rows("t", 20)), labelled(rows("s", 6))
    answer = asked(encoder, test.texts, train)
    given = probable(encoder, test.texts, train)
    assert given.best() == list(answer.labels)
    assert given.labels == ("neg", "pos")


def test_a_single_model_and_any_way_to_combine(base: Path, fits: list[list[Item]]) -> None:
    options: dict[str, Any] = {"models": "tfidf", "pseudo_labels": "false"}
    found = {
        way: answered(built(spec(base, ensemble=way, **options)))
        for way in ("ridge", "mean", "best_single", "logistic")
    }
    for way, answer in found.items():
        made_of = parts(answer)
        assert made_of.chosen == way
        outputs = made_of.combined[way]
        assert list(answer.labels) == [made_of.classes[i] for i in outputs.argmax(axis=1)]
    assert len(fits) == 2
    mean = parts(found["mean"])
    np.testing.assert_allclose(mean.members["tfidf"], mean.combined["mean"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "ce"}, "loss=ce is for classes"),
        ({"ensemble": "logistic"}, "ensemble=logistic is for classes"),
        ({"filter": "agree"}, "filter=agree is for classes"),
        ({"folds": 11}, "20 gold rows are too few for folds=11"),
        ({"gold": 3}, "3 gold rows are too few for folds=2"),
    ],
)
def test_settings_that_do_not_fit_scores(base: Path, options: Any, message: str) -> None:
    with pytest.raises(CellError, match=message):
        ask(built(spec(base, **options)), of_pairs=True)


def test_rows_of_one_label(base: Path) -> None:
    train = LabelledTexts([("a",)] * 9, ["x"] * 9)
    with pytest.raises(CellError, match="all gold rows have the same label"):
        asked(built(spec(base)), [("b",)], train)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("hierarchical-ensemble@some/model", UsageError, r"write hierarchical-ensemble\[models="),
        ("hierarchical-ensemble[models=(a,a)]", UsageError, "none twice"),
        ("hierarchical-ensemble[models=()]", UsageError, "name at least one"),
        ("hierarchical-ensemble[models=(mean,tfidf)]", UsageError, r"write \./mean"),
        ("hierarchical-ensemble[translators=one]", UsageError, "there and back"),
        ("hierarchical-ensemble[augment=(syn,xyz)]", UsageError, "augment"),
        ("hierarchical-ensemble[frozen=other]", UsageError, "other is none of the models"),
        ("hierarchical-ensemble[models=tfidf,frozen=tfidf]", UsageError, "tfidf is none of the"),
        ("hierarchical-ensemble[models=no/such]", DataError, "no/such"),
    ],
)
def test_bad_specs(text: str, error: type[BenchError], message: str) -> None:
    with pytest.raises(error, match=message):
        build_method(text)


def test_it_has_no_vectors(base: Path) -> None:
    with pytest.raises(CellError, match="has no vectors"):
        built(spec(base)).encode(["a"])


def test_the_defaults_are_the_published_ones() -> None:
    paper = resolve(HierarchicalEnsemble, parse_method_spec("hierarchical-ensemble"), "paper")
    config = paper.config
    assert isinstance(config, EnsembleConfig)
    assert config.models == ("albert-xxlarge-v2", "roberta-large", "microsoft/deberta-large")
    assert (config.k, config.folds, config.ridge_lambda, config.loss) == (5, 6, 1.0, "mse")
    assert config.arms == ("syn", "ctx")
    local = resolve(HierarchicalEnsemble, parse_method_spec("hierarchical-ensemble"), "local")
    # An encoder, a decoder and no transformer at all.
    assert local.base == "minilm + decoder-mini + tfidf"
    assert local.parents == ("minilm", "decoder-mini", "minilm-l2-mlm")
    assert local.seeded
    assert config.frozen == ()


def test_the_suites_name_a_pool_apart_from_test_and_gold(data_folder: Path) -> None:
    for name in ("pseudo-label", "pseudo-label-regression"):
        (task,) = load_suite(name).tasks
        assert {*task.parts()} == {"test", "train", "pool"}
        assert len({str(data) for data in task.parts().values()}) == 3


def test_a_pool_is_for_the_supervised_track(tmp_path: Path) -> None:
    path = suite(tmp_path / "frozen")
    path.write_text(path.read_text().replace('track = "supervised"\n', ""))
    with pytest.raises(UsageError, match="a pool is for the supervised track"):
        load_suite(str(path))


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, label: str, total: int) -> None: ...
    def advance(self, done: int, label: str | None = None) -> None: ...
    def note(self, message: str) -> None:
        self.said.append(message)


def test_round_trips_need_translators(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"models": "tfidf", "pseudo_labels": "false", "augment": "bt"}
    encoder, notes = built(spec(base, **options)), Notes()
    monkeypatch.setattr(encoder, "_ctx", _with(encoder._ctx, notes))
    left = ask(encoder).report["augmentation"]
    assert left == {"made": {}, "kept": {}, "left_out": ["bt"]}
    assert any("warning: no variants are translated there and back" in one for one in notes.said)
    folder = _translator(base, tmp_path / "translator")
    both = built(spec(base, **options, translators=f"({folder},{folder})", least_similarity=-1))
    found = ask(both).report["augmentation"]
    assert (found["left_out"], [*found["made"]]) == ([], ["bt"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "only those of syn, ctx"),
        ("augment=bt", "none"),
        ("augment=syn", None),
        ("translators=(a,b)", None),
    ],
)
def test_a_record_says_that_nothing_was_translated(options: str, expected: str | None) -> None:
    method = named_method(f"hierarchical-ensemble[{options}]", "paper")
    assert method is not None
    told = {} if expected is None else {"back-translated variants": expected}
    assert stand_ins(method) == told
    left_out = [] if expected is None else ["bt"]
    (alarm,) = alarms({"augmentation": {"left_out": left_out}}) or [None]
    assert alarm == (None if expected is None else "no variants by bt, as there is no model for it")


def _with(ctx: Any, progress: Notes) -> Any:
    return replace(ctx, progress=progress)


def _translator(base: Path, folder: Path) -> Path:
    BertTokenizer.from_pretrained(base).save_pretrained(folder)
    config = BartConfig(
        vocab_size=512,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BartForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("pseudo_labels=false,filter=none", "filter does nothing here; it needs pseudo_labels"),
        ("pseudo_labels=false,labeller=x", "labeller does nothing here; it needs pseudo_labels"),
        ("pseudo_labels=false,context=none,k=2", "k does nothing here; .* that members attend to"),
        ("cross_attention=false,context=random", "context does nothing here; it needs cross_att"),
        ("filter=none,sigma_scale=2", "sigma_scale does nothing here; it needs filter=sigma"),
        ("confidence=0.5", "confidence does nothing here; it needs filter=confidence"),
        ("augment=(syn),masked_lm=x", "masked_lm does nothing here; it needs ctx in augment"),
        ("augment=(syn),translators=(a,b)", "translators does nothing here; it needs bt in aug"),
        ("augment=(),least_similarity=0", "least_similarity does nothing here; it needs an arm"),
    ],
)
def test_options_that_do_nothing_are_refused(options: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        named_method(f"hierarchical-ensemble[{options}]", "paper")


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("lr=0.5", "lr", 0.5),
        ("head_lr=0.5", "head_lr", 0.5),
        ("lr=0.5,head_lr=0.1", "head_lr", 0.1),
        ("batch_size=7", "batch_size", 7),
        ("epochs=9", "epochs", 9),
        ("weight_decay=0.5", "weight_decay", 0.5),
        ("warmup=0.5", "warmup", 0.5),
        ("max_seq_length=7", "max_seq_length", 7),
        ("loss=ce", "loss", "ce"),
    ],
)
def test_settings_reach_the_recipe_of_a_member(option: str, name: str, value: Any) -> None:
    assert getattr(recipe(option), name) == value != getattr(recipe(""), name)


def test_members_have_the_published_recipes() -> None:
    # kaggle_clrp_1st_place_solution at 6145325, as the paper (arXiv 2501.15876) has none of these.
    for name, published in (
        ("albert-xxlarge-v2", (9e-6, 3, 5)),
        ("roberta-large", (1e-5, 8, 4)),
        ("microsoft/deberta-large", (9e-6, 3, 4)),
        ("other", (2e-5, 16, 3)),
    ):
        given = recipe("", name)
        assert (given.lr, given.batch_size, given.epochs) == published
        assert given.head_lr == given.lr
    parts = recipe("cross_attention=false,refine_conv=false").parts
    assert (parts.cross_attention, parts.refine_conv, parts.attn_pool) == (False, False, True)


def recipe(options: str, member: str = "roberta-large") -> Any:
    """How a member would be trained, from stand-ins for the rows."""
    text = f"hierarchical-ensemble[{options}]" if options else "hierarchical-ensemble"
    method: Any = named_method(text, "paper")
    rows = SimpleNamespace(
        config=method.config,
        targets=SimpleNamespace(classes=("a", "b"), width=2),
        vectors=(None, None, np.zeros((1, 4), np.float32)),
    )
    given: Any = (rows, None, None, None, 0)
    return Training(*given)._member(member)._recipe
