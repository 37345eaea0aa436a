"""What watches a training: progress, evaluations on dev rows, early stopping, the summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.core.files import write_atomic
from bench.core.progress import Progress
from bench.data.rows import Row
from bench.method.contract import SUMMARY_FILE
from bench.training.ranks import is_first, wait_for_all

# Of the whole model, or the mean over what it may be cut to where that chooses, with the former as
# ``WHOLE``.
SPEARMAN, WHOLE = "eval_spearman_cosine", "eval_spearman_cosine_whole"


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


class LogLastStep(TrainerCallback):
    """Logs the last step, whatever the interval of the others."""

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log where it is the last step."""
        if state.global_step >= state.max_steps:
            control.should_log = True


class StopWhen(TrainerCallback):
    """Stops a training by its own history, which every checkpoint carries.

    The library's early stopping forgets its count on resuming.

    Args:
        ended: Whether a training is to end with what it has logged so far.
    """

    def __init__(self, ended: Callable[[TrainerState], bool]) -> None:
        self.ended = ended

    def on_evaluate(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop where the history says so."""
        if self.ended(state):
            control.should_training_stop = True


def out_of_patience(state: TrainerState, patience: int) -> bool:
    """Whether so many evaluations on the dev rows came after the best one; never for 0."""
    scores = [entry[SPEARMAN] for entry in state.log_history if SPEARMAN in entry]
    return bool(patience and scores) and len(scores) - 1 - scores.index(max(scores)) >= patience


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
        | ({"whole": entry[WHOLE]} if WHOLE in entry else {})
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


def extend_summary(workdir: Path, more: Callable[[int], Mapping[str, Any]]) -> None:
    """Add to ``training.json`` what else there is to say of a training.

    Args:
        workdir: Folder of the build.
        more: Called with the number of steps, in the first process alone.
    """
    if is_first():
        path = workdir / SUMMARY_FILE
        summary = json.loads(path.read_bytes())
        content = json.dumps({**summary, **more(summary["steps"])}, indent=2)
        write_atomic(path, content.encode())
    wait_for_all()
