"""Training of a language model, masked or causal: the part that both kinds share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import transformers

from bench.method import BuildContext
from bench.training.arguments import checkpoints_folder, on_device, shared_arguments
from bench.training.checkpoints import SealCheckpoints, go_on, resume_point
from bench.training.memory import keep_freed_memory
from bench.training.watching import LogLastStep, ProgressCallback, write_summary

_WARMUP_SHARE = 20
_CHECKPOINT_EVERY = 50


@dataclass(frozen=True)
class LanguageSettings:
    """Hyperparameters of one training.

    Attributes:
        max_steps: Batches.
        batch_size: Rows in a batch.
        lr: Peak learning rate; it rises over a twentieth of the steps and falls linearly to zero.
        weight_decay: Decay of the weights, none for biases and norms.
    """

    max_steps: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0


def train_language_model(
    lm: Any,
    rows: list[dict[str, Any]],
    collate: Callable[[list[dict[str, Any]]], Any],
    settings: LanguageSettings,
    ctx: BuildContext,
    label: str,
    *,
    trainer_class: type[transformers.Trainer] = transformers.Trainer,
    evaluate: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Train a model in place, from the last checkpoint if there is one, and write the summary.

    Args:
        lm: Language model of transformers.
        rows: What it learns from.
        collate: Makes a batch of rows.
        settings: Hyperparameters.
        ctx: Seed, device, precision, folder and progress of this build.
        label: What the steps are called where progress is shown.
        trainer_class: Computes the loss.
        evaluate: Called with the training done; what it returns is part of the summary.

    Raises:
        UsageError: The library cannot train in this precision on this device.
    """
    keep_freed_memory()
    started = time.perf_counter()
    arguments = transformers.TrainingArguments(
        **shared_arguments(ctx, _CHECKPOINT_EVERY),
        per_device_train_batch_size=settings.batch_size,
        max_steps=settings.max_steps,
        learning_rate=settings.lr,
        warmup_steps=settings.max_steps // _WARMUP_SHARE,
        weight_decay=settings.weight_decay,
        remove_unused_columns=False,
    )
    trainer = trainer_class(
        model=lm,
        args=on_device(arguments, ctx.device),
        train_dataset=rows,
        data_collator=collate,
        callbacks=[
            ProgressCallback(ctx.progress, label),
            LogLastStep(),
            SealCheckpoints(ctx.workdir),
        ],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    go_on(trainer, resume_point(checkpoints_folder(ctx), ctx.progress.note))
    # What is evaluated and saved computes in the precision of its weights.
    trainer.accelerator.unwrap_model(lm, keep_fp32_wrapper=False)
    seconds = time.perf_counter() - started
    write_summary(ctx.workdir, trainer.state, seconds, len(rows), **evaluate())
