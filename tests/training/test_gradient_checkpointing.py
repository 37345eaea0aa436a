"""Gradient checkpointing: layers are computed again, and the weights are those of without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaPreTrainedModel

from bench.core.errors import UsageError
from bench.training.collapse import CollapseGuard
from bench.training.trainer import TrainSettings
from tests.training.test_lora import run
from tests.training.test_trainer import assert_equal_states

SETTINGS = TrainSettings(lr=1e-2, epochs=1, batch_size=4, max_seq_length=60)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A line for each pass through the middle of a layer: whether it was to keep its numbers."""
    monkeypatch.setattr(CollapseGuard, "check", lambda self, step: None)
    forward, found = LlamaMLP.forward, []

    def watched(self: Any, *given: Any) -> Any:
        found.append(torch.is_grad_enabled())
        return forward(self, *given)

    monkeypatch.setattr(LlamaMLP, "forward", watched)
    return found


# Adapters have dropout, so that equal weights show equal masks.
@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("micro_batch", [None, 2])
def test_layers_are_computed_again_and_weights_are_the_same(
    tmp_path: Path, calls: list[bool], rank: int, micro_batch: int | None
) -> None:
    settings = replace(SETTINGS, micro_batch=micro_batch)
    kept, _ = run(tmp_path / "kept", settings, rank=rank)
    passes = len(calls)
    saving = replace(settings, gradient_checkpointing=True)
    again, _ = run(tmp_path / "again", saving, rank=rank)
    assert len(calls) - passes > passes * 1.4
    assert_equal_states(kept, again)


def test_what_cannot_do_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LlamaPreTrainedModel, "supports_gradient_checkpointing", False)
    with pytest.raises(UsageError, match=r"^gradient_checkpointing=true needs a transformer that"):
        run(tmp_path, replace(SETTINGS, gradient_checkpointing=True))
