"""DefSent: a definition's vector must give the defined word through the masked LM's own head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.core.errors import DataError
from bench.core.files import write_atomic
from bench.data.build_inputs import BuildInput
from bench.data.corpora import Texts
from bench.data.definitions import Definitions, word_ids
from bench.method import BuildContext, MethodInfo
from bench.models.checkpoints import with_pooling
from bench.training.method import TrainedConfig, TrainedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.definitions import Logits
    from bench.training.trainer import TrainSettings

WARMUP = 0.1
HELD_OUT = ("dev", "test")
MEASURES = "def_to_word.json"


class DefSent(TrainedMethod):
    """Predicts words of one token from their definitions; head and embeddings are frozen.

    A tenth of the words each is held out as dev and test. How well their definitions find them is
    written to ``def_to_word.json`` in the model's folder.
    """

    info = MethodInfo(
        name="defsent",
        title="DefSent, words predicted from their definitions",
        kind="supervised",
        paper="DefSent: Sentence Embeddings using Definition Sentences",
        arxiv="2105.04339",
        year=2021,
        trains=True,
    )

    class Config(TrainedConfig):
        """Settings; the defaults are those of the authors' code for BERT-base and mean pooling.

        As in that code, the model is that of the last step, whatever it reaches on STS-B dev.
        Its Oxford definitions are not available; those here are of Open English WordNet.

        Attributes:
            pooling: Pooling in training and at inference.
            head: Logits by the frozen head of the masked language model. False takes the products
                of the vector with the frozen word embeddings, without the head's layers and
                biases; that works for a base that has no such head.
            data: Definitions, see ``bench.data.definitions``.
            sentences: Number of definitions to train on, all by default.
            schedule: Course of the learning rate after a warm-up of a tenth of the steps:
                ``constant``, or ``linear`` to zero.
            shuffle: Shuffle definitions in place of going on from word to word, whose definitions
                are side by side.
            dev: Evaluate on STS-B dev during training and keep the best checkpoint, unlike the
                authors.
        """

        base: str = "bert-base-uncased"
        pooling: Literal["cls", "mean", "max"] = "mean"
        head: bool = True
        data: str = "oewn"
        sentences: int | None = Field(None, gt=0)
        lr: float = Field(1.13e-5, gt=0)
        batch_size: int = Field(16, gt=1)
        max_seq_length: int = Field(512, gt=0)
        schedule: Literal["linear", "constant"] = "constant"
        shuffle: bool = False
        dev: bool = False

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2-mlm",
            "sentences": 16_384,
            "lr": 1e-3,
            "batch_size": 64,
            "max_seq_length": 32,
            "schedule": "linear",
            "shuffle": True,
            "dev": True,
            "dev_every": 64,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling in training and at inference."""
        return self.config.pooling

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training, and the definitions of all words of the train part.

        Which of them are learnt from, those of words of one token, only a tokenizer can tell.
        """
        build_inputs = dict(super().reads())
        if self.trains:
            build_inputs["definitions"] = Definitions(self.config.data, part="train")
        return build_inputs

    def examples(self, part: str, ctx: BuildContext) -> list[tuple[str, int]]:
        """Definitions of the words of a part, each with the token of its word."""
        chosen = Definitions(self.config.data, part=part).load(ctx.data)
        tokenizer = ctx.models.load(self.config.base).tokenizer
        tokens = word_ids((entry.word for entry in chosen), tokenizer)
        known = [entry for entry in chosen if entry.word in tokens]
        return [(text, tokens[entry.word]) for entry in known for text in entry.definitions]

    def _trained(self, ctx: BuildContext) -> list[tuple[str, int]]:
        examples = self.examples("train", ctx)[: self.config.sentences]
        if not examples:
            raise DataError(
                f"data {self.config.data!r} has no word in its train part that is one token of "
                f"{self.config.base!r}; defsent learns from no others"
            )
        return examples

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Definitions of words of the train part."""
        return [(text,) for text, _ in self._trained(ctx)]

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float]:
        """Tokens of their words."""
        return [float(token) for _, token in self._trained(ctx)]

    @property
    def texts_per_row(self) -> int:
        """A definition."""
        return 1

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The transformer of the base and the pooling alone, with frozen embeddings."""
        from bench.methods.losses.definitions import freeze_embeddings

        model = with_pooling(super().start(ctx), self.pooling)
        freeze_embeddings(model)
        return model

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with a warm-up and gradients as they are."""
        return replace(
            super().train_settings(rows),
            warmup_ratio=WARMUP,
            max_grad_norm=0.0,
            schedule=self.config.schedule,
            shuffle=self.config.shuffle,
        )

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """Cross-entropy over the vocabulary."""
        from bench.methods.losses.definitions import WordLoss

        return WordLoss(model, self._logits(model, ctx))

    def _logits(self, model: SentenceTransformer, ctx: BuildContext) -> Logits:
        from bench.methods.losses.definitions import head_logits, tied_logits

        if not self.config.head:
            return tied_logits(model)
        masked_lm, _ = ctx.models.masked_lm(self.config.base)
        return head_logits(masked_lm)

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train and measure, or load a checkpoint."""
        model = super().build(ctx)
        if self.trains:
            self._measure(model, ctx)
        return model

    def _measure(self, model: SentenceTransformer, ctx: BuildContext) -> None:
        """Write how well held-out words are found by definitions that training has not seen."""
        from bench.methods.losses.definitions import def_to_word

        logits = self._logits(model, ctx)
        # Synonyms share definitions, so that those of a new word need not be new.
        seen = {text for text, _ in self._trained(ctx)}
        measures = {}
        for part in HELD_OUT:
            new = [(text, token) for text, token in self.examples(part, ctx) if text not in seen]
            if new:
                measures[part] = def_to_word(model, logits, *zip(*new, strict=True))
        content = json.dumps(measures, indent=2).encode()
        write_atomic(ctx.extra / MEASURES, content)
