"""SimCSE, supervised: entailed sentences are positives, contradictions hard negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.core.fingerprint import versions
from bench.data.access import DataAccess
from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo, ModelAccess
from bench.training.adapted import AdaptedConfig, AdaptedMethod, PoolingName

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.training.trainer import TrainSettings


class SupSimCSE(AdaptedMethod):
    """Contrastive learning on triplets of natural language inference."""

    info = MethodInfo(
        name="sup-simcse",
        title="SimCSE, supervised",
        kind="supervised",
        paper="SimCSE: Simple Contrastive Learning of Sentence Embeddings",
        arxiv="2104.08821",
        year=2021,
        trains=True,
        gathers=True,
    )

    class Config(AdaptedConfig):
        """Settings; the defaults are the paper's for BERT-base.

        Attributes:
            head: Linear and tanh after pooling, in training and at inference.
            temperature: Temperature of the softmax.
            hard_negatives: Whether contradictions are negatives.
            hard_negative_weight: Weight α of a row's own contradiction.
            warmup_steps: Steps over which the learning rate rises.
            gradient_checkpointing: Compute what is inside the layers again for the backward pass,
                in less memory and more time; the model is the same.
            load_in_4bit: Train adapters beside linear layers of 4 bits (NF4, extra ``llm4bit``).
                They are merged into the numbers that these stand for, in the precision of the base.
        """

        base: str = "bert-base-uncased"
        pooling: PoolingName = "cls"
        head: bool = True
        temperature: float = Field(0.05, gt=0)
        hard_negatives: bool = True
        hard_negative_weight: float = Field(1.0, gt=0)
        corpus: str = "nli"
        lr: float = Field(5e-5, gt=0)
        batch_size: int = Field(512, gt=1)
        epochs: float = Field(3, gt=0)
        warmup_steps: int = Field(0, ge=0)
        gradient_checkpointing: bool = False
        load_in_4bit: bool = False

        def idle(self) -> Mapping[str, str]:
            """What weights of 4 bits need."""
            idle = dict(super().idle())
            if not self.lora_rank:
                idle["load_in_4bit"] = "it needs lora_rank, as such weights cannot be trained"
            return idle

    config: Config
    checkpoint_pooling = "pooler"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "head": False,
            "corpus": "triplets",
            "batch_size": 64,
            "epochs": 1,
            "lr": 5e-4,
            "dev_every": 64,
        },
    }

    @property
    def texts_per_row(self) -> int:
        """A pair, or a triplet."""
        return 3 if self.config.hard_negatives else 2

    @property
    def load_in_4bit(self) -> bool:
        """Whether the linear layers of the base are of 4 bits."""
        return self.config.load_in_4bit

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of every training on a corpus, and what makes 4 bits where that is asked for."""
        inputs = dict(super().inputs(data, models))
        if self.trains and self.load_in_4bit:
            inputs |= versions(["bitsandbytes"])
        return inputs

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Premise, entailed and, where they count, contradicting sentence."""
        corpus = NamedCorpus(self.config.corpus, self.config.sentences).load(ctx.data)
        return [*(corpus.triplets() if self.config.hard_negatives else corpus.pairs())]

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base, with its template, adapters, and the fresh head behind its pooling."""
        model = super().start(ctx)
        if self.config.head:
            from bench.training.heads import append_head

            append_head(model, ctx.seed)
        return model

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the warm-up and what saves memory."""
        config = self.config
        return replace(
            super().train_settings(rows),
            warmup_steps=config.warmup_steps,
            gradient_checkpointing=config.gradient_checkpointing,
        )

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """In-batch and hard negatives."""
        from bench.methods.losses.in_batch import InBatchLoss

        config = self.config
        return InBatchLoss(
            model,
            temperature=config.temperature,
            hard_negative_weight=config.hard_negative_weight,
            head=False,
            seed=ctx.seed,
        )
