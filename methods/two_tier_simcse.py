"""2-Tier SimCSE: unsupervised SimCSE, then supervised SimCSE from the encoder that it left.

The full text of the paper was not available; a summary by others gives the two tiers, the names of
the dropout schemes and the scores. What else is here is a reading of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import Texts
from bench.method import BuildContext, MethodInfo, ModelAccess, TrainingLoad
from bench.methods.simcse import SimCSE
from bench.methods.sup_simcse import SupSimCSE
from bench.training.method import CorpusConfig, CorpusMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback

    from bench.training.trainer import TrainSettings

_OF_FIRST = ("tier1_corpus", "tier1_lr", "tier1_batch_size", "tier1_epochs", "fixed_mask")
_OF_SECOND = ("corpus", "sentences", "lr", "batch_size", "epochs")


class TwoTierSimCSE(CorpusMethod):
    """Both tiers, or one of them."""

    info = MethodInfo(
        name="two-tier-simcse",
        title="2-Tier SimCSE, unsupervised then supervised",
        kind="supervised",
        paper="2-Tier SimCSE: Elevating BERT for Robust Sentence Embeddings",
        arxiv="2501.13758",
        year=2025,
        trains=True,
        gathers=True,
    )

    class Config(CorpusConfig):
        """Settings; the paper's are not known, these are SimCSE's for BERT-base.

        Attributes:
            tier: ``1`` is unsupervised, ``2`` supervised, ``both`` one after the other.
            dropout: ``standard`` is what the base has; ``curriculum`` raises it from ``p_min``,
                in each tier; ``adaptive`` adds a gate with weights of its own behind the pooling.
            p_min: Probability that the curriculum starts with.
            p_max: Drop probability of all dropout in the base while it is trained, to which the
                curriculum rises; its own by default.
            fixed_mask: Ablation: both views of the first tier get the same dropout mask.
            pooling: Pooling in training and at inference; ``pooler`` is the base's own.
            temperature: Temperature of the softmax.
            corpus: Triplets of the second tier.
            sentences: Number of these triplets.
            tier1_corpus: Sentences of the first tier.
            tier1_lr: Peak learning rate of the first tier.
            tier1_batch_size: Rows in a batch of the first tier.
            tier1_epochs: Passes over the sentences of the first tier.
        """

        base: str = "bert-base-uncased"
        tier: Literal["1", "2", "both"] = "both"
        dropout: Literal["standard", "curriculum", "adaptive"] = "standard"
        p_min: float = Field(0.0, ge=0, lt=1)
        p_max: float | None = Field(None, ge=0, lt=1)
        fixed_mask: bool = False
        pooling: Literal["cls", "mean", "max", "lasttoken", "pooler"] = "pooler"
        temperature: float = Field(0.05, gt=0)
        corpus: str = "nli"
        lr: float = Field(5e-5, gt=0)
        batch_size: int = Field(512, gt=1)
        epochs: float = Field(3, gt=0)
        tier1_corpus: str = "stsb"
        tier1_lr: float = Field(3e-5, gt=0)
        tier1_batch_size: int = Field(64, gt=1)
        tier1_epochs: float = Field(1, gt=0)

        def idle(self) -> Mapping[str, str]:
            """What the other tier and the curriculum need."""
            idle = dict(super().idle())
            if self.tier == "1":
                idle |= dict.fromkeys(_OF_SECOND, "it needs tier=2 or tier=both")
            if self.tier == "2":
                idle |= dict.fromkeys(_OF_FIRST, "it needs tier=1 or tier=both")
            if self.dropout != "curriculum":
                idle["p_min"] = "it needs dropout=curriculum"
            if self.p_max == 0:
                idle["fixed_mask"] = idle["p_min"] = "it needs a p_max above 0"
            return idle

    config: Config
    checkpoint_pooling = "pooler"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "corpus": "triplets",
            "batch_size": 64,
            "epochs": 1,
            "lr": 5e-4,
            "tier1_lr": 2e-4,
            "dev_every": 64,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling in training and at inference."""
        return self.config.pooling

    @property
    def _first_tier(self) -> str:
        """Spec of the first tier alone, with the settings of this method."""
        options = self.config.model_copy(update={"tier": "1"}).options()
        return f"{self.info.name}[{','.join(f'{name}={value}' for name, value in options.items())}]"

    @property
    def _last_tier(self) -> CorpusMethod:
        """SimCSE of the tier that this build trains; what is before it is its base."""
        config = self.config
        training = ("max_steps", "max_seq_length", "dev", "dev_every", "micro_batch")
        same = ("pooling", "temperature", *training)
        shared = {"head": False, **config.model_dump(include=set(same))}
        if config.tier == "1":
            return SimCSE(
                SimCSE.Config(
                    base=config.base,
                    corpus=config.tier1_corpus,
                    lr=config.tier1_lr,
                    batch_size=config.tier1_batch_size,
                    epochs=config.tier1_epochs,
                    dropout=config.p_max,
                    fixed_mask=config.fixed_mask,
                    **shared,
                )
            )
        base = self._first_tier if config.tier == "both" else config.base
        return SupSimCSE(
            SupSimCSE.Config(base=base, **shared, **config.model_dump(include=set(_OF_SECOND)))
        )

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of the tier that is trained here."""
        return {} if self.checkpoint else self._last_tier.reads()

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of the tier that is trained here; the first one is the second one's base."""
        if self.checkpoint is not None:
            return super().inputs(data, models)
        return self._last_tier.inputs(data, models)

    @property
    def parents(self) -> tuple[str, ...]:
        """The first tier where there are both, or the base."""
        if self.checkpoint is not None:
            return ()
        return (self._first_tier if self.config.tier == "both" else self.config.base,)

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """That of the tier that is trained here."""
        return self._last_tier.trainings if self.trains else {}

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base, or the model of the first tier as it is, with its pooler and gate."""
        both, adaptive = self.config.tier == "both", self.config.dropout == "adaptive"
        model = ctx.models.load(self._first_tier) if both else super().start(ctx)
        if adaptive:
            from bench.methods.parts.dropout import append_adaptive, thaw_adaptive

            if both:
                thaw_adaptive(model)
            else:
                append_adaptive(model, ctx.seed)
        return model

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train the tier, or load a checkpoint; a gate becomes layers of the library."""
        model = super().build(ctx)
        if self.trains and self.config.dropout == "adaptive":
            from bench.methods.parts.dropout import freeze_adaptive

            freeze_adaptive(model)
        return model

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Sentences twice in the first tier, triplets in the second."""
        return self._last_tier.rows(ctx)

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of the tier."""
        return self._last_tier.train_settings(rows)

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """SimCSE's loss of the tier, under the curriculum where there is one."""
        loss = self._last_tier.loss(model, rows, ctx)
        if self.config.dropout != "curriculum":
            return loss
        from bench.methods.parts.dropout import CurriculumDropout

        steps = self.train_settings(len(rows)).total_steps(len(rows))
        return CurriculumDropout(
            model, loss, steps, p_min=self.config.p_min, p_max=self.config.p_max
        )

    def callbacks(self, model: SentenceTransformer, ctx: BuildContext) -> list[TrainerCallback]:
        """What sets the dropout for the training, and puts back what the base has."""
        from bench.methods.parts.dropout_rates import TrainingDropout

        return [TrainingDropout(model, self.config.p_max)]
