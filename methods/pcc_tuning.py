"""Pcc-tuning: contrastive learning first, then Pearson's correlation with graded pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.core.errors import UsageError
from bench.core.fingerprint import versions
from bench.core.spec import has_base, on_base
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import Texts
from bench.data.graded import GradedPairs
from bench.method import BuildContext, MethodInfo, ModelAccess, named_method
from bench.training.method import TrainedConfig, TrainedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.graded import Criterion
    from bench.training.trainer import TrainSettings

_WITH_MARGIN = ("translated-relu", "smooth-k2")


class PccTuning(TrainedMethod):
    """Tunes a contrastive model until its cosines correlate with the grades of pairs."""

    info = MethodInfo(
        name="pcc-tuning",
        title="Pcc-tuning, correlation with graded pairs after contrastive learning",
        kind="supervised",
        paper=(
            "Pcc-tuning: Breaking the Contrastive Learning Ceiling in Semantic Textual Similarity"
        ),
        arxiv="2406.09790",
        year=2024,
        trains=True,
        gathers=True,
    )

    class Config(TrainedConfig):
        """Settings; the defaults are the paper's for Mistral-7B, but for its 4-bit weights.

        ``load_in_4bit=true`` in ``stage1`` has those too.

        Attributes:
            stage1: Spec of the method whose model is tuned; it starts from ``base`` unless it
                names a base of its own. Empty to tune ``base`` itself.
            pooling: Pooling of a bare ``base`` where there is no first stage.
            lora_rank: Rank of the trained adapters, or 0 to train all weights.
            adapter: ``continued`` goes on with the adapters of the first stage, as the authors do,
                which have the same rank; ``fresh`` merges them and trains new ones.
            loss: ``pearson``; ``cosent``; ``mse`` of cosine and grade; ``translated-relu`` and
                ``smooth-k2`` (arXiv 2406.05326), where grades are in [0, 1] too.
            k: Factor of the last two.
            t: Difference that costs nothing in the last two.
            warmup_steps: Steps over which the learning rate rises.
            gradient_checkpointing: Compute what is inside the layers again for the backward pass,
                in less memory and more time; the model is the same. The first stage has its own.
            load_in_4bit: Train fresh adapters beside linear layers of 4 bits (NF4, extra
                ``llm4bit``); they are merged into the numbers that these stand for. With
                ``adapter=continued`` it is the option of the first stage.
        """

        base: str = "mistralai/Mistral-7B-v0.1"
        stage1: str = (
            "sup-simcse[template=eol,pooling=lasttoken,head=false,lora_rank=64,"
            "lr=5e-4,warmup_steps=100,epochs=1,batch_size=256]"
        )
        pooling: Literal["cls", "mean", "max", "lasttoken", "pooler"] = "lasttoken"
        lora_rank: int = Field(64, ge=0)
        adapter: Literal["continued", "fresh"] = "continued"
        loss: Literal["pearson", "cosent", "mse", "translated-relu", "smooth-k2"] = "pearson"
        k: float = Field(2.0, gt=0)
        t: float = Field(0.05, ge=0)
        lr: float = Field(5e-4, gt=0)
        batch_size: int = Field(216, gt=1)
        epochs: float = Field(8, gt=0)
        max_seq_length: int = Field(64, gt=0)
        warmup_steps: int = Field(100, ge=0)
        dev_every: int = Field(25, gt=0)
        gradient_checkpointing: bool = False
        load_in_4bit: bool = False

        def idle(self) -> Mapping[str, str]:
            """What a first stage and the losses with a margin need."""
            idle = dict(super().idle())
            if self.loss not in _WITH_MARGIN:
                idle |= dict.fromkeys(("k", "t"), f"it needs loss={' or '.join(_WITH_MARGIN)}")
            if not (self.stage1 and self.lora_rank):
                idle["adapter"] = "it needs stage1 and lora_rank"
            elif self.adapter == "continued":
                idle["load_in_4bit"] = "add it to stage1, or say adapter=fresh"
            if not self.lora_rank:
                idle["load_in_4bit"] = "it needs lora_rank, as such weights cannot be trained"
            if self.stage1:
                idle["pooling"] = "it is that of a bare base, so it needs stage1="
                if has_base(self.stage1):
                    idle["base"] = "stage1 names its own"
            return idle

    config: Config
    checkpoint_pooling = "lasttoken"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "stage1": "sup-simcse",
            "pooling": "mean",
            "lora_rank": 0,
            "batch_size": 64,
            "epochs": 1,
            "lr": 2e-4,
            "max_seq_length": 32,
            "warmup_steps": 16,
            "dev_every": 64,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling of a bare base."""
        return self.config.pooling

    @property
    def load_in_4bit(self) -> bool:
        """Whether the linear layers below the adapters are of 4 bits."""
        first = self._continued()
        return self.config.load_in_4bit if first is None else first.load_in_4bit

    @property
    def _tuned(self) -> str:
        config = self.config
        return on_base(config.stage1, config.base) if config.stage1 else config.base

    def _continued(self) -> TrainedMethod | None:
        """The first stage where its adapters go on being trained, or None.

        Raises:
            UsageError: It has none, or of another rank.
        """
        config = self.config
        if config.adapter == "fresh" or not (config.stage1 and config.lora_rank):
            return None
        first = named_method(self._tuned, self.profile)
        rank = 0
        if isinstance(first, TrainedMethod) and first.trains:
            rank = getattr(first.config, "lora_rank", 0)
            if rank == config.lora_rank:
                return first
        raise UsageError(
            f"pcc-tuning: adapter=continued needs a stage1 that trains adapters of rank "
            f"{config.lora_rank} (lora_rank), and {config.stage1} has "
            f"{f'rank {rank}' if rank else 'none'}; make them equal, or say adapter=fresh"
        )

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training, and the graded pairs."""
        build_inputs = dict(super().reads())
        if self.trains:
            build_inputs["graded"] = GradedPairs()
        return build_inputs

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of what is read, of the model of the first stage, and of what adapts it."""
        inputs = dict(super().inputs(data, models))
        if self.trains:
            self._continued()
            inputs["stage1"] = models.fingerprint(self._tuned)
            if self.config.lora_rank:
                inputs |= versions(["peft"])
            if self.load_in_4bit:
                inputs |= versions(["bitsandbytes"])
        return inputs

    @property
    def parents(self) -> tuple[str, ...]:
        """The model of the first stage, or the base."""
        return () if self.checkpoint else (self._tuned,)

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The model of the first stage, with the adapters that are trained, or the base.

        Raises:
            UsageError: Adapters that go on being trained have a trained head behind them.
        """
        first = self._continued()
        if first is not None:
            return self._as_trained(first, ctx)
        pooling = None if self.config.stage1 else self.pooling
        model = ctx.models.load(self._tuned, pooling=pooling, load_in_4bit=self.load_in_4bit)
        if self.config.lora_rank:
            from bench.training.lora import add_lora

            add_lora(model, self.config.lora_rank, ctx.seed)
        return model

    def _as_trained(self, first: TrainedMethod, ctx: BuildContext) -> SentenceTransformer:
        """What the first stage started from, with the adapters that it ended with."""
        from bench.training.lora import ADAPTER, load_lora

        # Trained, if it has to be, before its base is in memory.
        folder = ctx.models.folder(self._tuned)
        model = first.start(ctx)
        if any(True for module in [*model][1:] for _ in module.parameters()):
            raise UsageError(
                "pcc-tuning: adapter=continued keeps nothing else of stage1, whose head is trained "
                "too; add head=false to it, or say adapter=fresh"
            )
        load_lora(model, folder / ADAPTER)
        return model

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Graded pairs."""
        return [*GradedPairs().load(ctx.data).pairs]

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float]:
        """Their grades, 0 to 1."""
        return GradedPairs().load(ctx.data).scores

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
        """The criterion of the settings over the batch of all processes."""
        from bench.methods.losses.graded import GradedLoss

        return GradedLoss(model, self._criterion())

    def _criterion(self) -> Criterion:
        from bench.methods.losses import graded

        config = self.config
        known: Mapping[str, Criterion] = {
            "pearson": graded.pearson_loss,
            "cosent": graded.cosent_loss,
            "mse": graded.cosine_mse,
            "translated-relu": partial(graded.translated_relu, k=config.k, t=config.t),
            "smooth-k2": partial(graded.smooth_k2, k=config.k, t=config.t),
        }
        return known[config.loss]
