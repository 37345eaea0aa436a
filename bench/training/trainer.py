"""Training of sentence transformers: one loop for all losses, exact after an interruption."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
import torch.distributed as dist
import transformers
from accelerate.data_loader import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    prepare_data_loader,
)
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState

from bench.data.rows import Row
from bench.errors import CellError, UsageError
from bench.files import write_atomic
from bench.method import BuildContext
from bench.progress import Progress, quiet_libraries
from bench.training.memory import keep_freed_memory

LOSS_FILE = "loss.safetensors"
STATE_FILE = "trainer_state.json"
TRAINED_FILE = "trained.safetensors"
SUMMARY_FILE = "training.json"
_SPEARMAN = "eval_spearman_cosine"
# Keeps the orders of (seed, epoch) and (seed + 1, epoch - 1) apart.
_SEED_STRIDE = 1_000_003
# Dropout masks of processes differ.
_RANK_STRIDE = 7_919
# Batches of row numbers of an epoch, from the seed and the epoch; equally many in every epoch.
Batches = Callable[[int, int], list[list[int]]]


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of one training.

    Attributes:
        lr: Peak learning rate; it falls linearly to zero.
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

    def total_steps(self, pairs: int) -> int:
        """Optimizer steps over a number of pairs."""
        return self.steps(math.ceil(pairs / self.batch_size))

    def steps(self, batches: int) -> int:
        """Optimizer steps where an epoch has a number of batches."""
        steps = math.ceil(batches * self.epochs)
        return min(steps, self.max_steps) if self.max_steps > 0 else steps


def ranks() -> tuple[int, int]:
    """Number of this process among those of the training, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first() -> bool:
    """Whether this is the process that writes what all of them have."""
    return ranks()[0] == 0


def wait_for_all() -> None:
    """Wait until every process of the training is here."""
    if ranks()[1] > 1:
        dist.barrier()


def share(batch: list[int]) -> list[int]:
    """Rows of a batch that are this process's own: those of all, in order, make the batch.

    Shares differ by at most one row, which happens in the last batch of an epoch, or in batches
    of the method's own.

    Raises:
        UsageError: There are more processes than rows.
    """
    rank, world = ranks()
    if len(batch) < world:
        raise _too_small(len(batch), world)
    return batch[len(batch) * rank // world : len(batch) * (rank + 1) // world]


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
) -> SentenceTransformer:
    """Train a model in place, from the last checkpoint in ``ctx.workdir`` if there is one.

    Parameters and persistent buffers of the loss, apart from the model's own, are part of every
    checkpoint; other state of a loss is not restored. With dev rows the best weights are kept.

    In several processes each has its ``share`` of every batch, the gradients of model and loss
    are averaged, and the first one writes. The steps are those of one process where the loss is
    of the rows of all processes; of a loss that is a mean over a process's own rows, this holds
    for batches that divide evenly.

    Args:
        model: The model.
        loss: Torch module called with the features of each column and the labels.
        pairs: Rows of equally many texts, one column a position.
        settings: Hyperparameters.
        ctx: Seed, device, folder and progress of this build.
        dev: Rows with ``sentence1``, ``sentence2`` and ``score``.
        labels: A number for each row, which the loss gets, or None.
        batches: The batches of an epoch, as lists of row numbers, from the seed and the epoch
            alone; equally many in every epoch. By default all rows are shuffled.
        callbacks: What else is called during training; none may keep state of its own.

    Raises:
        CellError: The loss became NaN or infinite.
        UsageError: There are more processes than rows in a batch, or they do not divide it.
    """
    quiet_libraries()
    keep_freed_memory()
    seed_everything(ctx.seed)
    folder = ctx.workdir / "checkpoints"
    evaluated = bool(dev) and settings.dev_every > 0
    checkpoints = _LossCheckpoints(model, loss)
    max_seq_length = model.max_seq_length
    steps = (
        settings.steps(len(batches(ctx.seed, 0))) if batches else settings.total_steps(len(pairs))
    )
    _check_shares(settings, len(pairs), steps, batches(ctx.seed, 0) if batches else None)
    trainer = _Trainer(
        model=model,
        loss=loss,
        batches=batches,
        args=_arguments(settings, ctx, folder, steps, evaluated),
        train_dataset=_dataset(pairs, labels),
        evaluator=(
            _DevEvaluator(dev, settings.batch_size, max_seq_length) if dev and evaluated else None
        ),
        callbacks=[
            ProgressCallback(ctx.progress, "train"),
            checkpoints,
            _Schedule(settings.patience if evaluated else 0),
            *callbacks,
        ],
    )
    trainer.remove_callback(PrinterCallback)
    if is_first():
        # It alone deletes the incomplete ones.
        resume_point(folder, (LOSS_FILE, STATE_FILE))
    wait_for_all()
    point = resume_point(folder, (LOSS_FILE, STATE_FILE))
    if point:
        checkpoints.load(point)
    if not is_first():
        torch.manual_seed(ctx.seed + _RANK_STRIDE * ranks()[0])
    model.max_seq_length = settings.max_seq_length
    try:
        trainer.train(resume_from_checkpoint=str(point) if point else None)
    finally:
        model.max_seq_length = max_seq_length
    if is_first():
        write_summary(ctx.workdir, trainer.state, checkpoints.seconds(), len(pairs))
    wait_for_all()
    return model.eval()


def _check_shares(
    settings: TrainSettings, rows: int, steps: int, given: list[list[int]] | None
) -> None:
    world = ranks()[1]
    if world == 1:
        return
    if settings.batch_size % world:
        raise UsageError(
            f"batch_size {settings.batch_size} does not divide into {world} processes; "
            f"choose a multiple of {world}, or other --processes"
        )
    if given is None:
        last = rows % settings.batch_size or settings.batch_size
        fewest = last if steps >= math.ceil(rows / settings.batch_size) else world
    else:
        fewest = min(map(len, given))
    if fewest < world:
        raise _too_small(fewest, world)


def _too_small(rows: int, world: int) -> UsageError:
    return UsageError(
        f"a batch of {rows} rows is too small for {world} processes; "
        "change the batch_size or the number of rows, or use fewer --processes"
    )


def resume_point(folder: Path, files: tuple[str, ...]) -> Path | None:
    """Find the last checkpoint that has all of some files, and delete the incomplete ones."""
    complete = {}
    for path in folder.glob("checkpoint-*"):
        if all((path / name).is_file() for name in files):
            complete[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return complete[max(complete)] if complete else None


def write_summary(workdir: Path, state: TrainerState, seconds: float, pairs: int) -> None:
    """Write ``training.json``: steps, seconds, final loss, dev scores and the best step."""
    dev = [
        {"step": entry["step"], "spearman": entry[_SPEARMAN]}
        for entry in state.log_history
        if _SPEARMAN in entry
    ]
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    summary = {
        "steps": state.global_step,
        "seconds": seconds,
        "final_loss": losses[-1] if losses else None,
        "best_step": max(dev, key=lambda entry: entry["spearman"])["step"] if dev else None,
        "dev": dev,
        "pairs": pairs,
    }
    write_atomic(workdir / SUMMARY_FILE, json.dumps(summary, indent=2).encode())


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


class _Schedule(TrainerCallback):
    """Logs the last step, and stops after evaluations without a new best.

    The library's own early stopping forgets its count on resuming; this one reads the history
    that every checkpoint carries.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True
        self._stop_if_exhausted(state, control)

    def on_evaluate(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._stop_if_exhausted(state, control)

    def _stop_if_exhausted(self, state: TrainerState, control: TrainerControl) -> None:
        scores = [entry[_SPEARMAN] for entry in state.log_history if _SPEARMAN in entry]
        if self._patience and scores:
            since_best = len(scores) - 1 - scores.index(max(scores))
            if since_best >= self._patience:
                control.should_training_stop = True


class _LossCheckpoints(TrainerCallback):
    """Adds the loss's own tensors, and the seconds spent, to the trainer's checkpoints.

    The file is written last, by the first process when all have written what is theirs, so a
    checkpoint that has it is complete.
    """

    def __init__(self, model: torch.nn.Module, loss: torch.nn.Module) -> None:
        self._model = model
        self._loss = loss
        self._earlier = 0.0
        self._started = time.perf_counter()

    def seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._started

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        wait_for_all()
        if not is_first():
            return
        content = safetensors.torch.save(_copied(self._own()), {"seconds": repr(self.seconds())})
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_atomic(folder / LOSS_FILE, content)

    def load(self, checkpoint: Path) -> None:
        own = self._own()
        with safetensors.safe_open(checkpoint / LOSS_FILE, "pt") as stored, torch.no_grad():
            self._earlier = float(stored.metadata()["seconds"])
            for name, tensor in own.items():
                tensor.copy_(stored.get_tensor(name))

    def _own(self) -> Mapping[str, torch.Tensor]:
        # By identity, since a loss may hold the model under any name and at any depth.
        models = {id(tensor) for tensor in self._model.state_dict(keep_vars=True).values()}
        return {
            name: tensor
            for name, tensor in self._loss.state_dict(keep_vars=True).items()
            if id(tensor) not in models
        }


# To mypy the library's classes are Any where it is not installed, which strict mode refuses.
class _EpochSampler(DefaultBatchSampler):  # type: ignore[misc, unused-ignore]
    """Shuffles each epoch by seed and epoch alone.

    The default sampler draws all epochs from one generator, whose state no checkpoint has: a
    training resumed in its second epoch would repeat the order of the first.
    """

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * _SEED_STRIDE + self.epoch)
        rows = len(cast("Sized", self.sampler))
        order: list[int] = torch.randperm(rows, generator=generator).tolist()
        for start in range(0, len(order), self.batch_size):
            yield share(order[start : start + self.batch_size])


class _GivenBatches(DefaultBatchSampler):  # type: ignore[misc, unused-ignore]
    """Asks for the batches of each epoch."""

    def __init__(self, batches: Batches, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batches = batches
        self._count = len(batches(self.seed, 0))

    def __iter__(self) -> Iterator[list[int]]:
        found = self._batches(self.seed, self.epoch)
        if len(found) != self._count:
            # Resuming counts the epochs behind it by the length of one.
            raise ValueError(
                f"epoch {self.epoch} has {len(found)} batches, the first one {self._count}"
            )
        yield from map(share, found)

    def __len__(self) -> int:
        return self._count


class _Trainer(SentenceTransformerTrainer):  # type: ignore[misc, unused-ignore]
    """Stops at a loss that is not finite, and collects nothing for a model card.

    In several processes the batches come divided, and gradients are averaged here. The library's
    wrapper would not do: it leaves out parameters of the loss, and what a loss does with parts of
    the model.
    """

    def __init__(self, *, batches: Batches | None, **kwargs: Any) -> None:
        self._batches = batches
        super().__init__(**kwargs)
        if ranks()[1] > 1:
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

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the gradients of model and loss, those of one process on the joined batch."""
        result = super().training_step(*args, **kwargs)
        _average_gradients(self._modules().parameters())
        return result

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate at the length of the evaluator, not that of training.

        It is set here, since every process encodes and only the first one calls the evaluator.
        """
        model, evaluator = cast("Any", self.model), cast("_DevEvaluator", self.evaluator)
        cut, model.max_seq_length = model.max_seq_length, evaluator.max_seq_length
        try:
            return super().evaluation_loop(*args, **kwargs)
        finally:
            model.max_seq_length = cut

    def _modules(self) -> torch.nn.ModuleList:
        return torch.nn.ModuleList([self.model, cast("torch.nn.Module", self.loss)])

    def get_batch_sampler(self, *args: Any, **kwargs: Any) -> Any:
        """Take the batches that are given, in place of those of the arguments."""
        if self._batches is None:
            return super().get_batch_sampler(*args, **kwargs)
        return _GivenBatches(self._batches, *args, **kwargs)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().compute_loss(model, inputs, *args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        if not torch.isfinite(loss):
            raise CellError(
                f"the loss became {loss.item()} at step {self.state.global_step + 1}; "
                "try a lower lr"
            )
        return result

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip the gradients of model and loss as one; the library leaves the loss's alone."""
        modules = self._modules()
        return self.accelerator.clip_grad_norm_(modules.parameters(), self.args.max_grad_norm)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave it out: it asks the hub about the base model."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save all of the model, or of a partly frozen one what is trained.

        The library saves adapters in a form that it cannot load into the model in training.
        """
        trained = _unfrozen(self.model)
        if trained is None:
            super()._save(output_dir, state_dict)
        else:
            folder = Path(cast("str", output_dir or self.args.output_dir))
            write_atomic(folder / TRAINED_FILE, safetensors.torch.save(_copied(trained)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trained = _unfrozen(self.model)
        if trained is None:
            super()._load_from_checkpoint(resume_from_checkpoint)
        else:
            stored = safetensors.torch.load_file(Path(resume_from_checkpoint) / TRAINED_FILE)
            with torch.no_grad():
                for name, tensor in trained.items():
                    tensor.copy_(stored[name])


def _average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by their means over all processes; a parameter without one counts as 0."""
    world = ranks()[1]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if world == 1 or not trained:
        return
    used = torch.tensor([p.grad is not None for p in trained], dtype=torch.int32)
    used = used.to(trained[0].device)
    dist.all_reduce(used, dist.ReduceOp.MAX)
    for parameter, count in zip(trained, used.tolist(), strict=True):
        # Where no process has a gradient the optimizer must not see one either.
        if count:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            total = own.contiguous()
            dist.all_reduce(total)
            parameter.grad = total / world


class _DevEvaluator(EmbeddingSimilarityEvaluator):  # type: ignore[misc, unused-ignore]
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


def _unfrozen(model: torch.nn.Module) -> Mapping[str, torch.Tensor] | None:
    """Trained parameters and persistent buffers by name, or None where nothing is frozen."""
    frozen = {id(tensor) for tensor in model.parameters() if not tensor.requires_grad}
    state = model.state_dict(keep_vars=True).items()
    return {name: tensor for name, tensor in state if id(tensor) not in frozen} if frozen else None


def _copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _dataset(pairs: list[tuple[str, ...]], labels: Sequence[float] | None) -> Dataset:
    texts = zip(*pairs, strict=True)
    columns: dict[str, Sequence[Any]] = {f"text{i}": column for i, column in enumerate(texts)}
    if labels is not None:
        columns["label"] = labels
    return Dataset.from_dict(columns)


def _arguments(
    settings: TrainSettings, ctx: BuildContext, folder: Path, steps: int, evaluated: bool
) -> SentenceTransformerTrainingArguments:
    every = settings.dev_every if evaluated else settings.checkpoint_every
    cuda = ctx.device.startswith("cuda")
    bf16 = cuda and torch.cuda.is_bf16_supported()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        seed=ctx.seed,
        data_seed=ctx.seed,
        use_cpu=ctx.device == "cpu",
        bf16=bf16,
        fp16=cuda and not bf16,
        per_device_train_batch_size=settings.batch_size,
        batch_sampler=_EpochSampler,
        max_steps=steps,
        learning_rate=settings.lr,
        warmup_steps=settings.warmup_steps or math.ceil(steps * settings.warmup_ratio),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        adam_epsilon=settings.adam_epsilon,
        optim="adamw_torch_fused",
        eval_strategy="steps" if evaluated else "no",
        eval_steps=every if evaluated else None,
        metric_for_best_model=_SPEARMAN if evaluated else None,
        greater_is_better=True if evaluated else None,
        load_best_model_at_end=evaluated,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        save_only_model=False,
        # Windows of the logged loss end at checkpoints, so that resuming never cuts one.
        logging_steps=every,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=cuda,
    )
    # The library switches it on for several processes, whose last batch is divided here.
    arguments.dataloader_drop_last = False
    return arguments
