"""Each setting of a method's loss reaches it, by its name and alone.

What the losses do with them is tested where the losses are; those of simcse and sct are handed on
in files of their own.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bench.data.graded import Graded, GradedPairs
from bench.data.retrieval import Queries, Query
from bench.methods.losses import graded
from tests.support.given import Given, differing, method
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import context

ROWS = [(f"text {i}", f"the text {i}", f"no text {i}") for i in range(12)]
QUERY = Query("who", ("me",), tuple(f"not {i}" for i in range(12)))


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return tiny_sentence_transformer(tmp_path / "tiny")


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for loss in (
        "in_batch.InBatchLoss",
        "matryoshka.MatryoshkaLoss",
        "matryoshka.Matryoshka2dLoss",
        "matryoshka.EspressoLoss",
        "angle.AngleObjective",
        "passages.PassageLoss",
        "batch_balance.BatchBalanceLoss",
        "multi_positive.CoDiEmbLoss",
        "distilled_view.DistilledViewLoss",
        "graded.GradedLoss",
    ):
        monkeypatch.setattr(f"bench.methods.losses.{loss}", Given)
    monkeypatch.setattr(Queries, "load_sets", lambda self, data: {"made up": [QUERY]})
    monkeypatch.setattr(GradedPairs, "load", lambda self, data: Graded([("a", "b")], [0.5]))


def loss(name: str, options: str, model: SentenceTransformer, folder: Path) -> Given:
    ctx: Any = replace(context(folder), seed=5)
    vectors = lambda name, texts: np.ones((len(texts), 16), dtype=np.float32)  # noqa: E731
    ctx = replace(ctx, models=SimpleNamespace(vectors=vectors))
    rows = [row[:2] for row in ROWS] if name == "sct-distill" else ROWS
    found = method(name, options).loss(model, rows, ctx)
    assert isinstance(found, Given)
    return found


def of(name: str, options: str, model: SentenceTransformer, folder: Path) -> dict[str, Any]:
    """What the loss is given, with the settings of views and of negatives spelled out."""
    found = loss(name, options, model, folder)
    if name == "sct-distill":
        return {**asdict(found.args[2]), **found.options}
    if name == "conan":
        negatives = found.args[1]
        rule = negatives._rule
        return {
            **found.options,
            "negatives": negatives._count,
            "check_every": negatives._check_every,
            "rerank": negatives._rerank,
            "rule": None if rule is None else asdict(rule),
        }
    if name == "codiemb":
        prompts = asdict(found.options["prompts"])
        return {**found.options, "prompts": {key for key, tokens in prompts.items() if tokens}}
    return found.options


PUBLISHED: dict[str, dict[str, Any]] = {
    "sup-simcse": {"temperature": 0.05, "hard_negative_weight": 1.0, "head": False, "seed": 5},
    "two-tier-simcse": {"temperature": 0.05, "hard_negative_weight": 1.0, "head": False, "seed": 5},
    "sct-distill": {
        "queue_size": 131_072,
        "tau_ref": 0.04,
        "tau_on": 0.05,
        "half": False,
        "kind": "kl",
        "view": "cross",
        "shared_queue": False,
        "frozen_queue": False,
        "projector": "none",
        "seed": 5,
        "joint": None,
    },
    "matryoshka": {"dims_per_step": -1, "seed": 5},
    "matryoshka-2d": {
        "dims_per_step": 1,
        "layers_per_step": 1,
        "layer_weighting": "linear",
        "temperature": 0.3,
        "detached": False,
        "seed": 5,
    },
    "matryoshka-2d[variant=retrieval]": {
        "layers_per_step": -1,
        "similarity": "dot",
        "temperature": 1.0,
        "score_align": False,
        "compare_to_last_layer": False,
        "sub_layer_full_dim": False,
        "passage_to_last_layer": False,
        "seed": 5,
    },
    "conan": {
        "temperature": 0.02,
        "beta": 0.8,
        "in_batch_positives": False,
        "dims": (256, 512, 768, 1024, 1280, 1536, 1792),
        "negatives": 4,
        "check_every": 100,
        "rerank": False,
        "rule": {"factor": 1.15, "cap": 0.8, "faithful": False},
    },
    "codiemb": {
        "positives": 2,
        "temperature": 0.02,
        "rank_temperature": 0.05,
        "middle": True,
        "cosent": False,
        "prompts": {"query", "pair"},
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_loss_gets_the_published_settings(
    name: str, model: SentenceTransformer, tmp_path: Path
) -> None:
    assert of(name, "", model, tmp_path) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "option", "expected"),
    [
        ("sup-simcse", "temperature=0.5", {"temperature": 0.5}),
        ("sup-simcse", "hard_negative_weight=3", {"hard_negative_weight": 3}),
        ("two-tier-simcse", "temperature=0.5", {"temperature": 0.5}),
        ("sct-distill", "queue_size=9", {"queue_size": 9}),
        ("sct-distill", "tau_ref=0.5", {"tau_ref": 0.5}),
        ("sct-distill", "tau_on=0.5", {"tau_on": 0.5}),
        ("sct-distill", "half=true", {"half": True}),
        ("sct-distill", "kind=ce", {"kind": "ce"}),
        ("sct-distill", "identical_view=true", {"view": "identical"}),
        ("sct-distill", "shared_queue=true", {"shared_queue": True}),
        ("sct-distill", "frozen_queue=true", {"frozen_queue": True}),
        ("sct-distill", "projector=mlp", {"projector": "mlp"}),
        ("sct-distill", "projector=residual", {"projector": "residual"}),
        ("matryoshka", "dims_per_step=3", {"dims_per_step": 3}),
        ("matryoshka-2d", "dims_per_step=3", {"dims_per_step": 3}),
        ("matryoshka-2d", "layers_per_step=3", {"layers_per_step": 3}),
        ("matryoshka-2d", "layer_weighting=log", {"layer_weighting": "log"}),
        ("matryoshka-2d", "detached=true", {"detached": True}),
        ("matryoshka-2d", "divergence_temperature=2", {"temperature": 2}),
        ("conan", "temperature=0.5", {"temperature": 0.5}),
        ("conan", "beta=0.5", {"beta": 0.5}),
        ("conan", "in_batch_positives=true", {"in_batch_positives": True}),
        ("conan", "dims=(8,4)", {"dims": (8, 4)}),
        ("conan", "negatives=2", {"negatives": 2}),
        ("conan", "check_every=7", {"check_every": 7}),
        ("conan", "mining=static", {"rule": None}),
        ("conan", "rerank=true", {"rerank": True}),
        ("conan", "factor=2", {"rule": {"factor": 2, "cap": 0.8, "faithful": False}}),
        ("conan", "cap=0.5", {"rule": {"factor": 1.15, "cap": 0.5, "faithful": False}}),
        ("conan", "faithful=true", {"rule": {"factor": 1.15, "cap": 0.8, "faithful": True}}),
        ("codiemb", "positives=3", {"positives": 3}),
        ("codiemb", "temperature=0.5", {"temperature": 0.5}),
        ("codiemb", "rank_temperature=0.5", {"rank_temperature": 0.5}),
        ("codiemb", "middle=false", {"middle": False}),
        ("codiemb", "loss=cosent", {"middle": False, "cosent": True}),
        ("codiemb", "loss=infonce", {"middle": False}),
        ("codiemb", "instructions=false", {"prompts": set()}),
    ],
)
def test_an_option_changes_its_own_setting_alone(
    name: str, option: str, expected: Any, model: SentenceTransformer, tmp_path: Path
) -> None:
    usual, other = (of(name, text, model, tmp_path) for text in ("", option))
    assert differing(usual, other) == expected


def test_the_first_tier_has_simcses_loss(model: SentenceTransformer, tmp_path: Path) -> None:
    first = of("two-tier-simcse", "tier=1,temperature=0.5", model, tmp_path)
    assert first == {"temperature": 0.5, "head": False, "seed": 5, "fixed_mask": False}


@pytest.mark.parametrize("name", ["matryoshka", "matryoshka-2d"])
def test_each_prefix_has_the_contrast_of_the_settings(
    name: str, model: SentenceTransformer, tmp_path: Path
) -> None:
    for text, temperature in (("", 0.05), ("temperature=0.5", 0.5)):
        found = loss(name, f"dims=(8,4),{text}" if text else "dims=(8,4)", model, tmp_path)
        contrast = found.args[1].__self__
        assert contrast.options == {"temperature": temperature, "head": False, "seed": 5}
        assert found.args[2] == (8, 4)


def test_espresso_has_settings_of_its_own(model: SentenceTransformer, tmp_path: Path) -> None:
    usual = of("matryoshka-2d", "variant=ese", model, tmp_path)
    of_all = {"layers_per_step": -1, "seed": 5}
    assert usual == {"size": 128, "temperature": 1.0, "embedding_layer": True, **of_all}
    options = "variant=ese,size=64,embedding_layer=false,divergence_temperature=2,layers_per_step=2"
    other = of("matryoshka-2d", options, model, tmp_path)
    of_all["layers_per_step"] = 2
    assert other == {"size": 64, "temperature": 2.0, "embedding_layer": False, **of_all}


def test_espresso_has_the_objective_of_the_settings(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    for text, expected in (
        ("", {"angle_weight": 1.0, "in_batch_weight": 30.0, "angle_scale": 20.0}),
        (
            ",angle_weight=2,in_batch_weight=3,angle_scale=4,temperature=0.5",
            {"angle_weight": 2.0, "in_batch_weight": 3.0, "angle_scale": 4.0},
        ),
    ):
        found = loss("matryoshka-2d", f"variant=ese{text}", model, tmp_path)
        objective = found.args[1].__self__
        assert objective.options == expected
        contrast = objective.args[0].__self__
        assert contrast.options["temperature"] == (0.5 if text else 0.05)


@pytest.mark.parametrize(
    ("option", "criterion", "keywords"),
    [
        ("", graded.pearson_loss, None),
        ("loss=cosent", graded.cosent_loss, None),
        ("loss=mse", graded.cosine_mse, None),
        ("loss=translated-relu", graded.translated_relu, {"k": 2.0, "t": 0.05}),
        ("loss=smooth-k2,k=3", graded.smooth_k2, {"k": 3.0, "t": 0.05}),
        ("loss=smooth-k2,t=0.3", graded.smooth_k2, {"k": 2.0, "t": 0.3}),
    ],
)
def test_the_criterion_of_graded_pairs(
    option: str, criterion: Any, keywords: Any, model: SentenceTransformer, tmp_path: Path
) -> None:
    given = loss("pcc-tuning", option, model, tmp_path).args[1]
    assert getattr(given, "func", given) is criterion
    assert getattr(given, "keywords", None) == keywords
