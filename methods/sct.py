"""SCT: self-supervised cross-view training of small encoders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.errors import UsageError
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import BACK_TRANSLATED, NAMES, NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo, ModelAccess
from bench.methods.parts.views import SYNSETS, fill_masks, replace_one_word, synonyms
from bench.training.adapted import AdaptedConfig, AdaptedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.cross_view import CrossViewSettings, ProjectorKind
    from bench.training.trainer import TrainSettings

# Table 1: learning rate, rows of a queue, temperatures of the references and the online branch.
# The paper names no checkpoint of BERT-Mini; that of its authors is taken.
PUBLISHED: Mapping[str, tuple[str, float, int, float, float]] = {
    "tiny": ("nreimers/BERT-Tiny_L-2_H-128_A-2", 5e-4, 131_072, 0.03, 0.04),
    "mini": ("google/bert_uncased_L-4_H-256_A-4", 3e-4, 131_072, 0.01, 0.03),
    "small": ("nreimers/BERT-Small-L-4_H-512_A-8", 3e-4, 65_536, 0.02, 0.03),
    "base": ("bert-base-uncased", 5e-4, 65_536, 0.04, 0.05),
    "large": ("bert-large-uncased", 5e-4, 16_384, 0.04, 0.05),
}
# Section 4.1: by German and by French, and none of the sentences themselves.
PUBLISHED_TEXT = "two back-translations of each sentence of SNLI and MultiNLI"
_OF_SIZE = ("base", "lr", "queue_size", "tau_ref", "tau_on")
# The authors' optimizer, the same for all their models.
WEIGHT_DECAY = 0.01
ADAM_EPSILON = 1e-6


class SCT(AdaptedMethod):
    """Two views of a sentence predict each other's similarity distribution over a queue."""

    info = MethodInfo(
        name="sct",
        title="SCT, self-supervised cross-view training",
        kind="contrastive",
        paper="An Efficient Self-Supervised Cross-View Training For Sentence Embedding",
        arxiv="2311.03228",
        year=2023,
        trains=True,
    )

    class Config(AdaptedConfig):
        """Settings; the defaults are the published ones for BERT-Small.

        Attributes:
            size: A published base with its learning rate, queue and temperatures, where none of
                these is named.
            views: ``pairs`` of the corpus (the paper: two back-translations), the same sentence
                under two ``dropout`` masks, with 15% of its tokens guessed (``mlm15``), or
                with one word replaced by a synonym (``synonym1``).
            mlm: Masked language model of the views ``mlm15``.
            queue_size: Rows of each queue; at most a quarter of ``sentences``.
            tau_ref: Temperature of the references.
            tau_on: Temperature of the online branch.
            half: Halve the loss, as equation 2 does and the authors' code does not.
            kind: ``kl`` or ``ce``.
            identical_view: Ablation: each view predicts itself.
            shared_queue: Ablation: one queue for both views.
            frozen_queue: Ablation: queues keep their random rows.
            projector: Of the online branch: the paper's ``mlp``, which is the default,
                ``residual``, which adds it to its input and so begins near the identity, or
                ``none`` (ablation).
            queue_start: What queues begin with: ``random`` rows, or ``vectors`` of as many rows of
                the corpus by the base.
            warmup: Share of the steps over which the learning rate rises.
            momentum: Ablation: references come from a moving average of the model that keeps
                this share at every step.
            patience: Epochs without a new best before training stops, or 0 for never.
        """

        published: ClassVar[Mapping[str, tuple[str, float, int, float, float]]] = PUBLISHED

        base: str = "nreimers/BERT-Small-L-4_H-512_A-8"
        size: Literal["tiny", "mini", "small", "base", "large"] | None = None
        views: Literal["pairs", "dropout", "mlm15", "synonym1"] = "pairs"
        mlm: str = "bert-base-uncased"
        corpus: str = BACK_TRANSLATED
        queue_size: int = Field(65_536, ge=0)
        tau_ref: float = Field(0.02, gt=0)
        tau_on: float = Field(0.03, gt=0)
        half: bool = False
        kind: Literal["kl", "ce"] = "kl"
        identical_view: bool = False
        shared_queue: bool = False
        frozen_queue: bool = False
        projector: Literal["mlp", "residual", "none"] | None = None
        queue_start: Literal["random", "vectors"] = "random"
        warmup: float = Field(0.1, ge=0, le=1)
        momentum: float | None = Field(None, ge=0, le=1)
        lr: float = Field(3e-4, gt=0)
        batch_size: int = Field(128, gt=1)
        epochs: float = Field(20, gt=0)
        max_seq_length: int = Field(128, gt=0)
        dev_every: int = Field(64, gt=0)
        patience: int = Field(7, ge=0)

        @model_validator(mode="before")
        @classmethod
        def _settings_of_its_size(cls, values: dict[str, Any]) -> dict[str, Any]:
            size = str(values.get("size"))
            if size not in cls.published:
                return values
            if "base" in values:
                raise ValueError(
                    f"size={size} stands for a published base with its settings; "
                    "leave out base, or add --profile paper"
                )
            preset = dict(zip(_OF_SIZE, cls.published[size], strict=True))
            return {**preset, **values, "size": None}

        def idle(self) -> Mapping[str, str]:
            """What evaluations, queues and guessed tokens need."""
            idle = dict(super().idle())
            if not self.dev:
                idle["patience"] = "it needs dev=true"
            if self.views != "mlm15":
                idle["mlm"] = "it needs views=mlm15"
            if not self.queue_size:
                queues = ("shared_queue", "frozen_queue", "queue_start")
                idle |= dict.fromkeys(queues, "it needs a queue_size above 0")
            return idle

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
            "mlm": "minilm-l2-mlm",
            "corpus": "paraphrase",
            "sentences": 8_192,
            "queue_size": 2_048,
            "projector": "residual",
            "tau_ref": 0.03,
            "tau_on": 0.04,
            "batch_size": 64,
            "epochs": 1,
            "max_seq_length": 32,
        },
        "smoke": {
            "base": "minilm-l2",
            "views": "dropout",
            "mlm": "minilm-l2-mlm",
            "corpus": "pydoc",
            "queue_size": 512,
            "projector": "residual",
            "tau_ref": 0.03,
            "tau_on": 0.04,
            "lr": 1e-4,
            "batch_size": 32,
            "max_steps": 30,
            "max_seq_length": 32,
            "dev": False,
        },
    }

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training on a corpus, and the synonyms that views are made with."""
        build_inputs = dict(super().reads())
        if self.trains and self.config.views == "synonym1":
            build_inputs["synsets"] = SYNSETS
        return build_inputs

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Of the paper's pairs; a file is taken for what its user says it is."""
        corpus, views = self.config.corpus, self.config.views
        named = corpus in (*NAMES, "pydoc") and corpus != BACK_TRANSLATED
        if not self.trains or (views == "pairs" and not named):
            return {}
        return {PUBLISHED_TEXT: f"views {views} of corpus {corpus}"}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of what is read, and of the model that views are made with."""
        inputs = dict(super().inputs(data, models))
        if self.trains and self.config.views == "mlm15":
            inputs["mlm"] = models.fingerprint(self.config.mlm)
        return inputs

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Two views of every sentence.

        Raises:
            UsageError: There are fewer of them than rows of a queue.
        """
        config = self.config
        corpus = NamedCorpus(config.corpus, config.sentences).load(ctx.data)
        if len(corpus.rows) < config.queue_size:
            raise UsageError(
                f"queue_size {config.queue_size} is more than the {len(corpus.rows)} rows of "
                f"corpus {config.corpus!r}; choose fewer, or a corpus with more"
            )
        if config.views == "pairs":
            return [*corpus.pairs()]
        sentences = corpus.sentences()
        if config.views == "dropout":
            return [(text, text) for text in sentences]
        if config.views == "synonym1":
            table = synonyms(ctx.data)
            views = [replace_one_word(sentences, table, seed) for seed in _view_seeds(ctx.seed)]
        else:
            views = [self._fill_masks(sentences, seed, ctx) for seed in _view_seeds(ctx.seed)]
        return list(zip(*views, strict=True))

    def _fill_masks(self, sentences: list[str], seed: int, ctx: BuildContext) -> list[str]:
        return fill_masks(
            sentences,
            self.config.mlm,
            ctx.models,
            seed=seed,
            max_seq_length=self.config.max_seq_length,
            progress=ctx.progress,
        )

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """Cross-view divergence over two queues.

        Raises:
            UsageError: Views are to differ by dropout, and the base has none.
        """
        from bench.methods.losses.cross_view import CrossViewLoss

        config = self.config
        if config.views == "dropout":
            from bench.methods.parts.dropout import require_dropout

            require_dropout(model, "name other views, or lora_rank, as adapters have dropout")
        settings = self.view_settings(config.projector or "mlp")
        loss = CrossViewLoss(model, settings, seed=ctx.seed, momentum=config.momentum)
        if config.queue_start == "vectors" and config.queue_size:
            loss.fill(*(_encoded(model, list(texts)) for texts in self.first_queue(rows)))
        return loss

    def view_settings(self, projector: ProjectorKind) -> CrossViewSettings:
        """Settings of a loss over views, with a projector."""
        from bench.methods.losses.cross_view import CrossViewSettings

        config = self.config
        return CrossViewSettings(
            queue_size=config.queue_size,
            tau_ref=config.tau_ref,
            tau_on=config.tau_on,
            half=config.half,
            kind=config.kind,
            view="identical" if config.identical_view else "cross",
            shared_queue=config.shared_queue,
            frozen_queue=config.frozen_queue,
            projector=projector,
        )

    def first_queue(self, rows: list[Texts]) -> list[Texts]:
        """Texts of each view that queues begin with: of the last rows, as many as they hold."""
        return list(zip(*rows[len(rows) - self.config.queue_size :], strict=True))

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the published schedule and patience."""
        config = self.config
        return replace(
            super().train_settings(rows),
            warmup_ratio=config.warmup,
            weight_decay=WEIGHT_DECAY,
            adam_epsilon=ADAM_EPSILON,
            # The paper counts epochs, the training counts evaluations.
            patience=math.ceil(config.patience * rows / config.batch_size / config.dev_every),
        )


def _encoded(model: SentenceTransformer, texts: list[str]) -> torch.Tensor:
    vectors: torch.Tensor = model.encode(texts, convert_to_tensor=True, show_progress_bar=False)
    return vectors


def _view_seeds(seed: int) -> tuple[int, int]:
    return 2 * seed, 2 * seed + 1
