"""Training of a classifier: an encoder with two layers behind its pooling."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.modules import Dense, Dropout
from torch import Tensor, nn
from torch.nn import functional
from transformers import PrinterCallback, TrainerState

from bench.core.files import write_atomic
from bench.core.libraries import quiet_libraries
from bench.method import BuildContext
from bench.method.contract import SUMMARY_FILE
from bench.training.arguments import checkpoints_folder, on_device, shared_arguments
from bench.training.batches import EpochSampler
from bench.training.checkpoints import LossCheckpoints, SealCheckpoints, go_on, resume_point
from bench.training.classifiers.rows import ClassifierRows, NumberedTexts
from bench.training.finite import FiniteTrainer
from bench.training.heads import fresh_linear
from bench.training.memory import keep_freed_memory
from bench.training.trainer import seed_everything
from bench.training.watching import ProgressCallback, StopWhen

if TYPE_CHECKING:
    from bench.training.classifiers.settings import ClassifierConfig

HIDDEN = 100
DROPOUT = 0.3
WARMUP = 0.2
# As large as in the paper: steps are shorter than the learning rate where gradients are small.
ADAM_EPSILON = 2e-5
PATIENCE = 5
INTERRUPTED = 10
EVALUATIONS = 5
EVAL_LOSS, EVAL_ACCURACY = "eval_loss", "eval_accuracy"


def add_head(model: SentenceTransformer, classes: int, activation: str, seed: int) -> None:
    """Append dropout, a layer of 100, dropout and a layer of the logits (EMNLP 2023 main 124).

    Args:
        model: Encoder of vectors (B, u), which becomes one of logits (B, K).
        classes: Number K of classes.
        activation: ``relu``, or ``none`` as in the paper's code, between the layers.
        seed: Seed of the weights.
    """
    width = int(model.get_embedding_dimension() or 0)
    between = nn.ReLU() if activation == "relu" else nn.Identity()
    for number, (size, out, after) in enumerate(
        [(width, HIDDEN, between), (HIDDEN, classes, nn.Identity())]
    ):
        linear = fresh_linear(size, out, seed * 2 + number)
        dense = Dense(
            size,
            out,
            activation_function=after,
            init_weight=linear.weight,
            init_bias=linear.bias,
        )
        for module in (Dropout(DROPOUT), dense):
            model.append(module.to(model.device))


class ClassifierLoss(nn.Module):
    """Cross-entropy of logits; of rows that it is not trained on it also counts which are right.

    Attributes:
        right: Rows since ``count_anew`` whose likeliest class is their own.
        seen: All rows since then.

    Args:
        model: Model of logits (B, K).
        frozen: Number of its first modules that are not trained. They compute as they do when
            texts are labelled, without dropout.
    """

    def __init__(self, model: SentenceTransformer, frozen: int = 0) -> None:
        super().__init__()
        self.model = model
        self.frozen = frozen
        self.count_anew()
        for module in list(model)[:frozen]:
            module.requires_grad_(False)

    def count_anew(self) -> None:
        """Begin to count right rows."""
        self.right = self.seen = 0

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Compute the mean over a batch, a scalar.

        Args:
            features: Tokens (B, L) of the texts, the only column.
            labels: Numbers of the classes (B,).
        """
        (column,) = features
        batch = dict(column)
        for number, module in enumerate(self.model):
            if number < self.frozen:
                module.eval()
            # Not ``encode``, which has no gradient: nothing of the encoder would be trained.
            batch = module(batch)
        logits = batch["sentence_embedding"].float()
        if not torch.is_grad_enabled():
            self.right += int((logits.argmax(dim=1) == labels).sum())
            self.seen += len(labels)
        return functional.cross_entropy(logits, labels.long())


class _Trainer(FiniteTrainer):
    """Logs the accuracy on the dev rows beside their loss."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, and count the rows that are right."""
        loss = cast("ClassifierLoss", self.loss)
        loss.count_anew()
        output: Any = super().evaluation_loop(*args, **kwargs)
        output.metrics[EVAL_ACCURACY] = loss.right / loss.seen
        return output


def has_to_stop(losses: Sequence[float], epochs: int, patience: int = 0) -> bool:
    """Whether the losses of all evaluations so far end a training (EMNLP 2023 main 124).

    They do after five rises in a row, or after min(epochs / 2, 10) runs of rises that a fall
    interrupted; and, which is not the paper's, where the lowest is long ago.

    Args:
        losses: Losses on the dev rows, in order.
        epochs: Most epochs.
        patience: Evaluations without a new lowest loss, or 0 for any number.
    """
    if patience and losses and len(losses) - 1 - losses.index(min(losses)) >= patience:
        return True
    run = interrupted = 0
    for before, after in pairwise(losses):
        if after > before:
            run += 1
            if run >= PATIENCE:
                return True
        else:
            interrupted += run > 0
            run = 0
    return interrupted >= max(1, min(epochs / 2, INTERRUPTED))


def train_classifier(
    model: SentenceTransformer, rows: ClassifierRows, settings: ClassifierConfig, ctx: BuildContext
) -> SentenceTransformer:
    """Append a head and train it with the encoder, or alone where that is frozen.

    The weights of the evaluation with the lowest loss on the dev rows are kept. Without dev rows
    all steps are made and the last weights kept. A training that was cut off goes on from its
    last checkpoint in ``ctx.workdir``.

    Args:
        model: Encoder, which becomes the classifier.
        rows: Texts to learn from and to stop by.
        settings: Hyperparameters.
        ctx: Seed, device, precision, folder and progress of this build.

    Raises:
        CellError: The loss became NaN or infinite.
        UsageError: The library cannot train in this precision on this device.
    """
    quiet_libraries()
    keep_freed_memory()
    encoder = len(model)
    add_head(model, len(rows.labels), settings.activation, ctx.seed)
    model.max_seq_length = settings.max_seq_length
    seed_everything(ctx.seed)
    evaluated = len(rows.dev) > 0
    rates = _rates(settings.head_lr, encoder, len(model))
    loss = ClassifierLoss(model, encoder if settings.freeze else 0)
    checkpoints = LossCheckpoints(model, loss)
    trainer = _Trainer(
        model=model,
        loss=loss,
        args=_arguments(settings, ctx, len(rows.train), evaluated, rates),
        train_dataset=_dataset(rows.train),
        eval_dataset=_dataset(rows.dev) if evaluated else None,
        callbacks=[
            ProgressCallback(ctx.progress, "train classifier"),
            checkpoints,
            StopWhen(
                lambda state: has_to_stop(
                    [entry[EVAL_LOSS] for entry in _evaluations(state)],
                    settings.epochs,
                    settings.patience,
                )
            ),
            SealCheckpoints(ctx.workdir),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    point = resume_point(checkpoints_folder(ctx), ctx.progress.note)
    if point:
        checkpoints.load(point)
    go_on(trainer, point)
    # Where it is loaded again, nothing is frozen.
    model.requires_grad_(True)
    _write_summary(ctx, trainer.state, checkpoints.seconds(), len(rows.train))
    return model.eval()


def _evaluations(state: TrainerState) -> list[dict[str, float]]:
    """What was logged of every evaluation."""
    return [log for log in state.log_history if EVAL_LOSS in log]


def _dataset(rows: NumberedTexts) -> Dataset:
    return Dataset.from_dict({"text": list(rows.texts), "label": list(rows.classes)})


def _rates(head_lr: float | None, encoder: int, modules: int) -> dict[str, float]:
    """Learning rate of the head, by a pattern of the names that its parameters have in the loss."""
    if head_lr is None:
        return {}
    head = "|".join(str(number) for number in range(encoder, modules))
    return {rf"^model\.({head})\.": head_lr}


def _arguments(
    settings: ClassifierConfig,
    ctx: BuildContext,
    rows: int,
    evaluated: bool,
    rates: dict[str, float],
) -> SentenceTransformerTrainingArguments:
    epoch = math.ceil(rows / settings.batch_size)
    steps = epoch * settings.epochs
    if settings.max_steps > 0:
        steps = min(steps, settings.max_steps)
    # Every epoch, but several times where the steps end before there are several epochs.
    every = settings.dev_every or min(epoch, math.ceil(steps / EVALUATIONS))
    # Else few rows would have no evaluation, and nothing would choose among the weights.
    every = min(every, steps)
    arguments = SentenceTransformerTrainingArguments(
        **shared_arguments(ctx, every),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        batch_sampler=EpochSampler,
        max_steps=steps,
        learning_rate=settings.lr,
        learning_rate_mapping=rates,
        warmup_steps=math.ceil(steps * WARMUP),
        adam_epsilon=ADAM_EPSILON,
        eval_strategy="steps" if evaluated else "no",
        eval_steps=every if evaluated else None,
        metric_for_best_model=EVAL_LOSS if evaluated else None,
        greater_is_better=False if evaluated else None,
        load_best_model_at_end=evaluated,
    )
    return on_device(arguments, ctx.device)


def _write_summary(ctx: BuildContext, state: TrainerState, seconds: float, rows: int) -> None:
    dev = [
        {"step": int(log["step"]), "loss": log[EVAL_LOSS], "accuracy": log[EVAL_ACCURACY]}
        for log in _evaluations(state)
    ]
    summary = {
        "steps": state.global_step,
        "seconds": seconds,
        "best_step": min(dev, key=lambda entry: entry["loss"])["step"] if dev else None,
        "dev": dev,
        "rows": rows,
    }
    write_atomic(ctx.workdir / SUMMARY_FILE, json.dumps(summary, indent=2).encode())
