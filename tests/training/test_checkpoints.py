"""Checkpoints: whole or not used, and the last one of a training leads to no further step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.core.errors import DataError
from bench.core.progress import Silent
from bench.core.sealed import SEAL, seal
from bench.method.contract import EXTRA
from bench.training.checkpoints import SealCheckpoints, resume_point
from bench.training.classifiers.rows import make_rows
from bench.training.classifiers.settings import ClassifierConfig
from bench.training.classifiers.trainer import train_classifier
from bench.training.finite import FiniteTrainer
from bench.training.language import LanguageSettings, train_language_model
from tests.support.classifiers import made
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.training.test_trainer import SETTINGS, assert_equal_states, context, run

DEV = [
    {"sentence1": f"the number {i}", "sentence2": f"{i % 3} of {i}", "score": float(i % 4)}
    for i in range(8)
]
SHORT = replace(SETTINGS, max_steps=4)


class Noting(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.mark.parametrize(
    ("settings", "dev"),
    [
        (SHORT, None),
        (replace(SETTINGS, max_steps=5), None),
        (replace(SETTINGS, epochs=1), None),
        (replace(SHORT, dev_every=2), DEV),
        (replace(SETTINGS, dev_every=1, patience=1), DEV),
    ],
)
def test_after_the_last_checkpoint_no_step_is_made(
    tmp_path: Path, settings: object, dev: object
) -> None:
    whole = run(tmp_path, settings, dev=dev)
    (tmp_path / "work/training.json").unlink()
    again = run(tmp_path, settings, dev=dev)
    assert_equal_states(again[0], whole[0])
    assert_equal_states(again[1], whole[1])
    del again[2]["seconds"], whole[2]["seconds"]
    assert again[2] == whole[2]


def test_a_classifier_makes_no_further_step(tmp_path: Path) -> None:
    rows = make_rows(made(20), None, seed=0, dev_rows=None)
    config = ClassifierConfig(pooling="mean", batch_size=8, max_seq_length=24, max_steps=4, lr=1e-2)
    models, summaries = [], []
    for _ in range(2):
        model = tiny_sentence_transformer(tmp_path / "tiny")
        models.append(train_classifier(model, rows, config, context(tmp_path)))
        summaries.append(json.loads((tmp_path / "work/training.json").read_text())["steps"])
    assert_equal_states(*models)
    assert summaries == [4, 4]


def test_a_language_model_makes_no_further_step(tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, default_data_collator

    folder = tiny_bert(tmp_path / "tiny")
    rows = [{"input_ids": [2, i + 5, 3], "labels": [2, i + 5, 3]} for i in range(12)]
    models, summaries = [], []
    for _ in range(2):
        torch.manual_seed(0)
        lm = AutoModelForMaskedLM.from_pretrained(folder)
        settings = LanguageSettings(max_steps=5, batch_size=4, lr=1e-2)
        ctx = context(tmp_path)
        train_language_model(lm, rows, default_data_collator, settings, ctx, "train")
        models.append(lm)
        summaries.append(json.loads((tmp_path / "work/training.json").read_text())["steps"])
    assert_equal_states(*models)
    assert summaries == [5, 5]


def _checkpoint(folder: Path, step: int, best: int | None = None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    state = {"best_model_checkpoint": best and str(folder / f"checkpoint-{best}")}
    (path / "trainer_state.json").write_text(json.dumps(state))
    (path / "model.safetensors").write_bytes(b"weights")
    seal(path)
    return path


@pytest.mark.parametrize("harm", ["changed", "missing", "more", "no seal", "seal changed"])
def test_a_checkpoint_that_is_not_whole_is_not_used(tmp_path: Path, harm: str) -> None:
    first, last = _checkpoint(tmp_path, 2), _checkpoint(tmp_path, 10)
    assert resume_point(tmp_path) == last
    weights = last / "model.safetensors"
    if harm == "changed":
        weights.write_bytes(b"weighty")
    elif harm == "missing":
        weights.unlink()
    elif harm == "more":
        (last / "adapter_config.json").touch()
    elif harm == "no seal":
        (last / SEAL).unlink()
    else:
        (last / SEAL).write_bytes((last / SEAL).read_bytes()[:-9])
    said: list[str] = []
    assert resume_point(tmp_path, said.append) == first
    assert not last.exists()
    assert len(said) == (harm != "no seal")
    assert all(f"{last} is not used, as" in line for line in said)


def test_a_checkpoint_whose_best_weights_are_gone_is_not_used(tmp_path: Path) -> None:
    first, best = _checkpoint(tmp_path, 1), _checkpoint(tmp_path, 2)
    last = _checkpoint(tmp_path, 3, best=2)
    assert resume_point(tmp_path) == last
    (best / "model.safetensors").write_bytes(b"weighty")
    assert resume_point(tmp_path) == first


def test_best_weights_that_cannot_be_read_are_never_left_out(tmp_path: Path) -> None:
    class State:
        best_model_checkpoint = str(tmp_path)
        best_metric = 1.0

    trainer = FiniteTrainer.__new__(FiniteTrainer)
    trainer.state, trainer.model = State(), tiny_sentence_transformer(tmp_path / "tiny")
    with pytest.raises((OSError, ValueError, DataError)):
        trainer._load_best_model()


def test_a_damaged_checkpoint_costs_time_and_nothing_else(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", SHORT)
    run(tmp_path / "harmed", SHORT)
    weights = tmp_path / "harmed/work/checkpoints/checkpoint-4/optimizer.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    again = run(tmp_path / "harmed", SHORT)
    assert_equal_states(again[0], whole[0])
    assert_equal_states(again[1], whole[1])


def test_what_a_method_leaves_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    class Arguments:
        output_dir = str(tmp_path / "checkpoints")

    class State:
        global_step = 2

    folder, extra = tmp_path / "checkpoints/checkpoint-2", tmp_path / EXTRA
    folder.mkdir(parents=True)
    extra.mkdir()
    (extra / "log.json").write_text("two")
    callback = SealCheckpoints(tmp_path)
    callback.on_save(Arguments(), State(), None)
    (extra / "log.json").unlink()
    (extra / "log.json").write_text("five")
    (extra / "more").touch()
    callback.restore(folder)
    assert [path.name for path in extra.iterdir()] == ["log.json"]
    assert (extra / "log.json").read_text() == "two"
