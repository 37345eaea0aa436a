"""Trainings that are stopped, as by a signal, and run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from bench.training import trainer
from bench.training.method import TrainedMethod

T = TypeVar("T")
EVERY = 2


class Stopped(BaseException):
    """Stands for the signal that ends a run."""


def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trainings keep a checkpoint every second step."""
    settings = TrainedMethod.train_settings

    def often(method: Any, rows: int) -> trainer.TrainSettings:
        return dataclasses.replace(settings(method, rows), checkpoint_every=EVERY)

    monkeypatch.setattr(TrainedMethod, "train_settings", often)


def stopped_and_run_again(run: Callable[[], T], monkeypatch: pytest.MonkeyPatch) -> T:
    """Stop a training before its fourth step, run it again, and return what that gives.

    The second run has to go on from the last checkpoint.
    """
    compute = trainer._Trainer.compute_loss
    resumed_at: list[int] = []

    def stopping(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == EVERY + 1:
            raise Stopped
        return compute(self, *args, **kwargs)

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        resumed_at.append(self.state.global_step)
        return compute(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(trainer._Trainer, "compute_loss", stopping)
        with pytest.raises(Stopped):
            run()
    with monkeypatch.context() as patch:
        patch.setattr(trainer._Trainer, "compute_loss", noting)
        found = run()
    assert resumed_at[0] == EVERY
    return found
