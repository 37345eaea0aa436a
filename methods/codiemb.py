"""CoDiEmb: retrieval and similarity in one model, each with batches and losses of its own."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from bench.core.errors import UsageError
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, SplitInput
from bench.data.corpora import Texts
from bench.data.graded import Graded, GradedPairs
from bench.data.retrieval import Queries, Query
from bench.method import BuildContext, MethodInfo, ModelAccess, TrainingLoad
from bench.method.contract import SUMMARY_FILE
from bench.methods.parts.epochs import count_updates, shares
from bench.methods.parts.mixture import Instructions, Mixture
from bench.training.method import DEV, TrainedConfig, TrainedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback

    from bench.methods.parts.fusion import State
    from bench.training.batches import Batches
    from bench.training.trainer import TrainSettings

WARMUP_RATIO = 0.03
# Grade from which on the two texts of a pair answer each other where all is contrasted.
PARAPHRASE = 0.8
# Layout and words of the authors' prompts for English sets; queries of all sets have the one of a
# search, where theirs differ from set to set. What answers a query has none.
INSTRUCTIONS = Instructions(
    query=(
        "Instruction: Given a web search query, retrieve relevant passages that answer the query "
        "\nQuery: "
    ),
    pair="Instruction: Retrieve semantically similar text \nQuery: ",
)
_KEPT = "checkpoints"
_OF_FUSION = ("fusion", "granularity", "power")
_OF_RETRIEVAL = ("retrieval", "queries", "positives", "negatives")
_OF_ORDER = ("rank_temperature", "middle")
_OF_STS = ("sts_batch_size", *_OF_ORDER)


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

        Their sets are Chinese, those here English. The formula of their fusion was not available:
        ``delta`` is a rule of our own, and it merges checkpoints of one training where theirs come
        from several. They take the losses of STS over the pairs of each device; here a batch is
        that of all processes.

        Attributes:
            pooling: Pooling of the base.
            tasks: What is trained: both, or one alone, to see what it loses to the other.
            instructions: Put the authors' instructions before queries and before both texts of a
                pair, in training and wherever the model encodes: by the role ``query``, by
                ``document`` for no instruction, and that of pairs without a role. Pooling by the
                mean leaves their tokens out.
            retrieval: Sets of queries, see ``bench.data.retrieval``, joined with ``+``.
            queries: Number of queries of each set, all by default.
            positives: Positives P that are drawn for a query in every pass over its set.
            negatives: Hard negatives N that are drawn for a query that has any.
            batch_size: Queries in a batch of retrieval.
            sts_batch_size: Pairs in a batch of STS.
            updates: Batches of each task in an epoch, which its sets share by their sizes and go
                through as often as it takes; 0 for an epoch that is a pass over every set.
            loss: ``own`` has the losses of each task. The baselines: ``cosent`` has CoSENT in the
                place of those of STS; ``infonce`` is the contrast of retrieval for both tasks, and
                of the graded pairs has those with a grade of 0.8 or more, as positives of each
                other.
            sampler: ``dynamic`` has rows of one set in a batch. The baseline ``mixed`` shuffles
                the same rows over as many batches, whatever set they are of; a batch of both tasks
                has the mean of their losses, weighed by their rows.
            temperature: Temperature of the contrast in retrieval and in the middle layer.
            rank_temperature: Temperature of the losses over the order of grades.
            middle: Contrast pairs of the full grade in the middle layer.
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
        instructions: bool = True
        retrieval: str = "wikiqa+trecqa+semeval16_qq+quora"
        queries: int | None = Field(None, gt=0)
        positives: int = Field(2, gt=0)
        negatives: int = Field(4, ge=0)
        batch_size: int = Field(64, gt=1)
        sts_batch_size: int = Field(32, gt=1)
        updates: int = Field(0, ge=0)
        loss: Literal["own", "cosent", "infonce"] = "own"
        sampler: Literal["dynamic", "mixed"] = "dynamic"
        temperature: float = Field(0.02, gt=0)
        rank_temperature: float = Field(0.05, gt=0)
        middle: bool = True
        lr: float = Field(5e-5, gt=0)
        epochs: float = Field(5, gt=0)
        max_seq_length: int = Field(512, gt=0)
        dev: bool = False
        checkpoints: int = Field(5, gt=0)
        fusion: Literal["delta", "soup", "greedy", "none"] = "delta"
        granularity: Literal["model", "layer", "tensor", "element"] = "tensor"
        power: float = 1.0

        def idle(self) -> Mapping[str, str]:
            """What the losses and draws of one task, of a baseline and of checkpoints need."""
            idle = dict(super().idle())
            if self.loss != "own":
                idle |= dict.fromkeys(_OF_ORDER, "it needs loss=own")
            if self.loss == "cosent" and self.tasks == "sts":
                idle["temperature"] = "CoSENT has none"
            if self.tasks == "retrieval":
                idle |= dict.fromkeys(_OF_STS, "it needs tasks=both or tasks=sts")
            elif self.tasks == "sts":
                of_queries = (*_OF_RETRIEVAL, "batch_size")
                idle |= dict.fromkeys(of_queries, "it needs tasks=both or tasks=retrieval")
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
            "instructions": False,
            "batch_size": 32,
            "updates": 100,
            "lr": 2e-4,
            "epochs": 2,
            "max_seq_length": 48,
            "checkpoints": 4,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling of the base."""
        return self.config.pooling

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
        """Graded pairs; where all is contrasted those that are positives."""
        return GradedPairs(least=PARAPHRASE if self.config.loss == "infonce" else 0.0)

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
        per_pair = 1 + config.positives if config.loss == "infonce" else 2
        of_pairs = config.sts_batch_size * per_pair
        texts = max(of_query * self._learns_retrieval, of_pairs * self._learns_sts)
        return {name: replace(load, texts=texts) for name, load in base.items()}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train and keep checkpoints, merge those of such a training, or load a model.

        What is told of a merged model's training is what was told of the training.
        """
        return self._merged(ctx) if self._merges else super().build(ctx)

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base, with the instructions as its prompts."""
        model = super().start(ctx)
        if self.config.instructions:
            model.prompts = {"query": INSTRUCTIONS.query, "document": "", "sts": INSTRUCTIONS.pair}
            model.default_prompt_name = "sts"
            if self.pooling == "mean":
                model.set_pooling_include_prompt(False)
        return model

    def prompt_tokens(self, model: SentenceTransformer) -> int:
        """Those of every training, and of the longest instruction."""
        empty, *prompted = (
            int(model.preprocess([text])["attention_mask"].sum())
            for text in ("", self._instructions.query, self._instructions.pair)
        )
        return super().prompt_tokens(model) + max(prompted) - empty

    @property
    def _instructions(self) -> Instructions:
        return INSTRUCTIONS if self.config.instructions else Instructions()

    def _merged(self, ctx: BuildContext) -> SentenceTransformer:
        from bench.methods.parts import fusion

        model, folder = ctx.models.load(self._trained), ctx.models.folder(self._trained)
        states = fusion.kept_checkpoints(folder / _KEPT)
        shutil.copy(folder / SUMMARY_FILE, ctx.workdir)
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
        from bench.methods.losses.multi_positive import CoDiEmbLoss, PromptTokens

        config = self.config
        return CoDiEmbLoss(
            model,
            positives=config.positives,
            temperature=config.temperature,
            rank_temperature=config.rank_temperature,
            middle=config.middle and config.loss == "own",
            cosent=config.loss == "cosent",
            prompts=PromptTokens.of(model, self._instructions),
        )

    def report(self, rows: list[Texts], steps: int, ctx: BuildContext) -> Mapping[str, Any]:
        """Steps and rows of each task."""
        mixture = self._mixture(ctx)
        updates = count_updates(mixture.batches, mixture.task_of, seed=ctx.seed, steps=steps)
        return {"updates": updates}

    def _queries(self, data: DataAccess) -> dict[str, list[Query]]:
        return self._retrieval.load_sets(data) if self._learns_retrieval else {}

    def _pairs(self, data: DataAccess) -> list[Graded]:
        return self._graded.load_sets(data) if self._learns_sts else []

    def _mixture(self, ctx: BuildContext) -> Mixture:
        config = self.config
        queries, pairs = self._queries(ctx.data), self._pairs(ctx.data)
        mixture = Mixture(
            config.positives,
            config.negatives,
            mixed=config.sampler == "mixed",
            instructions=self._instructions,
        )
        of_pairs = self._in_epoch([len(one.pairs) // config.sts_batch_size for one in pairs])
        for graded, batches in zip(pairs, of_pairs, strict=True):
            contrasted = config.loss == "infonce"
            mixture.add_pairs(graded, config.sts_batch_size, batches, contrasted=contrasted)
        of_queries = self._in_epoch([len(one) // config.batch_size for one in queries.values()])
        drawn = {"epochs": math.ceil(config.epochs), "seed": ctx.seed}
        for (name, retrieval), batches in zip(queries.items(), of_queries, strict=True):
            mixture.add_queries(name, retrieval, config.batch_size, batches, **drawn)
        return mixture

    def _in_epoch(self, batches: list[int]) -> list[int | None]:
        """Batches of each set of a task in an epoch, of those that it fills in a pass."""
        updates = self.config.updates
        if not updates or not all(batches):
            return [None] * len(batches)
        if updates < len(batches):
            raise UsageError(
                f"updates={updates} leaves a set without a batch; give at least one for each of "
                f"the {len(batches)} sets"
            )
        return [*shares(batches, updates)]


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
