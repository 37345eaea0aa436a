"""Training and prediction of the models with a transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from bench.core.errors import CellError, UsageError
from bench.core.libraries import quiet_libraries
from bench.method import BuildContext, Item
from bench.methods.ensemble.context_model import (
    ContextModel,
    ContextParts,
    Loss,
    prediction_loss,
    probabilities,
)
from bench.methods.ensemble.members import MemberOutputs, MemberRows
from bench.methods.parts.nearest import ABSENT, Embeddings
from bench.training.arguments import on_device, precision_arguments
from bench.training.memory import keep_freed_memory
from bench.training.watching import ProgressCallback

PREDICT_BATCH = 128
# Some tokenizers make no token of an empty text, and nothing can be pooled then.
EMPTY = "."


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        base: Method, folder or hub id of its transformer.
        parts: What stands on the transformer.
        loss: Squared error or cross-entropy.
        lr: Peak learning rate of the transformer; it falls linearly to zero.
        head_lr: That of all that is new.
        batch_size: Texts in a batch.
        epochs: Passes over the examples of a stage.
        weight_decay: Decay of the weights, none for biases and norms.
        warmup: Share of the steps over which the learning rates rise.
        max_seq_length: Tokens that a text, or a pair together, is cut to.
    """

    base: str
    parts: ContextParts
    loss: Loss
    lr: float
    head_lr: float
    batch_size: int
    epochs: float
    weight_decay: float
    warmup: float
    max_seq_length: int


class NeuralMember:
    """A ``ContextModel`` that is trained from its base.

    Scores are learned in units of their standard deviation around their mean.

    Args:
        recipe: How it is trained.
        ctx: Access to the base, device and progress.
        snippets: Vectors of the texts of the pool, (m, c).
        outputs: Classes, or 1 for scores.
        classes: Whether the targets are classes.
    """

    def __init__(
        self,
        recipe: Recipe,
        ctx: BuildContext,
        snippets: Embeddings,
        outputs: int,
        *,
        classes: bool,
    ) -> None:
        self._recipe, self._ctx, self._classes = recipe, ctx, classes
        # A row of zeros behind all others, which is what row −1 reads.
        absent = np.zeros((1, snippets.shape[1]), np.float32)
        self._snippets = torch.from_numpy(np.vstack([snippets, absent]))
        self._outputs = outputs
        self._model: ContextModel | None = None
        self._tokenizer: Any = None
        self._centre, self._scale = 0.0, 1.0

    def fit(self, stages: Sequence[MemberRows], seed: int) -> None:
        """Train, one stage after the other.

        Raises:
            CellError: The loss became NaN or infinite.
            UsageError: The base is not a transformer.
        """
        quiet_libraries()
        keep_freed_memory()
        transformers.set_seed(seed)
        encoder, self._tokenizer = _transformer(self._recipe.base, self._ctx)
        # Again, as a base that is a method may just have been trained, or lay in the cache.
        transformers.set_seed(seed)
        width = self._snippets.shape[1]
        self._model = ContextModel(encoder, width, self._outputs, self._recipe.parts)
        self._model.to(self._ctx.device)
        if not self._classes:
            scores = np.concatenate(
                [stage.targets for stage in stages if stage.targets is not None]
            )
            self._centre, self._scale = float(scores.mean()), float(scores.std()) or 1.0
        for stage in stages:
            self._train(self._model, stage, seed)
        self._model.eval()

    def _train(self, model: ContextModel, stage: MemberRows, seed: int) -> None:
        recipe, rows = self._recipe, self._rows(stage)
        steps = math.ceil(math.ceil(len(rows) / recipe.batch_size) * recipe.epochs)
        with TemporaryDirectory() as folder:
            trainer = transformers.Trainer(
                model=_ModelWithLoss(model, recipe.loss, classes=self._classes),
                args=_arguments(recipe, steps, seed, folder, self._ctx),
                train_dataset=rows,
                data_collator=self._collate,
                optimizers=_optimizers(model, recipe, steps),
                callbacks=[ProgressCallback(self._ctx.progress, f"train {recipe.base}")],
            )
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()

    def _rows(self, examples: MemberRows) -> list[dict[str, Any]]:
        tokens = self._tokens(examples.items)
        targets: Any = [None] * len(examples.items)
        if examples.targets is not None:
            targets = (examples.targets - self._centre) / self._scale
        return [
            {
                **{name: values[i] for name, values in tokens.items()},
                "neighbours": examples.neighbours[i],
                "targets": targets[i],
            }
            for i in range(len(examples.items))
        ]

    def _tokens(self, items: Sequence[Item]) -> dict[str, list[list[int]]]:
        columns = [
            [text if text.strip() else EMPTY for text in column]
            for column in zip(*items, strict=True)
        ]
        limit = self._recipe.max_seq_length
        return dict(self._tokenizer(*columns, truncation=True, max_length=limit))

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        names = [name for name in rows[0] if name not in ("neighbours", "targets")]
        tokens = self._tokenizer.pad(
            {name: [row[name] for row in rows] for name in names}, return_tensors="pt"
        )
        neighbours = torch.from_numpy(np.stack([row["neighbours"] for row in rows]))
        batch = {
            "tokens": dict(tokens),
            "context": self._snippets[neighbours],
            "present": neighbours != ABSENT,
        }
        if rows[0]["targets"] is not None:
            targets = np.stack([row["targets"] for row in rows])
            batch["targets"] = torch.from_numpy(targets).float()
        return batch

    def predict(self, examples: MemberRows) -> MemberOutputs:
        """Predict probabilities by class, or scores; texts of like length go together."""
        if self._model is None:
            raise ValueError("predict comes after fit")
        rows = self._rows(MemberRows(examples.items, examples.neighbours))
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
        outputs = np.empty((len(rows), self._outputs))
        shares = np.empty(len(rows))
        with torch.inference_mode():
            for start in range(0, len(order), PREDICT_BATCH):
                part = order[start : start + PREDICT_BATCH]
                batch = _on(self._collate([rows[i] for i in part]), self._ctx.device)
                logits, share = self._model(**batch)
                outputs[part] = probabilities(logits, classes=self._classes).cpu().numpy()
                shares[part] = share.cpu().numpy()
        return MemberOutputs(outputs * self._scale + self._centre, shares)


class _ModelWithLoss(nn.Module):
    """A model with its loss, as the trainer wants it."""

    def __init__(self, model: ContextModel, loss: Loss, *, classes: bool) -> None:
        super().__init__()
        self.model = model
        self._loss: Loss = loss
        self._classes = classes

    def forward(
        self, tokens: dict[str, Any], context: Tensor, present: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        outputs, _ = self.model(tokens, context, present)
        loss = prediction_loss(outputs.float(), targets, self._loss, classes=self._classes)
        if not torch.isfinite(loss):
            raise CellError(f"the loss became {loss.item()}; try a lower lr or head_lr")
        return {"loss": loss}


def _transformer(base: str, ctx: BuildContext) -> tuple[nn.Module, Any]:
    model = ctx.models.load(base)
    first: Any = model[0]
    encoder, tokenizer = getattr(first, "auto_model", None), getattr(first, "tokenizer", None)
    if encoder is None or not hasattr(tokenizer, "pad"):
        raise UsageError(f"model {base!r} is not a transformer; it cannot be part of the ensemble")
    return encoder, tokenizer


def _on(batch: dict[str, Any], device: str) -> dict[str, Any]:
    moved = {name: batch[name].to(device) for name in ("context", "present")}
    return {**moved, "tokens": {name: ids.to(device) for name, ids in batch["tokens"].items()}}


def _optimizers(model: ContextModel, recipe: Recipe, steps: int) -> Any:
    fresh = {id(parameter) for parameter in model.fresh()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        key = id(parameter) in fresh, parameter.ndim > 1
        groups.setdefault(key, []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": recipe.head_lr if new else recipe.lr,
                "weight_decay": recipe.weight_decay if matrix else 0.0,
            }
            for (new, matrix), parameters in groups.items()
        ],
        fused=True,
    )
    warmup = math.ceil(steps * recipe.warmup)
    # transformers does not annotate it.
    schedule: Any = transformers.get_linear_schedule_with_warmup
    return optimizer, schedule(optimizer, warmup, steps)


def _arguments(
    recipe: Recipe, steps: int, seed: int, folder: str, ctx: BuildContext
) -> transformers.TrainingArguments:
    arguments = transformers.TrainingArguments(
        output_dir=folder,
        seed=seed,
        data_seed=seed,
        use_cpu=ctx.device == "cpu",
        **precision_arguments(ctx),
        per_device_train_batch_size=recipe.batch_size,
        max_steps=steps,
        # Batches of like length have little padding, which is half of them else.
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=ctx.device.startswith("cuda"),
    )
    return on_device(arguments, ctx.device)
