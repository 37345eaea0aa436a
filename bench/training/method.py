"""Methods that train a base, on a corpus or other rows: what their adapters share.

Importing this needs no torch, as methods are listed and planned without it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.data.build_inputs import BuildInput, SplitInput
from bench.data.corpora import Texts
from bench.method import BuildContext, Method, MethodConfig, TrainingLoad

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback

    from bench.training.batches import Batches
    from bench.training.sub_models import SubModels
    from bench.training.trainer import TrainSettings

DEV = "sts/stsb:dev"


class TrainedConfig(MethodConfig):
    """Settings of every training.

    Attributes:
        base: Method, folder or hub id that training starts from.
        lr: Peak learning rate.
        batch_size: Rows in a batch.
        epochs: Passes over the rows.
        max_steps: Upper bound of the steps, or -1.
        max_seq_length: Tokens of a sentence in training, those of a prompt around it not counted.
        dev: Evaluate on STS-B dev during training and keep the best checkpoint.
        dev_every: Steps between these evaluations.
        micro_batch: Rows of a batch that are encoded at a time, or None for all. The memory is that
            of so many rows, the time about a third more, and the gradients are those of the whole
            batch, see ``bench.training.micro_batches``. For losses of vectors alone.
    """

    base: str
    lr: float = Field(gt=0)
    batch_size: int = Field(64, gt=1)
    epochs: float = Field(1, gt=0)
    max_steps: int = Field(-1, ge=-1)
    max_seq_length: int = Field(32, gt=0)
    dev: bool = True
    dev_every: int = Field(250, gt=0)
    micro_batch: int | None = Field(None, gt=0)

    def idle(self) -> Mapping[str, str]:
        """What evaluations need."""
        return {} if self.dev else {"dev_every": "it needs dev=true"}


class TrainedMethod(Method):
    """Trains ``config.base`` with the method's loss on the method's rows.

    Attributes:
        checkpoint_pooling: Pooling of a checkpoint that names none.
    """

    config: TrainedConfig
    checkpoint_pooling: ClassVar[str] = "mean"

    @abstractmethod
    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Rows to train on, one text for each column of the loss."""

    @abstractmethod
    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """Loss of the model, called with the features of the columns and the labels."""

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float] | None:
        """A number for each row that the loss needs, or None."""
        return None

    def batches(self, rows: list[Texts], ctx: BuildContext) -> Batches | None:
        """What makes the batches of an epoch, or None for shuffled rows."""
        return None

    def report(self, rows: list[Texts], steps: int, ctx: BuildContext) -> Mapping[str, Any]:
        """What the record of a training on rows says besides what all say, after its steps."""
        return {}

    def prompt_tokens(self, model: SentenceTransformer) -> int:
        """Tokens around a sentence in training, which its length does not count."""
        from bench.training.template import prompt_length

        return prompt_length(model)

    def callbacks(self, model: SentenceTransformer, ctx: BuildContext) -> list[TrainerCallback]:
        """What else is called during training."""
        return []

    @property
    def cuts(self) -> SubModels | None:
        """What the model may be cut to, whose mean chooses the checkpoint; None for it alone."""
        return None

    @property
    def pooling(self) -> str:
        """Pooling that the base is trained with."""
        return "mean"

    @property
    def load_in_4bit(self) -> bool:
        """Whether the linear layers of the base are of 4 bits while adapters are trained."""
        return False

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """Model to train."""
        return ctx.models.load(
            self.config.base, pooling=self.pooling, load_in_4bit=self.load_in_4bit
        )

    def train_settings(self, rows: int) -> TrainSettings:
        """Hyperparameters of the training on a number of rows."""
        from bench.training.trainer import TrainSettings

        config = self.config
        return TrainSettings(
            lr=config.lr,
            epochs=config.epochs,
            batch_size=config.batch_size,
            max_seq_length=config.max_seq_length,
            max_steps=config.max_steps,
            dev_every=config.dev_every if config.dev else 0,
            micro_batch=config.micro_batch,
        )

    @property
    def texts_per_row(self) -> int:
        """Texts of a row that the loss has gradients through."""
        return 2

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """The rows of a batch, or those that are encoded at a time."""
        config = self.config
        if not (self.trains and self.parents):
            return {}
        # Parts of a batch are encoded column by column.
        load = TrainingLoad(
            texts=config.micro_batch or config.batch_size * self.texts_per_row,
            tokens=config.max_seq_length,
            lora_rank=getattr(config, "lora_rank", 0),
            checkpointed=getattr(config, "gradient_checkpointing", False),
            four_bit=self.load_in_4bit,
        )
        return {self.parents[0]: load}

    def reads(self) -> Mapping[str, BuildInput]:
        """The rows that checkpoints are chosen by, and the corpus where the settings name one."""
        dev = {"dev": SplitInput(DEV)} if self.trains and self.config.dev else {}
        return {**dev, **super().reads()}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train, or load a checkpoint; of adapters a copy is kept beside the model."""
        if self.checkpoint is not None:
            return ctx.models.load(self.checkpoint, pooling=self.checkpoint_pooling)
        from bench.training.lora import ADAPTER, keep_lora, merge_lora
        from bench.training.trainer import train
        from bench.training.watching import extend_summary

        rows = self.rows(ctx)
        model = self.start(ctx)
        loss = self.loss(model, rows, ctx)
        dev = ctx.data.rows(DEV) if self.config.dev else None
        settings = self.train_settings(len(rows))
        length = settings.max_seq_length + self.prompt_tokens(model)
        settings = replace(settings, max_seq_length=length)
        train(
            model,
            loss,
            rows,
            settings,
            ctx,
            dev,
            self.labels(rows, ctx),
            batches=self.batches(rows, ctx),
            callbacks=self.callbacks(model, ctx),
            cuts=self.cuts,
        )
        extend_summary(ctx.workdir, lambda steps: self.report(rows, steps, ctx))
        keep_lora(model, ctx.extra / ADAPTER)
        merge_lora(model)
        return model


class CorpusConfig(TrainedConfig):
    """Settings of a training on a corpus.

    Attributes:
        corpus: Training text, see ``bench.data.corpora``.
        sentences: Number of rows of the corpus, all by default.
    """

    corpus: str
    sentences: int | None = Field(None, gt=0)


class CorpusMethod(TrainedMethod):
    """A method whose rows are made of a corpus."""

    config: CorpusConfig
