"""Trainings that multiply in bf16: what does so, what stays fp32, and what is left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForMaskedLM, default_data_collator

from bench.core.errors import UsageError
from bench.models.layers import layer_vectors
from bench.training.arguments import shared_arguments
from bench.training.classifiers.rows import make_rows
from bench.training.classifiers.settings import ClassifierConfig
from bench.training.classifiers.trainer import train_classifier
from bench.training.collapse import CollapseGuard, Spread
from bench.training.language import LanguageSettings, train_language_model
from bench.training.trainer import train
from tests.support.classifiers import made
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.training.test_trainer import (
    PAIRS,
    SETTINGS,
    Contrast,
    Killed,
    assert_equal_states,
    context,
    run,
)

SHORT = replace(SETTINGS, max_steps=3)
DEV = [{"sentence1": one, "sentence2": two, "score": float(len(two))} for one, two in PAIRS]
SEEN: dict[str, set[torch.dtype]] = {}


@pytest.fixture(autouse=True)
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks for a collapse encodes before and after a training, in the weights' precision."""
    monkeypatch.setattr(CollapseGuard, "check", lambda self, step: None)
    monkeypatch.setattr(Spread, "of", lambda model, texts: Spread(0.0, 1.0))


def watch(model: Any) -> None:
    """Note the dtype of what every linear layer of a model makes."""
    SEEN.clear()

    def note(module: Any, args: Any, output: torch.Tensor) -> None:
        SEEN.setdefault("multiplied", set()).add(output.dtype)

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(note)


class Watched(Contrast):
    """Notes in what the model multiplies, and what the loss gets of it."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__(model)
        watch(model)

    def forward(self, features, labels):
        loss = super().forward(features, labels)
        SEEN["vectors"] = {self.encoder(dict(f))["sentence_embedding"].dtype for f in features}
        SEEN["loss"] = {loss.dtype, self.project(torch.ones(16)).dtype}
        return loss


class WatchedApart(Watched):
    """The same of a loss that takes the model apart."""

    def forward(self, features, labels):
        vectors = [vectors for f in features for vectors in layer_vectors(self.encoder, f)]
        SEEN["vectors"] = {one.dtype for one in vectors}
        return sum(one.square().sum() for one in vectors)


@pytest.mark.parametrize(
    ("loss_class", "rows"), [(Watched, None), (Watched, 3), (WatchedApart, None)]
)
def test_transformers_multiply_in_bf16_and_losses_do_not(
    tmp_path: Path, loss_class: type[Watched], rows: int | None
) -> None:
    settings = replace(SHORT, micro_batch=rows)
    _, loss, _ = run(tmp_path / "one", settings, loss_class=loss_class, precision="bf16")
    assert SEEN.pop("multiplied") == {torch.bfloat16}
    assert all(dtypes == {torch.float32} for dtypes in SEEN.values())
    assert {tensor.dtype for tensor in loss.parameters()} == {torch.float32}


def test_fp32_is_the_default_on_any_device(tmp_path: Path) -> None:
    run(tmp_path / "one", SHORT, loss_class=Watched)
    assert SEEN["multiplied"] == {torch.float32}
    arguments = shared_arguments(replace(context(tmp_path), device="cuda"), 1)
    assert (arguments["bf16"], arguments["fp16"]) == (False, False)


def test_precisions_are_those_of_the_build(tmp_path: Path) -> None:
    for precision in ("bf16", "fp16"):
        ctx = replace(context(tmp_path), device="cuda", precision=precision)
        arguments = shared_arguments(ctx, 1)
        assert [name for name in ("bf16", "fp16") if arguments[name]] == [precision]
    with pytest.raises(UsageError, match="fp16 trains on GPUs only; use --train-precision bf16"):
        run(tmp_path / "one", SHORT, precision="fp16")


def test_the_trained_model_computes_as_it_does_once_loaded(tmp_path: Path) -> None:
    model, _, _ = run(tmp_path / "one", SHORT, precision="bf16")
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    texts = [one for one, _ in PAIRS]
    np.testing.assert_array_equal(model.encode(texts), loaded.encode(texts))
    assert "forward" not in vars(model[0])


def test_a_failed_training_leaves_no_autocast_either(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    before = model.encode(["a text"])
    ctx = context(tmp_path, die_at=1, precision="bf16")
    with pytest.raises(Killed):
        train(model, Contrast(model), PAIRS, replace(SHORT, lr=1e-12), ctx)
    np.testing.assert_allclose(model.encode(["a text"]), before, rtol=1e-5, atol=1e-7)


@pytest.mark.nightly
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=1, dev_every=2)
    whole = run(tmp_path / "whole", settings, dev=DEV, precision="bf16")
    with pytest.raises(Killed):
        run(tmp_path / "killed", settings, die_at=3, dev=DEV, precision="bf16")
    resumed = run(tmp_path / "killed", settings, dev=DEV, precision="bf16")
    assert_equal_states(whole[1], resumed[1])
    assert {**whole[2], "seconds": 0} == {**resumed[2], "seconds": 0}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_classifier_has_the_precision(tmp_path: Path, precision: Any) -> None:
    rows = make_rows(made(20), None, seed=0, dev_rows=None)
    config = ClassifierConfig(pooling="mean", batch_size=8, max_seq_length=24, max_steps=2)
    model = tiny_sentence_transformer(tmp_path / "tiny")
    watch(model)
    train_classifier(model, rows, config, context(tmp_path, precision=precision))
    expected = torch.float32 if precision == "fp32" else torch.bfloat16
    assert SEEN["multiplied"] == {expected}
    model.encode(["a text"])
    assert torch.float32 in SEEN["multiplied"]


def test_a_language_model_has_the_precision(tmp_path: Path) -> None:
    lm = AutoModelForMaskedLM.from_pretrained(tiny_bert(tmp_path / "tiny"))
    watch(lm)
    rows = [{"input_ids": [2, i + 5, 3], "labels": [2, i + 5, 3]} for i in range(12)]
    settings, ctx = LanguageSettings(2, 4, 1e-2), context(tmp_path, precision="bf16")
    train_language_model(lm, rows, default_data_collator, settings, ctx, "train")
    assert SEEN["multiplied"] == {torch.bfloat16}
    lm(input_ids=torch.tensor([[2, 5, 3]]))
    assert SEEN["multiplied"] == {torch.bfloat16, torch.float32}
