"""What watches a training: progress, evaluations on dev rows, early stopping, the summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.data.rows import Row
from bench.files import write_atomic
from bench.progress import Progress

SUMMARY_FILE = "training.json"
SPEARMAN = "eval_spearman_cosine"


class ProgressCallback(TrainerCallback):
    """Reports the steps of any trainer.

    Args:
        progress: Where to.
        label: What the steps are called.
    """

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Announce all steps, and those that a checkpoint has behind it."""
        self._progress.start(self._label, state.max_steps)
        self._progress.advance(state.global_step)

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report a step."""
        self._progress.advance(state.global_step)


class Schedule(TrainerCallback):
    """Logs the last step, and stops after evaluations without a new best.

    The library's own early stopping forgets its count on resuming; this one reads the history
    that every checkpoint carries.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log the last step."""
        if state.global_step >= state.max_steps:
            control.should_log = True
        self._stop_if_exhausted(state, control)

    def on_evaluate(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop where the patience is at its end."""
        self._stop_if_exhausted(state, control)

    def _stop_if_exhausted(self, state: TrainerState, control: TrainerControl) -> None:
        scores = [entry[SPEARMAN] for entry in state.log_history if SPEARMAN in entry]
        if self._patience and scores:
            since_best = len(scores) - 1 - scores.index(max(scores))
            if since_best >= self._patience:
                control.should_training_stop = True


class DevEvaluator(EmbeddingSimilarityEvaluator):  # type: ignore[misc, unused-ignore]
    """Scores the dev rows, at the length that the model has in use."""

    def __init__(self, dev: list[Row], batch_size: int, max_seq_length: int | None) -> None:
        super().__init__(
            [row["sentence1"] for row in dev],
            [row["sentence2"] for row in dev],
            [row["score"] for row in dev],
            batch_size=batch_size,
            similarity_fn_names=["cosine"],
            write_csv=False,
        )
        self.max_seq_length = max_seq_length


def write_summary(
    workdir: Path, state: TrainerState, seconds: float, pairs: int, **more: Any
) -> None:
    """Write ``training.json``: steps, seconds, final loss, dev scores, the best step, and more."""
    dev = [
        {"step": entry["step"], "spearman": entry[SPEARMAN]}
        for entry in state.log_history
        if SPEARMAN in entry
    ]
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    summary = {
        "steps": state.global_step,
        "seconds": seconds,
        "final_loss": losses[-1] if losses else None,
        "best_step": max(dev, key=lambda entry: entry["spearman"])["step"] if dev else None,
        "dev": dev,
        "pairs": pairs,
        **more,
    }
    write_atomic(workdir / SUMMARY_FILE, json.dumps(summary, indent=2).encode())
