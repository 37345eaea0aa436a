"""Checkpoints of models that are cut: the mean over what they are cut to chooses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bench.models.layers import cut_layers
from bench.training.sub_models import MEAN, WHOLE, SubModelEvaluator, SubModels
from bench.training.trainer import seed_everything, train
from tests.support.models import tiny_bert
from tests.training.test_trainer import PAIRS, SETTINGS, Contrast, context

LAYERS, DIMS = 3, (16, 5, 2)
DEV = [
    {"sentence1": f"the number {i}", "sentence2": f"a {i * i} of {'xyz'[i % 3]}", "score": i % 5}
    for i in range(24)
]


def deep(folder: Path) -> SentenceTransformer:
    path = tiny_bert(folder / "deep", layers=LAYERS)
    return SentenceTransformer(modules=[Transformer(str(path)), Pooling(16, "mean")], device="cpu")


def by_hand(model: SentenceTransformer, dim: int) -> float:
    first, second = (
        np.asarray(model.encode([row[name] for row in DEV]), dtype=np.float64)[:, :dim]
        for name in ("sentence1", "sentence2")
    )
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = (first * second).sum(axis=1) / norms
    return float(spearmanr(cosines.round(12), [row["score"] for row in DEV]).statistic)


@pytest.mark.parametrize("every_layer", [False, True])
def test_the_mean_over_models_that_are_really_cut(tmp_path: Path, every_layer: bool) -> None:
    evaluator = SubModelEvaluator(DEV, 8, 32, SubModels(DIMS, every_layer=every_layer))
    found = evaluator(deep(tmp_path))
    expected = []
    for layer in range(1, LAYERS + 1) if every_layer else [LAYERS]:
        model = deep(tmp_path)
        cut_layers(model, layer)
        expected += [by_hand(model, dim) for dim in DIMS]
    assert found[MEAN] == pytest.approx(np.mean(expected), abs=2e-3)
    assert found[WHOLE] == pytest.approx(by_hand(deep(tmp_path), 16), abs=1e-3)


def test_one_that_ranks_nothing_counts_as_0(tmp_path: Path) -> None:
    same = [{**row, "sentence2": row["sentence1"]} for row in DEV]
    assert SubModelEvaluator(same, 8, 32, SubModels((16,), every_layer=False))(deep(tmp_path)) == {
        MEAN: 0.0,
        WHOLE: 0.0,
    }


def test_the_weights_kept_are_those_of_the_best_mean(tmp_path: Path) -> None:
    settings = replace(SETTINGS, dev_every=1, lr=3e-2)
    cuts = SubModels((2,), every_layer=True)
    model, ctx = deep(tmp_path), context(tmp_path)
    seed_everything(3)
    train(model, Contrast(model), PAIRS, settings, ctx, DEV, cuts=cuts)
    summary: dict[str, Any] = json.loads((ctx.workdir / "training.json").read_text())
    means = [entry["spearman"] for entry in summary["dev"]]
    best = summary["dev"][int(np.argmax(means))]
    assert summary["best_step"] == best["step"]
    # Chosen by the whole model it would be another one here.
    assert best["whole"] < max(entry["whole"] for entry in summary["dev"])
    found = SubModelEvaluator(DEV, 4, model.max_seq_length, cuts)(model)
    assert found[MEAN] == pytest.approx(max(means), abs=1e-9)
