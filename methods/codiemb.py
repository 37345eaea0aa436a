"""CoDiEmb: retrieval and similarity in one model, each with batches and losses of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, SplitInput
from bench.data.corpora import Texts
from bench.data.graded import Graded, GradedPairs
from bench.data.retrieval import Queries, Query
from bench.method import BuildContext, MethodInfo, ModelAccess, TrainingLoad
from bench.methods.parts.mixture import Mixture
from bench.training.method import DEV, TrainedConfig, TrainedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback

    from bench.methods.parts.fusion import State
    from bench.training.batches import Batches
    from bench.training.trainer import TrainSettings

WARMUP_RATIO = 0.03
# Grade from which on the two texts of a pair answer each other in the naive training.
PARAPHRASE = 0.8
_KEPT = "checkpoints"
_OF_FUSION = ("fusion", "granularity", "power")
_OF_RETRIEVAL = ("retrieval", "queries", "positives", "negatives")
_OF_STS = ("sts_batch_size", "rank_temperature", "middle", "gather_sts")


class CoDiEmb(TrainedMethod):
    """Multi-positive contrast for retrieval, losses over the order of a batch for STS."""

    info = MethodInfo(
        name="codiemb",
        title="CoDiEmb, a task a batch for retrieval and STS, and delta-guided fusion",
        kind="supervised",
        paper=(
            "CoDiEmb: A Collaborative yet Distinct Framework for Unified Representation Learning "
            "in Information Retrieval and Semantic Textual Similarity"
        ),
        arxiv="2508.11442",
        year=2025,
        trains=True,
        gathers=True,
    )

    class Config(TrainedConfig):
        """Settings; the defaults are those of the authors' scripts for E5-large-instruct.

        The authors put an instruction before queries, and before both texts of a pair; here there
        is none, as these encoders were trained without. Their sets are Chinese, those here English.
        The formula of their fusion was not available: ``delta`` is a rule of our own, and it merges
        checkpoints of one training where theirs come from several.

        Attributes:
            pooling: Pooling of the base.
            tasks: What is trained: both, or one alone, to see what it loses to the other.
            retrieval: Sets of queries, see ``bench.data.retrieval``, joined with ``+``.
            queries: Number of queries of each set, all by default.
            positives: Positives P that are drawn for a query in every epoch.
            negatives: Hard negatives N that are drawn for a query that has any.
            batch_size: Queries in a batch of retrieval.
            sts_batch_size: Pairs in a batch of STS.
            temperature: Temperature of the contrast in retrieval and in the middle layer.
            rank_temperature: Temperature of the losses over the order of grades.
            middle: Contrast pairs of the full grade in the middle layer.
            gather_sts: In several processes take the loss of STS over the pairs of all of them.
            naive: The baseline: one contrastive loss for both tasks, in batches of
                ``batch_size`` rows of any set. Of the graded pairs it has those with a grade of
                0.8 or more, as positives of each other.
            checkpoints: Number of checkpoints that are kept, at the ends of equal parts.
            fusion: How these become one model: ``delta`` weighs them by the distance of their
                parameters from the base's; ``soup`` is their mean; ``greedy`` the mean of those
                that each raise the score on STS-B dev; ``none`` is the model that training ends
                with, or the best one where ``dev`` is set.
            granularity: What ``delta`` has weights for: the model, layers, tensors or elements.
            power: 1 for weights of ``delta`` in proportion to the distance, −1 in inverse
                proportion.
        """

        base: str = "intfloat/multilingual-e5-large-instruct"
        pooling: Literal["cls", "mean"] = "mean"
        tasks: Literal["both", "retrieval", "sts"] = "both"
        retrieval: str = "wikiqa+trecqa+semeval16_qq+quora"
        queries: int | None = Field(None, gt=0)
        positives: int = Field(2, gt=0)
        negatives: int = Field(4, ge=0)
        batch_size: int = Field(64, gt=1)
        sts_batch_size: int = Field(32, gt=1)
        temperature: float = Field(0.02, gt=0)
        rank_temperature: float = Field(0.05, gt=0)
        middle: bool = True
        gather_sts: bool = False
        naive: bool = False
        lr: float = Field(5e-5, gt=0)
        epochs: float = Field(5, gt=0)
        max_seq_length: int = Field(512, gt=0)
        dev: bool = False
        checkpoints: int = Field(5, gt=0)
        fusion: Literal["delta", "soup", "greedy", "none"] = "delta"
        granularity: Literal["model", "layer", "tensor", "element"] = "tensor"
        power: float = 1.0

        def idle(self) -> Mapping[str, str]:
            """What the losses and draws of one task, of the baseline and of checkpoints need."""
            idle = dict(super().idle())
            if self.tasks == "retrieval":
                idle |= dict.fromkeys(_OF_STS, "it needs tasks=both or tasks=sts")
            elif self.tasks == "sts":
                own = _OF_RETRIEVAL if self.naive else (*_OF_RETRIEVAL, "batch_size")
                idle |= dict.fromkeys(own, "it needs tasks=both or tasks=retrieval")
            if self.naive:
                idle |= dict.fromkeys(_OF_STS, "it needs naive=false")
            return idle

        @model_validator(mode="after")
        def _weights_of_delta(self) -> CoDiEmb.Config:
            if self.fusion != "delta" and (self.granularity, self.power) != ("tensor", 1.0):
                raise ValueError("granularity and power need fusion=delta")
            return self

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "queries": 2_000,
            "positives": 2,
            "negatives": 1,
            "batch_size": 32,
            "lr": 2e-4,
            "epochs": 1,
            "max_seq_length": 48,
            "checkpoints": 4,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling of the base."""
        return self.config.pooling

    @property
    def gathers(self) -> bool:
        """Whether the loss of STS is gathered too, which the authors' is not."""
        return self.config.gather_sts

    @property
    def _learns_retrieval(self) -> bool:
        return self.config.tasks != "sts"

    @property
    def _learns_sts(self) -> bool:
        return self.config.tasks != "retrieval"

    @property
    def _trained(self) -> str:
        """Spec of the training whose checkpoints are merged."""
        options = self.config.options(*_OF_FUSION)
        options["fusion"] = "none"
        return f"{self.info.name}[{','.join(f'{name}={value}' for name, value in options.items())}]"

    @property
    def _merges(self) -> bool:
        return self.trains and self.config.fusion != "none"

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training, with pairs and queries; or what a fusion chooses by."""
        build_inputs = dict(super().reads())
        if self._merges:
            if self.config.fusion == "greedy":
                build_inputs["dev"] = SplitInput(DEV)
        elif self.trains:
            if self._learns_sts:
                build_inputs["graded"] = self._graded
            if self._learns_retrieval:
                build_inputs["retrieval"] = self._retrieval
        return build_inputs

    @property
    def _graded(self) -> GradedPairs:
        """Graded pairs; in the naive training those that are positives."""
        return GradedPairs(least=PARAPHRASE if self.config.naive else 0.0)

    @property
    def _retrieval(self) -> Queries:
        return Queries(self.config.retrieval, each=self.config.queries)

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of what is read, and of the training that a fusion merges."""
        inputs = dict(super().inputs(data, models))
        if self._merges:
            inputs["trained"] = models.fingerprint(self._trained)
        return inputs

    @property
    def parents(self) -> tuple[str, ...]:
        """The base, or the training whose checkpoints are merged."""
        return (self._trained,) if self._merges else super().parents

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """The larger of the batches of both tasks, or nothing where checkpoints are merged."""
        config, base = self.config, super().trainings
        if self._merges or not base:
            return {}
        of_query = config.batch_size * (1 + config.positives + config.negatives)
        sizes = [of_query * self._learns_retrieval, 2 * config.sts_batch_size * self._learns_sts]
        return {name: replace(load, texts=max(sizes)) for name, load in base.items()}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train and keep checkpoints, merge those of such a training, or load a model."""
        return self._merged(ctx) if self._merges else super().build(ctx)

    def _merged(self, ctx: BuildContext) -> SentenceTransformer:
        from bench.methods.parts import fusion

        model = ctx.models.load(self._trained)
        states = fusion.kept_checkpoints(ctx.models.folder(self._trained) / _KEPT)
        if self.config.fusion == "soup":
            merged = fusion.uniform_soup(states)
        elif self.config.fusion == "greedy":
            merged = fusion.greedy_soup(states, _dev_score(model, ctx))
        else:
            base = self.start(ctx).cpu().state_dict()
            granularity, power = self.config.granularity, self.config.power
            merged = fusion.delta_fusion(base, states, granularity=granularity, power=power)
        model.load_state_dict(merged)
        return model

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Rows of all tasks, those of retrieval as they are drawn for each epoch."""
        return self._mixture(ctx).rows

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float]:
        """Grades, and −1 for rows of retrieval."""
        return self._mixture(ctx).labels

    def batches(self, rows: list[Texts], ctx: BuildContext) -> Batches:
        """The dynamic sampler."""
        return self._mixture(ctx).batches

    def callbacks(self, model: SentenceTransformer, ctx: BuildContext) -> list[TrainerCallback]:
        """What keeps the checkpoints that are merged later."""
        from bench.methods.parts.fusion import KeepCheckpoints

        folder = ctx.extra / _KEPT
        return [KeepCheckpoints(model, folder, self.config.checkpoints)]

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the authors' warm-up."""
        return replace(super().train_settings(rows), warmup_ratio=WARMUP_RATIO)

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """The loss of the task of each batch."""
        from bench.methods.losses.multi_positive import CoDiEmbLoss

        config = self.config
        return CoDiEmbLoss(
            model,
            positives=config.positives,
            temperature=config.temperature,
            rank_temperature=config.rank_temperature,
            middle=config.middle,
            gather_sts=config.gather_sts,
        )

    def _queries(self, data: DataAccess) -> dict[str, list[Query]]:
        return self._retrieval.load_sets(data) if self._learns_retrieval else {}

    def _pairs(self, data: DataAccess) -> list[Graded]:
        return self._graded.load_sets(data) if self._learns_sts else []

    def _mixture(self, ctx: BuildContext) -> Mixture:
        config = self.config
        queries, pairs = self._queries(ctx.data), self._pairs(ctx.data)
        if config.naive:
            joined = [*chain.from_iterable(queries.values())]
            joined += [
                Query(text, (positive,), ()) for graded in pairs for text, positive in graded.pairs
            ]
            queries, pairs = {"all sets": joined}, []
        mixture = Mixture(config.positives, config.negatives)
        for graded in pairs:
            mixture.add_pairs(graded, config.sts_batch_size)
        for name, retrieval in queries.items():
            mixture.add_queries(
                name, retrieval, config.batch_size, epochs=math.ceil(config.epochs), seed=ctx.seed
            )
        return mixture


def _dev_score(model: SentenceTransformer, ctx: BuildContext) -> Callable[[State], float]:
    """Make what scores weights on STS-B dev, with the model that they are of."""
    from bench.metrics.cosine import cosine_float64
    from bench.metrics.spearman import spearman

    rows = ctx.data.rows(DEV)
    first, second = ([row[name] for row in rows] for name in ("sentence1", "sentence2"))
    grades = np.array([row["score"] for row in rows], dtype=np.float64)

    def score(state: State) -> float:
        model.load_state_dict(state)
        return spearman(cosine_float64(model.encode(first), model.encode(second)), grades)

    return score
