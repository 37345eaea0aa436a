"""Fine-tuning: the published settings, and that each one reaches the trainer or the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import UsageError
from bench.method import named_method
from bench.training.classifiers import trainer
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import context


def method(options: str = "", name: str = "ft", profile: str = "paper") -> Any:
    return named_method(f"{name}[{options}]" if options else name, profile)


def arguments(folder: Path, options: str = "", rows: int = 640) -> Any:
    config = method(options).config
    rates = trainer._rates(config.head_lr, 2, 6)
    return trainer._arguments(config, context(folder), rows, False, rates)


@pytest.mark.parametrize("name", ["ft", "three-phase"])
def test_the_published_settings(name: str, tmp_path: Path) -> None:
    # EMNLP 2023 main 124, Table 5, RoBERTa on SNIPS; its epsilon, and its warm-up over a fifth of
    # the most steps. Pooling is that of the authors' code; the 128 tokens are ours.
    config = method(name=name).config
    assert (config.base, config.pooling, config.lr) == ("roberta-base", "cls", 1e-5)
    assert (config.epochs, config.batch_size, config.freeze) == (70, 32, False)
    assert (config.head_lr, config.max_steps, config.dev_rows) == (None, -1, None)
    assert (config.patience, config.dev_every) == (0, None)
    given = arguments(tmp_path)
    assert (given.adam_epsilon, given.max_steps) == (2e-5, 20 * 70)
    assert given.warmup_steps == 0.2 * 20 * 70
    # The two layers of the authors' code (3-phase_finetuning at 3ca37ff).
    assert (trainer.HIDDEN, trainer.DROPOUT) == (100, 0.3)


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("lr=0.01", "learning_rate", 0.01),
        ("epochs=3", "max_steps", 60),
        ("max_steps=9", "max_steps", 9),
        ("batch_size=64", "per_device_train_batch_size", 64),
        ("head_lr=0.1", "learning_rate_mapping", {r"^model\.(2|3|4|5)\.": 0.1}),
    ],
)
def test_settings_reach_the_trainer(tmp_path: Path, option: str, name: str, value: Any) -> None:
    usual, changed = (getattr(arguments(tmp_path, given), name) for given in ("", option))
    assert changed == value != usual


def test_evaluations_are_an_epoch_apart_or_as_far_as_is_asked_for(tmp_path: Path) -> None:
    config = method("dev_every=7").config
    given = trainer._arguments(config, context(tmp_path), 640, True, {})
    assert (given.eval_steps, given.save_steps, given.max_steps) == (7, 7, 1400)
    for options, rows, every in (("", 640, 20), ("max_steps=50", 640, 10), ("dev_every=99", 9, 70)):
        given = trainer._arguments(method(options).config, context(tmp_path), rows, True, {})
        assert given.eval_steps == every


def test_local_trainings_have_as_many_steps_in_all() -> None:
    ft, phases = (method(name=name, profile="local").config for name in ("ft", "three-phase"))
    assert ft.max_steps == phases.dae_steps + phases.cl_steps + phases.max_steps
    # The last weights are evaluated too.
    assert ft.max_steps % ft.dev_every == phases.max_steps % phases.dev_every == 0
    for option in ("patience", "dev_every", "dev_rows", "lr", "head_lr", "max_seq_length"):
        assert getattr(ft, option) == getattr(phases, option)


@pytest.mark.parametrize("activation", ["relu", "none"])
def test_the_activation_is_between_both_layers(tmp_path: Path, activation: str) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    trainer.add_head(model, 3, method(f"activation={activation}").config.activation, 0)
    first, last = (model[i].activation_function for i in (3, 5))
    assert type(first).__name__ == {"relu": "ReLU", "none": "Identity"}[activation]
    assert type(last).__name__ == "Identity"


@pytest.mark.parametrize("name", ["ft", "three-phase"])
def test_the_rate_of_an_encoder_that_is_frozen_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="lr does nothing here; head_lr is the rate of all"):
        method("freeze=true,head_lr=0.1,lr=0.01", name)
    assert method("freeze=true,lr=0.01", name).config.lr == 0.01
    assert method("head_lr=0.1,lr=0.01", name).config.lr == 0.01
