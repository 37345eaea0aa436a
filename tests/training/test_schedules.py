"""The learning rate and the order of rows over a training, also over one that was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bench.training.trainer import TrainSettings, train
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import (
    PAIRS,
    SETTINGS,
    Contrast,
    Killed,
    assert_equal_states,
    context,
    halves,
    run,
)

CONSTANT = replace(SETTINGS, schedule="constant", warmup_ratio=0.0, warmup_steps=3)
IN_ORDER = replace(SETTINGS, shuffle=False)


@contextmanager
def rates() -> Iterator[list[float]]:
    """Collect the learning rate of every step."""
    found: list[float] = []

    def note(optimizer: torch.optim.Optimizer, *rest: object) -> None:
        found.append(float(optimizer.param_groups[0]["lr"]))

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield found
    finally:
        handle.remove()


class Noting(Contrast):
    """Keeps the first number of each pair of a batch."""

    seen: list[list[int]]

    def forward(self, features, labels):
        tokenizer = self.encoder.tokenizer
        first, _ = features
        texts = tokenizer.batch_decode(first["input_ids"], skip_special_tokens=True)
        self.seen.append([int("".join(text.split()).removeprefix("thenumber")) for text in texts])
        return super().forward(features, labels)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    found: list[list[int]] = []
    monkeypatch.setattr(Noting, "seen", found, raising=False)
    return found


@pytest.mark.nightly
def test_a_rate_is_constant_after_its_warm_up(tmp_path: Path) -> None:
    with rates() as found:
        run(tmp_path / "warm", CONSTANT)
    assert found == pytest.approx([0, 1e-2 / 3, 2e-2 / 3, *[1e-2] * 12])
    with rates() as found:
        run(tmp_path / "cold", replace(CONSTANT, warmup_steps=0))
    assert found == [1e-2] * 15


@pytest.mark.nightly
def test_by_default_it_falls_to_zero(tmp_path: Path) -> None:
    with rates() as found:
        run(tmp_path / "one", replace(SETTINGS, warmup_ratio=0.0))
    assert found == pytest.approx([1e-2 * (15 - step) / 15 for step in range(15)])


def test_rows_in_order(tmp_path: Path, seen: list[list[int]]) -> None:
    epoch = [list(range(start, start + 8)) for start in (0, 8)] + [list(range(16, 20))]
    run(tmp_path / "one", replace(IN_ORDER, batch_size=8, epochs=2), loss_class=Noting)
    assert seen == epoch * 2
    seen.clear()
    run(tmp_path / "two", replace(SETTINGS, batch_size=8, epochs=2), loss_class=Noting)
    assert seen != epoch * 2
    assert seen[:3] != seen[3:]


# Step 3 ends the warm-up, 5 ends an epoch, 7 is between checkpoints of the second one.
@pytest.mark.nightly
@pytest.mark.parametrize("die_at", [3, 5, 7])
@pytest.mark.parametrize("settings", [CONSTANT, IN_ORDER], ids=["constant", "in order"])
def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, settings: TrainSettings, die_at: int, seen: list[list[int]]
) -> None:
    with rates() as whole_rates:
        whole = run(tmp_path / "whole", settings, loss_class=Noting)
    whole_seen = seen.copy()
    with pytest.raises(Killed):
        run(tmp_path / "killed", settings, die_at, loss_class=Noting)
    seen.clear()
    with rates() as later_rates:
        resumed = run(tmp_path / "killed", settings, loss_class=Noting)
    assert_equal_states(whole[1], resumed[1])
    assert later_rates == whole_rates[15 - len(later_rates) :]
    assert seen == whole_seen[15 - len(seen) :]
    assert len(seen) == len(later_rates) < 15


def test_given_batches_have_an_order_of_their_own(tmp_path: Path) -> None:
    model: Any = tiny_sentence_transformer(tmp_path / "tiny")
    ctx = context(tmp_path)
    with pytest.raises(ValueError, match="have an order of their own; leave shuffle as it is"):
        train(model, Contrast(model), PAIRS, IN_ORDER, ctx, batches=halves)
