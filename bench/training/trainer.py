"""Training of sentence transformers: one loop for all losses, exact after an interruption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import safetensors.torch
import torch
import transformers
from accelerate.data_loader import (
    prepare_data_loader,
)
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainingArguments,
)
from transformers import PrinterCallback, TrainerCallback

from bench.core.files import write_atomic
from bench.core.libraries import quiet_libraries
from bench.data.rows import Row
from bench.method import BuildContext
from bench.training.arguments import checkpoints_folder, on_device, shared_arguments
from bench.training.batches import Batches, EpochSampler, GivenBatches, InOrderSampler
from bench.training.checkpoints import (
    LossCheckpoints,
    SealCheckpoints,
    copied,
    go_on,
    resume_point,
    unfrozen,
)
from bench.training.collapse import CollapseGuard
from bench.training.finite import FiniteTrainer
from bench.training.memory import keep_freed_memory, refuse_uncheckpointed
from bench.training.micro_batches import encoding_in_parts
from bench.training.ranks import (
    average_gradients,
    check_shares,
    is_first,
    rank_and_world_size,
    wait_for_all,
)
from bench.training.sub_models import SubModelEvaluator, SubModels
from bench.training.watching import (
    SPEARMAN,
    DevEvaluator,
    LogLastStep,
    ProgressCallback,
    StopWhen,
    out_of_patience,
    write_summary,
)

TRAINED_FILE = "trained.safetensors"
# Dropout masks of processes differ.
_RANK_STRIDE = 7_919
_SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup"}


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of one training.

    Attributes:
        lr: Peak learning rate.
        epochs: Passes over the pairs.
        batch_size: Pairs in a batch.
        max_seq_length: Tokens that a text is cut to, in training only.
        warmup_ratio: Share of the steps over which the learning rate rises.
        warmup_steps: Number of these steps in place of a share, or 0.
        weight_decay: Decay of the weights, none for biases and norms.
        max_grad_norm: Gradients are scaled down to this norm.
        max_steps: Upper bound of the steps, or -1.
        adam_epsilon: Epsilon of AdamW.
        dev_every: Steps between evaluations on the dev rows, or 0 for none.
        patience: Evaluations without a new best before training stops, or 0 for never.
        checkpoint_every: Steps between checkpoints where there are no evaluations.
        micro_batch: Rows of a batch that are encoded at a time, or None for all, see
            ``bench.training.micro_batches``.
        schedule: Whether the learning rate falls linearly from its peak to zero, or stays there.
        shuffle: Whether each epoch has an order of its own, or all have that of the pairs; without
            it, batches that are given are a ``ValueError``.
        gradient_checkpointing: Whether what is inside a layer is computed again for the backward
            pass, with the same dropout, in place of being kept (Chen et al. 2016, "Training Deep
            Nets with Sublinear Memory Cost", arXiv 1604.06174). Gradients are the same.
    """

    lr: float
    epochs: float
    batch_size: int
    max_seq_length: int
    warmup_ratio: float = 0.0
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_steps: int = -1
    adam_epsilon: float = 1e-8
    dev_every: int = 0
    patience: int = 0
    checkpoint_every: int = 100
    micro_batch: int | None = None
    schedule: Literal["linear", "constant"] = "linear"
    shuffle: bool = True
    gradient_checkpointing: bool = False

    def total_steps(self, pairs: int) -> int:
        """Optimizer steps over a number of pairs."""
        return self.steps(math.ceil(pairs / self.batch_size))

    def steps(self, batches: int) -> int:
        """Optimizer steps where an epoch has a number of batches."""
        steps = math.ceil(batches * self.epochs)
        return min(steps, self.max_steps) if self.max_steps > 0 else steps

    def smallest_batch(self, pairs: int) -> int:
        """Pairs in the smallest batch that comes where an epoch has all of them."""
        last = pairs % self.batch_size
        reached = self.total_steps(pairs) >= math.ceil(pairs / self.batch_size)
        return last if last and reached else min(self.batch_size, pairs)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, before a loss makes its parameters."""
    transformers.set_seed(seed)


def train(
    model: SentenceTransformer,
    loss: torch.nn.Module,
    pairs: list[tuple[str, ...]],
    settings: TrainSettings,
    ctx: BuildContext,
    dev: list[Row] | None = None,
    labels: Sequence[float] | None = None,
    *,
    batches: Batches | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    cuts: SubModels | None = None,
) -> SentenceTransformer:
    """Train a model in place, from the last checkpoint in ``ctx.workdir`` if there is one.

    Parameters and persistent buffers of the loss, apart from the model's own, are part of every
    checkpoint; other state is not. With dev rows the best weights are kept. In several processes
    each has its ``share`` of every batch, and gradients are averaged: these are the steps of one
    process if the loss is of the rows of all, or a mean over its own where batches divide evenly.

    Args:
        model: The model.
        loss: Torch module called with the features of each column and the labels.
        pairs: Rows of equally many texts, one column a position.
        settings: Hyperparameters.
        ctx: Seed, device, precision, folder and progress of this build.
        dev: Rows with ``sentence1``, ``sentence2`` and ``score``.
        labels: A number for each row, which the loss gets, or None.
        batches: Row numbers of each batch of an epoch, from the seed and the epoch alone; equally
            many batches in every epoch. By default all rows, as ``settings.shuffle`` says.
        callbacks: What else is called during training; none may keep state of its own.
        cuts: What the model may be cut to, whose mean chooses the best weights; None for it alone.

    Raises:
        CellError: The loss became NaN or infinite, or the model collapsed.
        UsageError: Processes do not divide a batch, or loss, precision, device or model do not fit.
    """
    quiet_libraries()
    keep_freed_memory()
    seed_everything(ctx.seed)
    steps = _steps(settings, len(pairs), batches, ctx.seed)
    evaluator = _evaluator(dev, settings, model.max_seq_length, cuts)
    progress, checkpoints = ProgressCallback(ctx.progress, "train"), LossCheckpoints(model, loss)
    stop = StopWhen(partial(out_of_patience, patience=settings.patience))
    seal, guard = SealCheckpoints(ctx.workdir), CollapseGuard(model, pairs)
    trainer = _Trainer(
        model=model,
        loss=loss,
        batches=batches,
        micro_batch=settings.micro_batch,
        args=_arguments(settings, ctx, steps, evaluated=evaluator is not None),
        train_dataset=_dataset(pairs, labels),
        evaluator=evaluator,
        callbacks=[progress, checkpoints, LogLastStep(), stop, *callbacks, guard, seal],
    )
    with _cut_to(settings.max_seq_length, model):
        go_on(trainer, _resumed(ctx, checkpoints, seal))
    guard.check(trainer.state.global_step)
    _summarise(ctx, trainer, checkpoints, len(pairs))
    return model.eval()


def _steps(settings: TrainSettings, rows: int, batches: Batches | None, seed: int) -> int:
    """Optimizer steps, whose batches have rows for every process."""
    if batches and not settings.shuffle:
        raise ValueError(
            "batches that are given have an order of their own; leave shuffle as it is"
        )
    given = [len(batch) for batch in batches(seed, 0)] if batches else None
    check_shares(settings.batch_size, min(given) if given else settings.smallest_batch(rows))
    return settings.steps(len(given)) if given else settings.total_steps(rows)


def _evaluator(
    dev: list[Row] | None,
    settings: TrainSettings,
    max_seq_length: int | None,
    cuts: SubModels | None,
) -> DevEvaluator | None:
    if not dev or settings.dev_every <= 0:
        return None
    if cuts is not None:
        return SubModelEvaluator(dev, settings.batch_size, max_seq_length, cuts)
    return DevEvaluator(dev, settings.batch_size, max_seq_length)


def _resumed(ctx: BuildContext, checkpoints: LossCheckpoints, seal: SealCheckpoints) -> Path | None:
    """Find what to go on from, and take up what the loss, the seal and this process have there."""
    point = _agreed_resume_point(ctx)
    if point:
        checkpoints.load(point)
        seal.restore(point)
    if not is_first():
        torch.manual_seed(ctx.seed + _RANK_STRIDE * rank_and_world_size()[0])
    return point


def _agreed_resume_point(ctx: BuildContext) -> Path | None:
    """Find the checkpoint that all processes go on from."""
    if is_first():
        # It alone deletes the incomplete ones.
        resume_point(checkpoints_folder(ctx), ctx.progress.note)
    wait_for_all()
    return resume_point(checkpoints_folder(ctx))


@contextmanager
def _cut_to(length: int | None, model: SentenceTransformer) -> Iterator[None]:
    """Cut texts to a number of tokens for a while."""
    whole, model.max_seq_length = model.max_seq_length, length
    try:
        yield
    finally:
        model.max_seq_length = whole


def _summarise(
    ctx: BuildContext, trainer: _Trainer, checkpoints: LossCheckpoints, rows: int
) -> None:
    if is_first():
        write_summary(ctx.workdir, trainer.state, checkpoints.seconds(), rows)
    wait_for_all()


class _Trainer(FiniteTrainer):
    """Trains in several processes and in parts of batches too, and a partly frozen model.

    In several processes the batches come divided, and gradients are averaged here. The library's
    wrapper would not do: it leaves out parameters of the loss, and what a loss does with parts of
    the model.
    """

    def __init__(self, *, batches: Batches | None, micro_batch: int | None, **kwargs: Any) -> None:
        self._batches = batches
        self._micro_batch = micro_batch
        super().__init__(**kwargs)
        if self.args.gradient_checkpointing:
            refuse_uncheckpointed(cast("torch.nn.Module", self.model))
        self.remove_callback(PrinterCallback)
        if rank_and_world_size()[1] > 1:
            prepare_model = self.accelerator.prepare_model
            self.accelerator.prepare_model = partial(prepare_model, evaluation_mode=True)
            self.accelerator.prepare_data_loader = self._undivided

    def _undivided(self, loader: Any, **kwargs: Any) -> Any:
        return prepare_data_loader(
            loader,
            self.accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            non_blocking=self.accelerator.non_blocking,
        )

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of a batch, which is encoded in parts where the settings say so."""
        if self._micro_batch is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        with encoding_in_parts(self.model, self._micro_batch):
            return super().compute_loss(model, inputs, *args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the gradients of model and loss, those of one process on the joined batch."""
        result = super().training_step(*args, **kwargs)
        average_gradients(self._modules().parameters())
        return result

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate at the length of the evaluator, not that of training.

        It is set here, since every process encodes and only the first one calls the evaluator.
        """
        model, evaluator = cast("Any", self.model), cast("DevEvaluator", self.evaluator)
        with _cut_to(evaluator.max_seq_length, model):
            return super().evaluation_loop(*args, **kwargs)

    def _modules(self) -> torch.nn.ModuleList:
        return torch.nn.ModuleList([self.model, cast("torch.nn.Module", self.loss)])

    def get_batch_sampler(self, *args: Any, **kwargs: Any) -> Any:
        """Take the batches that are given, in place of those of the arguments."""
        if self._batches is None:
            return super().get_batch_sampler(*args, **kwargs)
        return GivenBatches(self._batches, *args, **kwargs)

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip the gradients of model and loss as one; the library leaves the loss's alone."""
        modules = self._modules()
        return self.accelerator.clip_grad_norm_(modules.parameters(), self.args.max_grad_norm)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save all of the model, or of a partly frozen one what is trained.

        The library saves adapters in a form that it cannot load into the model in training.
        """
        trained = unfrozen(self.model)
        if trained is None:
            super()._save(output_dir, state_dict)
        else:
            folder = Path(cast("str", output_dir or self.args.output_dir))
            write_atomic(folder / TRAINED_FILE, safetensors.torch.save(copied(trained)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trained = unfrozen(self.model)
        if trained is None:
            super()._load_from_checkpoint(resume_from_checkpoint)
        else:
            stored = safetensors.torch.load_file(Path(resume_from_checkpoint) / TRAINED_FILE)
            with torch.no_grad():
                for name, tensor in trained.items():
                    tensor.copy_(stored[name])


def _dataset(pairs: list[tuple[str, ...]], labels: Sequence[float] | None) -> Dataset:
    texts = zip(*pairs, strict=True)
    columns: dict[str, Sequence[Any]] = {f"text{i}": column for i, column in enumerate(texts)}
    if labels is not None:
        columns["label"] = labels
    return Dataset.from_dict(columns)


def _arguments(
    settings: TrainSettings, ctx: BuildContext, steps: int, *, evaluated: bool
) -> SentenceTransformerTrainingArguments:
    every = settings.dev_every if evaluated else settings.checkpoint_every
    arguments = SentenceTransformerTrainingArguments(
        **shared_arguments(ctx, every),
        per_device_train_batch_size=settings.batch_size,
        batch_sampler=EpochSampler if settings.shuffle else InOrderSampler,
        max_steps=steps,
        learning_rate=settings.lr,
        lr_scheduler_type=_SCHEDULES[settings.schedule],
        warmup_steps=settings.warmup_steps or math.ceil(steps * settings.warmup_ratio),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        adam_epsilon=settings.adam_epsilon,
        eval_strategy="steps" if evaluated else "no",
        eval_steps=every if evaluated else None,
        metric_for_best_model=SPEARMAN if evaluated else None,
        greater_is_better=True if evaluated else None,
        load_best_model_at_end=evaluated,
        gradient_checkpointing=settings.gradient_checkpointing,
        # Older versions of the library choose the other kind, which needs inputs with gradients.
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )
    # The library switches it on for several processes, whose last batch is divided here.
    arguments.dataloader_drop_last = False
    return on_device(arguments, ctx.device)
