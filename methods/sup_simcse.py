"""SimCSE, supervised: entailed sentences are positives, contradictions hard negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.fingerprint import versions
from bench.data.access import DataAccess
from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo, ModelAccess
from bench.training.method import CorpusConfig, CorpusMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


class SupSimCSE(CorpusMethod):
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

    class Config(CorpusConfig):
        """Settings; the defaults are the paper's for BERT-base.

        Attributes:
            pooling: Pooling in training and at inference; ``pooler`` is the base's own.
            head: Linear and tanh after pooling, in training and at inference.
            temperature: Temperature of the softmax.
            hard_negatives: Whether contradictions are negatives.
            hard_negative_weight: Weight α of a row's own contradiction.
            template: Prompt around every sentence, in training and at inference, for a decoder
                with pooling ``lasttoken`` (arXiv 2406.09790).
            lora_rank: Rank of adapters that are trained in place of the base's weights, and
                merged into them in the end; 0 to train the weights.
        """

        base: str = "bert-base-uncased"
        pooling: Literal["cls", "mean", "max", "lasttoken", "pooler"] = "cls"
        head: bool = True
        temperature: float = Field(0.05, gt=0)
        hard_negatives: bool = True
        hard_negative_weight: float = Field(1.0, gt=0)
        template: Literal["none", "eol", "sth", "sum"] = "none"
        lora_rank: int = Field(0, ge=0)
        corpus: str = "nli"
        lr: float = Field(5e-5, gt=0)
        batch_size: int = Field(512, gt=1)
        epochs: float = Field(3, gt=0)

        @model_validator(mode="after")
        def _last_token_of_a_template(self) -> SupSimCSE.Config:
            if self.template != "none" and (self.pooling != "lasttoken" or self.head):
                raise ValueError(f"template={self.template} needs pooling=lasttoken and head=false")
            return self

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
    def pooling(self) -> str:
        """Pooling in training and at inference."""
        return self.config.pooling

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of every training on a corpus, and the library of adapters where it is used."""
        inputs = dict(super().inputs(data, models))
        if self.trains and self.config.lora_rank:
            inputs |= versions(["peft"])
        return inputs

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Premise, entailed and, where they count, contradicting sentence."""
        corpus = NamedCorpus(self.config.corpus, self.config.sentences).load(ctx.data)
        return [*(corpus.triplets() if self.config.hard_negatives else corpus.pairs())]

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base, with its template, the fresh head behind its pooling, and adapters."""
        config = self.config
        model = super().start(ctx)
        if config.template != "none":
            from bench.training.template import apply_template

            apply_template(model, config.template)
        if config.head:
            from bench.training.heads import append_head

            append_head(model, ctx.seed)
        if config.lora_rank:
            from bench.training.lora import add_lora

            add_lora(model, config.lora_rank, ctx.seed)
        return model

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
