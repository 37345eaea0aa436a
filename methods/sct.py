"""SCT: self-supervised cross-view training of small encoders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.data.access import DataAccess
from bench.data.corpora import Texts, load_corpus
from bench.method import BuildContext, Method, MethodConfig, MethodInfo, ModelAccess
from bench.training.inputs import dev_rows, training_inputs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SCT(Method):
    """Two views of a sentence predict each other's similarity distribution over a queue."""

    info = MethodInfo(
        name="sct",
        title="SCT, self-supervised cross-view training",
        kind="contrastive",
        paper="An Efficient Self-Supervised Cross-View Training For Sentence Embedding",
        arxiv="2311.03228",
        year=2023,
        trains=True,
        sources=(
            "bench.data.corpora",
            "bench.methods.losses.cross_view",
            "bench.models",
            "bench.training.trainer",
        ),
    )

    class Config(MethodConfig):
        """Settings; the defaults are the published ones for BERT-Small.

        Attributes:
            base: Method, folder or hub id that training starts from.
            views: ``pairs`` of the corpus (the paper: two back-translations), or the same
                sentence under two ``dropout`` masks.
            corpus: Training text, see ``bench.data.corpora``.
            sentences: Number of rows of the corpus, all by default.
            queue_size: Rows of each queue; at most a quarter of ``sentences``.
            tau_ref: Temperature of the references.
            tau_on: Temperature of the online branch.
            half: Halve the loss, as equation 2 does and the authors' code does not.
            kind: ``kl`` or ``ce``.
            identical_view: Ablation: each view predicts itself.
            shared_queue: Ablation: one queue for both views.
            frozen_queue: Ablation: queues keep their random rows.
            projector: Whether the online branch has its projector.
            momentum: Ablation: references come from a moving average of the model that keeps
                this share at every step.
            lr: Peak learning rate.
            batch_size: Pairs in a batch.
            epochs: Passes over the corpus.
            max_steps: Upper bound of the steps, or -1.
            max_seq_length: Tokens of a sentence in training.
            warmup_ratio: Share of the steps over which the learning rate rises.
            weight_decay: Decay of the weights, none for biases and norms.
            adam_epsilon: Epsilon of AdamW.
            dev: Evaluate on STS-B dev during training and keep the best checkpoint.
            dev_every: Steps between these evaluations.
            patience: Epochs without a new best before training stops, or 0 for never.
        """

        base: str = "nreimers/BERT-Small-L-4_H-512_A-8"
        views: Literal["pairs", "dropout"] = "pairs"
        corpus: str = "paraphrase"
        sentences: int | None = Field(None, gt=0)
        queue_size: int = Field(65_536, ge=0)
        tau_ref: float = Field(0.02, gt=0)
        tau_on: float = Field(0.03, gt=0)
        half: bool = False
        kind: Literal["kl", "ce"] = "kl"
        identical_view: bool = False
        shared_queue: bool = False
        frozen_queue: bool = False
        projector: bool = True
        momentum: float | None = Field(None, ge=0, le=1)
        lr: float = Field(3e-4, gt=0)
        batch_size: int = Field(128, gt=1)
        epochs: float = Field(20, gt=0)
        max_steps: int = Field(-1, ge=-1)
        max_seq_length: int = Field(128, gt=0)
        warmup_ratio: float = Field(0.1, ge=0, le=1)
        weight_decay: float = Field(0.01, ge=0)
        adam_epsilon: float = Field(1e-6, gt=0)
        dev: bool = True
        dev_every: int = Field(64, gt=0)
        patience: int = Field(7, ge=0)

        @model_validator(mode="after")
        def _queue_is_filled(self) -> SCT.Config:
            if self.sentences is not None and 4 * self.queue_size > self.sentences:
                raise ValueError(
                    f"queue_size {self.queue_size} is more than a quarter of {self.sentences} "
                    "sentences; a queue larger than the pairs seen keeps its random rows"
                )
            return self

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "sentences": 10_000,
            "queue_size": 2_048,
            "tau_ref": 0.03,
            "tau_on": 0.04,
            "batch_size": 64,
            "epochs": 1,
            "max_seq_length": 32,
        },
        "smoke": {
            "base": "minilm-l2",
            "views": "dropout",
            "corpus": "pydoc",
            "queue_size": 512,
            "tau_ref": 0.03,
            "tau_on": 0.04,
            "lr": 1e-4,
            "batch_size": 32,
            "max_steps": 30,
            "max_seq_length": 32,
            "dev": False,
        },
    }

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Base or checkpoint, and what is trained on."""
        found = super().inputs(data, models)
        if not self.trains:
            return found
        return {**found, **training_inputs(self.config.corpus, self._dev_every, data)}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train, or load a checkpoint with mean pooling where it names none."""
        if self.checkpoint is not None:
            return ctx.models.load(self.checkpoint, pooling="mean")
        from bench.methods.losses.cross_view import CrossViewLoss

        from bench.training.trainer import TrainSettings, train

        config = self.config
        corpus = load_corpus(config.corpus, ctx.data, config.sentences)
        dropout = config.views == "dropout"
        rows: list[Texts] = (
            [(text, text) for text in corpus.sentences()] if dropout else [*corpus.pairs()]
        )
        model = ctx.models.load(config.base, pooling="mean")
        loss = CrossViewLoss(
            model,
            seed=ctx.seed,
            queue_size=config.queue_size,
            tau_ref=config.tau_ref,
            tau_on=config.tau_on,
            half=config.half,
            kind=config.kind,
            view="identical" if config.identical_view else "cross",
            shared_queue=config.shared_queue,
            frozen_queue=config.frozen_queue,
            projector=config.projector,
            momentum=config.momentum,
        )
        settings = TrainSettings(
            lr=config.lr,
            epochs=config.epochs,
            batch_size=config.batch_size,
            max_seq_length=config.max_seq_length,
            warmup_ratio=config.warmup_ratio,
            weight_decay=config.weight_decay,
            max_steps=config.max_steps,
            adam_epsilon=config.adam_epsilon,
            dev_every=self._dev_every,
            # The paper counts epochs, the training counts evaluations.
            patience=math.ceil(config.patience * len(rows) / config.batch_size / config.dev_every),
        )
        return train(model, loss, rows, settings, ctx, dev_rows(self._dev_every, ctx.data))

    @property
    def _dev_every(self) -> int:
        return self.config.dev_every if self.config.dev else 0
