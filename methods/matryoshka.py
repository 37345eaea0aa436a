"""Matryoshka: prefixes of the vectors are trained to be vectors of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from bench.core.errors import UsageError
from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo
from bench.training.method import CorpusConfig, CorpusMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.in_batch import InBatchLoss
    from bench.training.sub_models import SubModels
    from bench.training.trainer import TrainSettings

# Share of the steps over which the learning rate rises where their number is not given, that of
# Tevatron, with which the reproduction trains for retrieval.
WARMUP_RATIO = 0.1


def _listed(value: Any) -> Any:
    """Numbers as a spec has them, ``(384,96)`` or ``96``."""
    if not isinstance(value, str):
        return value
    parts = value.removeprefix("(").removesuffix(")").split(",")
    return tuple(part.strip() for part in parts if part.strip())


Sizes = Annotated[tuple[PositiveInt, ...], BeforeValidator(_listed), Field(min_length=1)]


class Matryoshka(CorpusMethod):
    """Contrastive learning on triplets, summed over prefixes of the vectors."""

    info = MethodInfo(
        name="matryoshka",
        title="Matryoshka, trained for prefixes of its vectors",
        kind="supervised",
        paper="Matryoshka Representation Learning",
        arxiv="2205.13147",
        year=2022,
        trains=True,
        gathers=True,
    )

    class Config(CorpusConfig):
        """Settings; the defaults are those of the reproduction (arXiv 2411.17299) for BERT-base.

        Its script adds up the gradients of 128 batches before each step, which is not done here,
        and keeps the weights that it ends with. Where ``dev`` is set, a checkpoint is chosen by the
        mean over the lengths of ``grid``.

        Attributes:
            pooling: Pooling in training and at inference.
            temperature: Temperature of the softmax.
            dims: Lengths of the prefixes that are trained; the vectors' own size alone is
                plain training.
            dims_per_step: How many of them a step takes, at random, or -1 for all.
            grid: Lengths at which every layer is scored, see ``bench table --view grid``.
            warmup_steps: Steps over which the learning rate rises, or None for a tenth of all.
        """

        base: str = "bert-base-uncased"
        pooling: Literal["cls", "mean", "max", "lasttoken"] = "mean"
        temperature: float = Field(0.05, gt=0)
        dims: Sizes = (768, 512, 256, 128, 64, 32, 16, 8)
        dims_per_step: int = Field(-1, ge=-1)
        grid: Sizes = (768, 512, 256, 128, 64, 32, 16, 8)
        corpus: str = "nli"
        lr: float = Field(5e-5, gt=0)
        batch_size: int = Field(128, gt=1)
        epochs: float = Field(10, gt=0)
        max_seq_length: int = Field(512, gt=0)
        dev: bool = False
        warmup_steps: int | None = Field(50, ge=0)

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm",
            "dims": (384, 192, 96, 48),
            "grid": (384, 192, 96, 48, 24),
            "corpus": "triplets",
            "sentences": 3_840,
            "batch_size": 64,
            "epochs": 1,
            "max_seq_length": 32,
            "warmup_steps": 6,
            "dev": True,
            "dev_every": 30,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling in training and at inference."""
        return self.config.pooling

    @property
    def grid(self) -> tuple[int, ...]:
        """Lengths at which every layer is scored."""
        return self.config.grid

    @property
    def cuts(self) -> SubModels:
        """Prefixes of the last layer."""
        from bench.training.sub_models import SubModels

        return SubModels(self.config.grid, every_layer=False)

    @property
    def texts_per_row(self) -> int:
        """A triplet."""
        return 3

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Premise, entailed and contradicting sentence."""
        return [*NamedCorpus(self.config.corpus, self.config.sentences).load(ctx.data).triplets()]

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the warm-up."""
        steps, settings = self.config.warmup_steps, super().train_settings(rows)
        if steps is None:
            return replace(settings, warmup_ratio=WARMUP_RATIO)
        return replace(settings, warmup_steps=steps)

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base.

        Raises:
            UsageError: A prefix is longer than its vectors.
        """
        model = super().start(ctx)
        width = int(model.get_embedding_dimension() or 0)
        idle = self.config.idle()
        for name in (name for name in ("dims", "grid") if name not in idle):
            longest = max(getattr(self.config, name))
            if longest > width:
                raise UsageError(
                    f"{name}: {longest} is out of range: vectors of {self.config.base} have "
                    f"{width} dimensions; write {name}=({width},{width // 2},{width // 4})"
                )
        return model

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """In-batch and hard negatives over the prefixes."""
        from bench.methods.losses.matryoshka import MatryoshkaLoss

        return MatryoshkaLoss(
            model,
            self.contrast(model, ctx).from_vectors,
            self.config.dims,
            dims_per_step=self.config.dims_per_step,
            seed=ctx.seed,
        )

    def contrast(self, model: SentenceTransformer, ctx: BuildContext) -> InBatchLoss:
        """The loss that each prefix has."""
        from bench.methods.losses.in_batch import InBatchLoss

        return InBatchLoss(model, temperature=self.config.temperature, head=False, seed=ctx.seed)
