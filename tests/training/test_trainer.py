"""Training: exact after an interruption, best weights kept, summaries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import TrainerCallback

from bench.core.cache import Cache
from bench.core.compute import Precision
from bench.core.errors import CellError
from bench.core.progress import Silent
from bench.data.access import DataAccess
from bench.method import BuildContext
from bench.training.checkpoints import LOSS_FILE
from bench.training.trainer import TrainSettings, seed_everything, train
from tests.support.access import local_models
from tests.support.models import tiny_sentence_transformer

PAIRS = [(f"the number {i}", f"{i} is a number with {i % 3}") for i in range(20)]
SETTINGS = TrainSettings(
    lr=1e-2, epochs=3, batch_size=4, max_seq_length=16, warmup_ratio=0.1, checkpoint_every=2
)


class Killed(Exception):
    """Stands for the end of the process."""


class Dies(Silent):
    """Raises once a step is done."""

    def __init__(self, at: int | None) -> None:
        self._at = at

    def advance(self, done: int, label: str | None = None) -> None:
        if done == self._at:
            raise Killed


class Contrast(torch.nn.Module):
    """In-batch contrast with a projection, a temperature and a queue of its own."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.encoder = model
        self.project = torch.nn.Linear(16, 8)
        self.temperature = torch.nn.Parameter(torch.tensor(0.1))
        self.register_buffer("queue", torch.randn(8, 8))
        self.register_buffer("position", torch.tensor(0))

    def forward(self, features, labels):
        one, two = (self.project(self.encoder(f)["sentence_embedding"]) for f in features)
        logits = one @ torch.cat([two, self.queue]).T / self.temperature.clamp(min=0.05)
        with torch.no_grad():
            self.queue[int(self.position)] = two[0]
            self.position.copy_((self.position + 1) % len(self.queue))
        return torch.nn.functional.cross_entropy(logits, torch.arange(len(one)))


class Broken(Contrast):
    """Becomes NaN."""

    def forward(self, features, labels):
        return super().forward(features, labels) * float("nan")


class Steep(Contrast):
    """Has gradients that are far too long."""

    def forward(self, features, labels):
        return super().forward(features, labels) * 1e4


def context(
    folder: Path, die_at: int | None = None, seed: int = 3, precision: Precision = "fp32"
) -> BuildContext:
    """A context whose progress kills the training at a step."""
    cache, progress = Cache(folder / "cache"), Dies(die_at)
    data = DataAccess(None, cache.data, cache.hashes(), offline=True)
    models = local_models(folder, progress).seeded(seed)
    workdir = folder / "work"
    workdir.mkdir(exist_ok=True)
    return BuildContext(seed, "smoke", "cpu", workdir, data, models, progress, precision)


def run(
    folder, settings=SETTINGS, die_at=None, loss_class=Contrast, dev=None, seed=3, precision="fp32"
):
    """Train a tiny model; returns it, its loss and the summary."""
    folder.mkdir(exist_ok=True)
    model = tiny_sentence_transformer(folder / "tiny")
    seed_everything(seed)
    loss = loss_class(model)
    ctx = context(folder, die_at, seed, precision)
    train(model, loss, PAIRS, settings, ctx, dev)
    return model, loss, json.loads((ctx.workdir / "training.json").read_text())


def assert_equal_states(one: torch.nn.Module, two: torch.nn.Module) -> None:
    """Compare all tensors to the last bit."""
    mine, other = one.state_dict(), two.state_dict()
    assert mine.keys() == other.keys()
    for name, tensor in mine.items():
        np.testing.assert_array_equal(tensor.numpy(), other[name].numpy(), err_msg=name)


# Step 5 ends an epoch, 7 is in the second one, 10 ends one at a checkpoint.
@pytest.mark.parametrize(
    "die_at", [7, *(pytest.param(step, marks=pytest.mark.nightly) for step in (5, 10))]
)
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, die_at: int) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", die_at=die_at)
    checkpoints = list((tmp_path / "killed" / "work" / "checkpoints").glob("checkpoint-*"))
    assert checkpoints
    assert all((path / LOSS_FILE).is_file() for path in checkpoints)
    resumed = run(tmp_path / "killed")
    assert_equal_states(whole[1], resumed[1])
    assert {**whole[2], "seconds": 0} == {**resumed[2], "seconds": 0}
    assert resumed[2]["steps"] == 15


def test_incomplete_checkpoints_are_not_used(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", die_at=9)
    cut_short = tmp_path / "killed" / "work" / "checkpoints" / "checkpoint-8"
    (cut_short / LOSS_FILE).unlink()
    resumed = run(tmp_path / "killed")
    assert_equal_states(whole[1], resumed[1])


def test_training_changes_model_and_loss_and_restores_the_length(tmp_path: Path) -> None:
    model, loss, summary = run(tmp_path / "one")
    before = tiny_sentence_transformer(tmp_path / "before")
    assert model.max_seq_length == before.max_seq_length != SETTINGS.max_seq_length
    assert not np.allclose(model.encode(["the number 1"]), before.encode(["the number 1"]))
    assert int(loss.position) == 15 % 8
    assert summary["pairs"] == len(PAIRS)
    assert summary["final_loss"] > 0
    assert summary["dev"] == []


def test_seeds_differ(tmp_path: Path) -> None:
    one, two = (run(tmp_path / str(seed), seed=seed)[0] for seed in (1, 2))
    assert not np.array_equal(one.encode(["a"]), two.encode(["a"]))


def test_dev_keeps_the_best_weights(tmp_path: Path) -> None:
    dev = [
        {"sentence1": one, "sentence2": PAIRS[(i * 7) % 20][1], "score": float(i % 5)}
        for i, (one, _) in enumerate(PAIRS)
    ]
    settings = TrainSettings(lr=1e-2, epochs=3, batch_size=4, max_seq_length=16, dev_every=2)
    whole = run(tmp_path / "whole", settings, dev=dev)
    with pytest.raises(Killed):
        run(tmp_path / "killed", settings, die_at=7, dev=dev)
    resumed = run(tmp_path / "killed", settings, dev=dev)
    assert_equal_states(whole[0], resumed[0])
    assert whole[2]["dev"] == resumed[2]["dev"]
    steps = [entry["step"] for entry in whole[2]["dev"]]
    assert steps == [2, 4, 6, 8, 10, 12, 14, 15]
    best = max(whole[2]["dev"], key=lambda entry: entry["spearman"])
    assert whole[2]["best_step"] == best["step"]
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

    columns = [[row[name] for row in dev] for name in ("sentence1", "sentence2", "score")]
    score = EmbeddingSimilarityEvaluator(*columns, write_csv=False)(whole[0])["spearman_cosine"]
    assert score == pytest.approx(best["spearman"], abs=1e-6)


def test_patience_stops_early(tmp_path: Path) -> None:
    dev = [
        {"sentence1": a, "sentence2": b, "score": 1.0 / (i + 1)} for i, (a, b) in enumerate(PAIRS)
    ]
    settings = TrainSettings(
        lr=1e-9, epochs=3, batch_size=4, max_seq_length=16, dev_every=1, patience=2
    )
    summary = run(tmp_path / "one", settings, dev=dev)[2]
    assert summary["steps"] == summary["best_step"] + 2


def test_gradients_of_model_and_loss_are_clipped_as_one(tmp_path: Path) -> None:
    norms = []

    def measure(optimizer: torch.optim.Optimizer, *rest: object) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.nn.utils.get_total_norm([g for g in gradients if g is not None]).item())

    handle = register_optimizer_step_pre_hook(measure)
    try:
        run(tmp_path / "one", loss_class=Steep)
    finally:
        handle.remove()
    assert norms == pytest.approx([SETTINGS.max_grad_norm] * 15, rel=1e-3)


def test_loss_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="the loss became nan at step 1; try a lower lr"):
        run(tmp_path / "one", loss_class=Broken)


def test_max_steps_is_an_upper_bound() -> None:
    settings = TrainSettings(lr=1, epochs=2, batch_size=4, max_seq_length=8, max_steps=7)
    assert settings.total_steps(100) == 7
    assert settings.total_steps(10) == 6


def halves(seed: int, epoch: int) -> list[list[int]]:
    """Batches of three rows of either half of the pairs, in an order of each epoch."""
    generator = np.random.default_rng((seed, epoch))
    parts = [generator.permutation(10)[:9].reshape(3, 3) + start for start in (0, 10)]
    found = np.concatenate(parts).tolist()
    return [found[i] for i in generator.permutation(6)]


def run_halves(folder: Path, die_at: int | None = None, **settings: Any):
    """Train on these batches; returns the loss, the summary and the first texts of each batch."""
    folder.mkdir(exist_ok=True)
    model = tiny_sentence_transformer(folder / "tiny")
    seed_everything(3)
    loss, seen = Contrast(model), []
    tokens = {tuple(model.preprocess([pair[0]])["input_ids"][0].tolist()): pair for pair in PAIRS}

    def note(_: Any, inputs: Any) -> None:
        rows = inputs[0][0]["input_ids"].tolist()
        seen.append([PAIRS.index(tokens[tuple(i for i in row if i)]) for row in rows])

    loss.register_forward_pre_hook(note)
    ctx = context(folder, die_at)
    train(model, loss, PAIRS, replace(SETTINGS, **settings), ctx, batches=halves)
    return loss, json.loads((ctx.workdir / "training.json").read_text()), seen


def test_given_batches_are_those_of_every_epoch(tmp_path: Path) -> None:
    _, summary, seen = run_halves(tmp_path)
    assert summary["steps"] == 18
    assert seen == [batch for epoch in range(3) for batch in halves(3, epoch)]
    assert halves(3, 0) != halves(3, 1)


def test_epochs_and_max_steps_count_given_batches(tmp_path: Path) -> None:
    assert run_halves(tmp_path, max_steps=8)[2] == [*halves(3, 0), *halves(3, 1)[:2]]
    assert replace(SETTINGS, epochs=0.5).steps(6) == 3


# Step 6 ends an epoch at a checkpoint, 9 is in the second one.
@pytest.mark.nightly
@pytest.mark.parametrize("die_at", [6, 9])
def test_given_batches_killed_and_resumed(tmp_path: Path, die_at: int) -> None:
    whole = run_halves(tmp_path / "whole")
    with pytest.raises(Killed):
        run_halves(tmp_path / "killed", die_at)
    resumed = run_halves(tmp_path / "killed")
    assert_equal_states(whole[0], resumed[0])
    assert {**whole[1], "seconds": 0} == {**resumed[1], "seconds": 0}


def test_epochs_of_given_batches_are_equally_long(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    model = tiny_sentence_transformer(tmp_path / "tiny")
    with pytest.raises(ValueError, match="epoch 1 has 2 batches, the first one 1"):
        train(
            model,
            Contrast(model),
            PAIRS,
            SETTINGS,
            ctx,
            batches=lambda seed, epoch: [[0, 1]] * (epoch + 1),
        )


class Counts(TrainerCallback):
    """Counts steps."""

    steps = 0

    def on_step_end(self, *given: Any, **more: Any) -> None:
        """Count one."""
        self.steps += 1


def test_callbacks_are_called(tmp_path: Path) -> None:
    model, counts = tiny_sentence_transformer(tmp_path / "tiny"), Counts()
    train(model, Contrast(model), PAIRS, SETTINGS, context(tmp_path), callbacks=[counts])
    assert counts.steps == 15
