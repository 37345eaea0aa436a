"""3-Phase fine-tuning: denoising, pairs of labelled texts, then a classifier.

Read from the paper and from its code (github.com/vsuarezpaniagua/3-phase_finetuning at 3ca37ff).
Where the code fails to do what the paper says, this does what the paper says: phases 1 and 2 have
a layer each, phase 3 trains the encoder, joint training has pairs of the same label, and the test
rows stop nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.errors import CellError
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import NamedCorpus
from bench.data.rows import Row
from bench.method import BuildContext, MethodInfo, Question, TrainingLoad
from bench.methods.losses.denoising import denoising_loss, noisy_copies
from bench.methods.losses.label_pairs import (
    Correction,
    Pairs,
    corrected,
    draw_pairs,
    path_of,
    shuffles,
)
from bench.training.classifiers.method import ClassifierMethod, Stages
from bench.training.classifiers.rows import ClassifierRows, usable_pool
from bench.training.classifiers.settings import ClassifierConfig

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

# Of phases 1 and 2 in the paper.
ADAM_EPSILON = 1e-6
WARMUP_DAE = 1 / 2
WARMUP_CL = 1 / 3

# The texts of the task's pool, in the place of a corpus's name.
POOL = "pool"
_OF_DAE = (
    "lr_dae",
    "copies",
    "dae_steps",
    "dae_evaluations",
    "del_ratio",
    "unlabelled",
    "sentences",
)
# Both phases at once have the rate and the evaluations of phase 2.
_OF_DAE_ALONE = ("lr_dae", "dae_evaluations")
_OF_CL = ("lr_cl", "cl_steps", "cl_evaluations", "max_ratio", "min_ratio", "stop_words")


class ThreePhase(ClassifierMethod):
    """Trains an encoder and a classifier on the labelled rows of each task, in three phases."""

    info = MethodInfo(
        name="three-phase",
        title="3-Phase: denoising, pairs of labels, classifier",
        kind="supervised",
        paper="Combining Denoising Autoencoders with Contrastive Learning to fine-tune Transformer "
        "Models",
        arxiv="2405.14437",
        year=2023,
        trains=True,
        example="--suite intent-supervised --methods three-phase",
    )

    class Config(ClassifierConfig):
        """Settings; the defaults are ours for a new data set, among those of the paper's Table 5.

        In profile ``local`` each phase has a cap of steps, whatever the number of rows: 60 batches
        of 32 texts, 120 batches of 32 pairs and 1,260 batches of 32 rows, cut to 32 tokens: as
        many as ``ft`` has. The last phase ends before where 360 steps brought no lower loss on dev
        rows. The head has a higher rate than the encoder, and the phases have no layers of their
        own there, as fresh ones take more steps.

        Attributes:
            phases: ``joint`` is phases 1 and 2 as one sum of losses, then the classifier; the
                others leave phases out.
            lr_dae: Peak learning rate of phase 1.
            lr_cl: Peak learning rate of phase 2 and of both at once.
            copies: Copies of the texts that phase 1 sees, each with other words deleted.
            shuffles: A, which times ⌊log₂ K⌋ of K classes is how often texts are drawn for pairs.
            dae_steps: Most steps of phase 1, or -1.
            cl_steps: Most steps of phase 2, or -1.
            dae_evaluations: Evaluations of phase 1 on pairs of dev rows; the best weights are kept.
            cl_evaluations: The same of phase 2.
            dev_pairs: Most of these pairs.
            del_ratio: Probability that phase 1 deletes a word.
            unlabelled: Texts that phase 1 learns from besides those of the training rows: a corpus,
                see ``bench.data.corpora``, or ``pool`` for the task's pool. In the paper these were
                unlabelled texts of the task, where there were any (section 4.1); None is none.
            sentences: Most sentences of that corpus, or None for all.
            max_ratio: R, how often the text of a class of one is repeated for pairs.
            min_ratio: r, repetitions below which a class stays as it is; with
                ``max_ratio=1,min_ratio=1`` all do.
            stop_words: Whether classes that are repeated have texts without stop words added.
            separator: What separates the levels of labels that have any, e.g. the colon of
                ``LOC:city``. As many pairs of each cosine are kept as the rarest has, so that one
                of half alike labels alone leaves next to none.
            extra_dense: A layer and tanh behind the pooling that phase 1 adds, the bottleneck of
                the paper, and another one behind it that phase 2 adds (sections 3.1 and 3.2), which
                the paper's code does not have. Both at once add one.
            keep_encoder: Keep the encoder after phase 2 in the folder of the classifier, as
                ``encoder``, an ordinary sentence transformer.
        """

        phases: Literal["dae+cl+ft", "joint", "dae+ft", "cl+ft"] = "dae+cl+ft"
        lr_dae: float = Field(5e-5, gt=0)
        lr_cl: float = Field(5e-5, gt=0)
        copies: int = Field(4, gt=0)
        shuffles: int = Field(4, gt=0)
        dae_steps: int = Field(-1, ge=-1)
        cl_steps: int = Field(-1, ge=-1)
        dae_evaluations: int = Field(5, gt=0)
        cl_evaluations: int = Field(10, gt=0)
        dev_pairs: int = Field(2_000, gt=1)
        del_ratio: float = Field(0.6, ge=0, le=1)
        unlabelled: str | None = Field(None, min_length=1)
        sentences: int | None = Field(None, gt=0)
        max_ratio: int = Field(4, ge=1)
        min_ratio: float = Field(1.5, ge=1)
        stop_words: bool = True
        separator: str = ""
        extra_dense: bool = True
        keep_encoder: bool = False

        @model_validator(mode="after")
        def _ratios_agree(self) -> ThreePhase.Config:
            if self.min_ratio > self.max_ratio:
                raise ValueError("min_ratio is above max_ratio, so that nothing would be corrected")
            if self.keep_encoder and self.phases == "dae+ft":
                raise ValueError(
                    "keep_encoder keeps what pairs have trained, but phases=dae+ft has no pairs"
                )
            return self

        def idle(self) -> Mapping[str, str]:
            """What the phases that are left out, or are one, need."""
            options = {"cl+ft": _OF_DAE, "dae+ft": _OF_CL, "joint": _OF_DAE_ALONE}
            idle = dict(super().idle())
            if self.unlabelled in (None, POOL):
                idle["sentences"] = "it needs unlabelled=CORPUS"
            left = options.get(self.phases, ())
            return {**idle, **dict.fromkeys(left, "it needs phases=dae+cl+ft")}

        @property
        def correction(self) -> Correction:
            """How rare labels are corrected for."""
            return Correction(self.max_ratio, self.min_ratio, self.stop_words)

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "lr_dae": 1e-4,
            "lr_cl": 3e-4,
            "lr": 3e-4,
            "head_lr": 3e-3,
            "dae_steps": 60,
            "cl_steps": 120,
            "max_steps": 1_260,
            "patience": 6,
            "dev_every": 60,
            "dae_evaluations": 2,
            "cl_evaluations": 4,
            "dev_pairs": 200,
            "dev_rows": 500,
            "max_seq_length": 32,
            "extra_dense": False,
        },
        "smoke": {
            "base": "minilm-l2",
            "pooling": "mean",
            "lr_dae": 1e-4,
            "lr_cl": 3e-4,
            "lr": 1e-3,
            "dae_steps": 4,
            "cl_steps": 6,
            "max_steps": 10,
            "dae_evaluations": 1,
            "cl_evaluations": 1,
            "dev_pairs": 50,
            "dev_rows": 50,
            "max_seq_length": 32,
            "extra_dense": False,
        },
    }

    def reads(self) -> Mapping[str, BuildInput]:
        """The corpus of unlabelled texts, where one is named."""
        corpus = self._corpus
        return {} if corpus is None else {"unlabelled": corpus}

    @property
    def _corpus(self) -> NamedCorpus | None:
        name = self.config.unlabelled
        if name in (None, POOL) or not self.trains:
            return None
        return NamedCorpus(name, self.config.sentences, columns=1)

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """Pairs of texts, which the other phases have not."""
        return {
            name: replace(load, texts=2 * load.texts) for name, load in super().trainings.items()
        }

    def encoder(self, rows: ClassifierRows, stages: Stages) -> Path:
        """Train the phases before the classifier."""
        phases = self.config.phases
        folder = stages.start(lambda: self.start(stages.ctx))
        if phases == "joint":
            folder = self._stage("joint", folder, rows, stages)
        if phases.startswith("dae"):
            folder = self._stage("dae", folder, rows, stages)
        if "cl" in phases:
            folder = self._stage("cl", folder, rows, stages)
        if self.config.keep_encoder:
            kept = stages.ctx.extra / "encoder"
            shutil.copytree(folder, kept, dirs_exist_ok=True)
        return folder

    def learnable(self, question: Question) -> ClassifierRows:
        """The labelled rows, and the pool where phase 1 learns from it.

        Raises:
            CellError: The task has no such pool, or rows that cannot be learned.
        """
        rows = super().learnable(question)
        if self.config.unlabelled != POOL:
            return rows
        dev = [] if question.dev is None else question.dev.texts
        return replace(rows, unlabelled=usable_pool(question.pool, question.texts, dev))

    def add_layer(self, model: SentenceTransformer, seed: int) -> None:
        """Append the layer of a phase, where phases have any."""
        if self.config.extra_dense:
            from bench.training.heads import append_head

            # The layers of two phases differ.
            append_head(model, 100 * seed + len(model))

    def pairs(self, rows: ClassifierRows, seed: int) -> Pairs:
        """Pairs that phase 2 learns from.

        Raises:
            CellError: All texts are the same.
        """
        config = self.config
        texts, classes = corrected(rows.train.texts, rows.train.classes, config.correction)
        times = shuffles(len(rows.labels), config.shuffles)
        limit = _limit(config.cl_steps, config.batch_size)
        paths = self._paths(rows, classes)
        pairs = draw_pairs(texts, paths, times, seed, limit)
        if not pairs:
            raise CellError("all training texts are the same, so that none can be paired")
        return pairs

    def noisy(self, rows: ClassifierRows, seed: int, data: DataAccess) -> list[tuple[str, str]]:
        """Texts that phase 1 learns from, with words deleted and whole.

        Args:
            rows: Training rows, and the pool where it learns from that.
            seed: Seed of noise and order.
            data: Has the corpus that is named.

        Raises:
            CellError: No text has words.
        """
        config, corpus = self.config, self._corpus
        limit = _limit(config.dae_steps, config.batch_size)
        texts = [*rows.train.texts, *rows.unlabelled]
        if corpus is not None:
            texts += corpus.load(data).sentences()
        copies = noisy_copies(texts, config.copies, config.del_ratio, seed, limit)
        if not copies:
            raise CellError("no training text has words to delete; use phases=cl+ft")
        return copies

    def dev_pairs(self, rows: ClassifierRows, seed: int) -> list[Row]:
        """Pairs that checkpoints are chosen by; none where they would all have one label."""
        config, dev = self.config, rows.dev
        if not len(dev):
            return []
        paths = self._paths(rows, dev.classes)
        pairs = draw_pairs(dev.texts, paths, config.shuffles, seed, config.dev_pairs)
        if len(set(pairs.cosines)) < 2:
            return []
        return [
            {"sentence1": first, "sentence2": second, "score": cosine}
            for (first, second), cosine in zip(pairs.texts, pairs.cosines, strict=True)
        ]

    def _paths(self, rows: ClassifierRows, classes: Sequence[int]) -> list[tuple[str, ...]]:
        paths = [path_of(label, self.config.separator) for label in rows.labels]
        return [paths[number] for number in classes]

    def _stage(self, name: str, before: Path, rows: ClassifierRows, stages: Stages) -> Path:
        learn = {"dae": self._denoise, "cl": self._pull, "joint": self._jointly}[name]
        return stages.run(name, before, lambda model, own: learn(model, before, rows, own))

    def _denoise(
        self, model: SentenceTransformer, folder: Path, rows: ClassifierRows, ctx: BuildContext
    ) -> None:
        """Phase 1."""
        texts = self.noisy(rows, ctx.seed, ctx.data)
        schedule = _PhaseSchedule(self.config.lr_dae, WARMUP_DAE, self.config.dae_evaluations)
        self.add_layer(model, ctx.seed)
        loss = denoising_loss(model, folder, ctx.seed)
        self._learn(model, loss, [*texts], None, schedule, rows, ctx)

    def _pull(
        self, model: SentenceTransformer, folder: Path, rows: ClassifierRows, ctx: BuildContext
    ) -> None:
        """Phase 2."""
        from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

        pairs = self.pairs(rows, ctx.seed)
        self.add_layer(model, ctx.seed)
        loss = CosineSimilarityLoss(model)
        self._learn(model, loss, [*pairs.texts], pairs.cosines, self._cl_schedule, rows, ctx)

    def _jointly(
        self, model: SentenceTransformer, folder: Path, rows: ClassifierRows, ctx: BuildContext
    ) -> None:
        """Both at once: as many rows as the longer has, for which the other starts again."""
        from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

        from bench.methods.losses.joint import JointLoss

        noisy, pairs = self.noisy(rows, ctx.seed, ctx.data), self.pairs(rows, ctx.seed)
        self.add_layer(model, ctx.seed)
        loss = JointLoss(denoising_loss(model, folder, ctx.seed), CosineSimilarityLoss(model))
        count = max(len(noisy), len(pairs))
        joined = zip(cycle(noisy), cycle(pairs.texts), strict=False)
        texts = [(*whole, *pair) for whole, pair in islice(joined, count)]
        cosines = [*islice(cycle(pairs.cosines), count)]
        self._learn(model, loss, [*texts], cosines, self._cl_schedule, rows, ctx)

    @property
    def _cl_schedule(self) -> _PhaseSchedule:
        return _PhaseSchedule(self.config.lr_cl, WARMUP_CL, self.config.cl_evaluations)

    def _learn(
        self,
        model: SentenceTransformer,
        loss: torch.nn.Module,
        texts: list[tuple[str, ...]],
        cosines: list[float] | None,
        schedule: _PhaseSchedule,
        rows: ClassifierRows,
        ctx: BuildContext,
    ) -> None:
        from bench.training.trainer import TrainSettings, train

        settings = TrainSettings(
            lr=schedule.lr,
            epochs=1,
            batch_size=self.config.batch_size,
            max_seq_length=self.config.max_seq_length,
            warmup_ratio=schedule.warmup,
            adam_epsilon=ADAM_EPSILON,
        )
        every = max(1, settings.total_steps(len(texts)) // schedule.evaluations)
        settings = replace(settings, dev_every=every)
        train(model, loss, texts, settings, ctx, self.dev_pairs(rows, ctx.seed), cosines)


@dataclass(frozen=True)
class _PhaseSchedule:
    """Peak learning rate, share of the steps up to it, and evaluations of a phase."""

    lr: float
    warmup: float
    evaluations: int


def _limit(steps: int, batch_size: int) -> int | None:
    return steps * batch_size if steps > 0 else None
