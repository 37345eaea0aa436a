"""Conan-embedding: hard negatives mined again during training, two tasks in every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bench.core.errors import UsageError
from bench.core.spec import has_base, on_base
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import Texts
from bench.data.graded import GradedPairs
from bench.data.retrieval import Queries, Query
from bench.method import BuildContext, MethodInfo, ModelAccess, TrainingLoad
from bench.methods.matryoshka import Sizes
from bench.methods.parts.epochs import count_updates, of_passes
from bench.training.method import TrainedConfig, TrainedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.parts.mining import HardNegatives, NegativeCandidates
    from bench.training.batches import Batches
    from bench.training.trainer import TrainSettings

LOG_FILE = "mining.json"
_OF_MINING = ("check_every", "factor", "cap", "faithful", "rerank")


class Conan(TrainedMethod):
    """Retrieval with hard negatives, and graded pairs."""

    info = MethodInfo(
        name="conan",
        title="Conan-embedding, dynamic hard negatives and balanced tasks",
        kind="supervised",
        paper="Conan-embedding: General Text Embedding with More and Better Negative Samples",
        arxiv="2408.15710",
        year=2024,
        trains=True,
        gathers=True,
    )

    class Config(TrainedConfig):
        """Settings; the defaults are the paper's where it gives them.

        Its Chinese texts, and so its base, are not public. What it does not give is the number of
        hard negatives, the temperature, the epochs and the pooling.

        Attributes:
            stage1: Spec of the method whose model is tuned; it starts from ``base`` unless it
                names a base of its own. Empty to tune ``base`` itself.
            retrieval: Queries with positives and negatives, see ``bench.data.retrieval``.
            queries: Number of queries of each set, all by default.
            balanced_sets: Whether an epoch has equally many rows of each set, as many as the
                smallest has, and goes on with the others where the last epoch ended.
            batch_size: Queries in a batch.
            graded_batch_size: Graded pairs in a batch.
            balance: Both tasks in every step; otherwise each step has one of them, in random
                order and twice as many rows of it, so that an epoch has the same steps and rows.
            beta: Weight of the graded pairs.
            temperature: Temperature of retrieval.
            in_batch_positives: Whether positives of other queries are negatives too.
            negatives: Hard negatives of a query.
            mining: Whether hard negatives are replaced when they have become easy.
            rerank: Whether all texts are ranked again by the model in training for the queries
                whose negatives are replaced; otherwise the next ones of the first list come.
            check_every: Steps between checks of those of the queries seen since the last one.
            factor: They are easy if this times their mean cosine is less than it was at first.
            cap: None are replaced whose mean cosine is this large or larger.
            faithful: The rule as printed where cosines are negative too, see
                ``bench.methods.parts.mining``.
            dim: Size of a linear layer behind the pooling, none by default.
            dims: Lengths of the prefixes that are trained, over which the loss is averaged; by
                default the vectors alone.
            warmup_ratio: Share of the steps over which the learning rate rises.
            weight_decay: Decay of the weights.
        """

        base: str = "bert-large-uncased"
        stage1: str = (
            "simcse[positives=pairs,corpus=paraphrase,pooling=mean,head=false,lr=1e-5,"
            "batch_size=512,max_seq_length=512]"
        )
        retrieval: str = "wikiqa+trecqa+semeval16_qq+quora"
        queries: int | None = Field(None, gt=0)
        balanced_sets: bool = False
        batch_size: int = Field(4, gt=1)
        graded_batch_size: int = Field(32, gt=0)
        balance: bool = True
        beta: float = Field(0.8, ge=0)
        temperature: float = Field(0.02, gt=0)
        in_batch_positives: bool = False
        negatives: int = Field(4, ge=1, le=10)
        mining: Literal["dynamic", "static"] = "dynamic"
        rerank: bool = False
        check_every: int = Field(100, gt=0)
        factor: float = Field(1.15, gt=0)
        cap: float = Field(0.8, ge=0)
        faithful: bool = False
        dim: int | None = Field(None, gt=0)
        dims: Sizes | None = None
        lr: float = Field(1e-5, gt=0)
        epochs: float = Field(2, gt=0)
        max_seq_length: int = Field(512, gt=0)
        warmup_ratio: float = Field(0.05, ge=0, le=1)
        weight_decay: float = Field(0.001, ge=0)

        def idle(self) -> Mapping[str, str]:
            """What replacing negatives needs."""
            idle = dict(super().idle())
            if self.stage1 and has_base(self.stage1):
                idle["base"] = "stage1 names its own"
            if self.mining == "static":
                idle |= dict.fromkeys(_OF_MINING, "it needs mining=dynamic")
            return idle

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"dim": 1792, "dims": (256, 512, 768, 1024, 1280, 1536, 1792)},
        # Negatives are replaced after the batch of their query, so they count from the second
        # epoch on: few queries, often. The sets are those with judged negatives. A checkpoint
        # chosen on STS-B dev would be chosen for one of both tasks.
        "local": {
            "base": "minilm-l2",
            "stage1": "",
            "retrieval": "wikiqa+trecqa+semeval16_qq",
            "queries": 240,
            "balanced_sets": True,
            "batch_size": 16,
            "check_every": 20,
            "epochs": 4,
            "lr": 5e-4,
            "max_seq_length": 32,
            "dev": False,
        },
    }

    @property
    def _tuned(self) -> str:
        config = self.config
        return on_base(config.stage1, config.base) if config.stage1 else config.base

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training, and the rows of both tasks."""
        build_inputs = dict(super().reads())
        if self.trains:
            build_inputs["retrieval"] = self._queries
            build_inputs["graded"] = GradedPairs()
        return build_inputs

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of what is read, and of the model of the first stage."""
        inputs = dict(super().inputs(data, models))
        if self.trains:
            inputs["stage1"] = models.fingerprint(self._tuned)
        return inputs

    @property
    def parents(self) -> tuple[str, ...]:
        """The model of the first stage, or the base."""
        return () if self.checkpoint else (self._tuned,)

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """Queries with their texts, and graded pairs: of both tasks where a step has both."""
        config = self.config
        sizes = config.batch_size * (2 + config.negatives), 2 * config.graded_batch_size
        texts = sum(sizes) if config.balance else 2 * max(sizes)
        return {name: replace(load, texts=texts) for name, load in super().trainings.items()}

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The model of the first stage as it is, or the base, and the linear layer.

        Raises:
            UsageError: A prefix is longer than its vectors.
        """
        pooling = None if self.config.stage1 else self.pooling
        model = ctx.models.load(self._tuned, pooling=pooling)
        if self.config.dim is not None:
            _append_linear(model, self.config.dim, ctx.seed)
        width = int(model.get_embedding_dimension() or 0)
        longest = max(self.config.dims or (width,))
        if longest > width:
            raise UsageError(
                f"dims: {longest} is out of range: the vectors have {width} dimensions; "
                f"name shorter ones, or set dim={longest}"
            )
        return model

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Queries with each of their positives, then the graded pairs."""
        from bench.methods.parts.mining import answered

        return [*answered(self._all(ctx)), *GradedPairs().load(ctx.data).pairs]

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float]:
        """The number of each row, by which the loss tells the tasks apart."""
        return [float(number) for number in range(len(rows))]

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the warm-up and the decay."""
        config = self.config
        return replace(
            super().train_settings(rows),
            batch_size=config.batch_size + config.graded_batch_size,
            warmup_ratio=config.warmup_ratio,
            weight_decay=config.weight_decay,
        )

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """Batch balance of retrieval, with its mined negatives, and of graded pairs."""
        import torch

        from bench.methods.losses.batch_balance import BatchBalanceLoss
        from bench.methods.parts.mining import mine

        config = self.config
        mined = mine(self._all(ctx), lambda texts: ctx.models.vectors(self._tuned, texts))
        return BatchBalanceLoss(
            model,
            self._hard_negatives(mined, ctx),
            torch.from_numpy(mined.pairs),
            GradedPairs().load(ctx.data).scores,
            temperature=config.temperature,
            beta=config.beta,
            in_batch_positives=config.in_batch_positives,
            dims=config.dims,
        )

    def batches(self, rows: list[Texts], ctx: BuildContext) -> Batches:
        """Rows of the batches of an epoch, from seed and epoch."""
        graded = len(GradedPairs().load(ctx.data).pairs)
        config, sets = self.config, self._rows_of_sets(ctx)
        fewest = min(map(len, sets))

        def of_epoch(seed: int, epoch: int) -> list[list[int]]:
            retrieval = []
            for rows_of_set in sets:
                count = fewest if config.balanced_sets else len(rows_of_set)
                order = partial(_shuffled, rows_of_set, seed)
                retrieval += of_passes(order, epoch * count, count)
            return task_batches(
                retrieval,
                range(len(rows) - graded, len(rows)),
                (config.batch_size, config.graded_batch_size),
                np.random.default_rng((seed, epoch)),
                balance=config.balance,
            )

        return of_epoch

    def report(self, rows: list[Texts], steps: int, ctx: BuildContext) -> Mapping[str, Any]:
        """Steps and rows of each task, and how much harder replaced negatives are."""
        from bench.methods.parts.mining_log import read_checks, summary

        first = len(rows) - len(GradedPairs().load(ctx.data).pairs)
        updates = count_updates(
            self.batches(rows, ctx),
            lambda row: "retrieval" if row < first else "sts",
            seed=ctx.seed,
            steps=steps,
        )
        log = ctx.extra / LOG_FILE
        mining = {"mining": summary(read_checks(log))} if log.is_file() else {}
        return {"updates": updates, **mining}

    @property
    def _queries(self) -> Queries:
        return Queries(self.config.retrieval, each=self.config.queries)

    def _all(self, ctx: BuildContext) -> list[Query]:
        return [one for of_set in self._queries.load_sets(ctx.data).values() for one in of_set]

    def _rows_of_sets(self, ctx: BuildContext) -> list[range]:
        """Numbers of the rows of each set."""
        from bench.methods.parts.mining import answered

        sets = self._queries.load_sets(ctx.data).values()
        ends = np.cumsum([0, *(len(answered(of_set)) for of_set in sets)]).tolist()
        return [range(start, end) for start, end in pairwise(ends)]

    def _hard_negatives(self, mined: NegativeCandidates, ctx: BuildContext) -> HardNegatives:
        from bench.methods.parts.mining import SKIPPED, HardNegatives, Rule
        from bench.methods.parts.mining_log import CheckLog

        config = self.config
        rule = Rule(factor=config.factor, cap=config.cap, faithful=config.faithful)
        return HardNegatives(
            mined,
            count=config.negatives,
            rule=rule if config.mining == "dynamic" else None,
            check_every=config.check_every,
            rerank=config.rerank,
            log=CheckLog(ctx.extra / LOG_FILE, range(SKIPPED - config.negatives, SKIPPED)),
        )


def task_batches(
    retrieval: Sequence[int],
    graded: Sequence[int],
    sizes: tuple[int, int],
    chance: np.random.Generator,
    *,
    balance: bool,
) -> list[list[int]]:
    """Draw the batches of an epoch, each row of retrieval once and graded pairs to match.

    Args:
        retrieval: Numbers of the rows of retrieval.
        graded: Numbers of the rows of graded pairs, at least one.
        sizes: Rows of retrieval and of graded pairs in a step with both tasks.
        chance: Where the order comes from.
        balance: Whether each batch has both tasks. Otherwise as many batches of the same rows have
            one each, in random order, and twice as many rows of it: for an odd number of batches
            those of retrieval are one more, and those of graded pairs the larger.

    Returns:
        Row numbers.

    Raises:
        UsageError: A single batch cannot be of one task and have the rows of both.
    """
    size, graded_size = sizes
    order = [retrieval[i] for i in chance.permutation(len(retrieval))]
    steps = math.ceil(len(order) / size)
    needed = steps * graded_size
    passes = math.ceil(needed / len(graded))
    drawn = [graded[i] for _ in range(passes) for i in chance.permutation(len(graded))][:needed]
    if balance:
        return [
            [*order[i * size :][:size], *drawn[i * graded_size :][:graded_size]]
            for i in range(steps)
        ]
    if steps < 2:
        raise UsageError(
            f"balance=false needs two steps an epoch, one of each task, but {len(order)} rows are "
            f"one of {size}; lower batch_size or use more queries"
        )
    alone = [order[start : start + 2 * size] for start in range(0, len(order), 2 * size)]
    alone += [part.tolist() for part in np.array_split(drawn, steps - len(alone))]
    return [alone[i] for i in chance.permutation(steps)]


def _shuffled(rows: range, seed: int, number: int) -> list[int]:
    """Rows of a set in the order of a pass."""
    order = np.random.default_rng((seed, number, rows.start)).permutation(len(rows))
    return [rows[i] for i in order]


def _append_linear(model: SentenceTransformer, size: int, seed: int) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    from bench.training.heads import fresh_linear

    width = int(model.get_embedding_dimension() or 0)
    linear = fresh_linear(width, size, seed)
    layer = Dense(
        width,
        size,
        activation_function=None,
        init_weight=linear.weight,
        init_bias=linear.bias,
    )
    model.append(layer.to(model.device))
