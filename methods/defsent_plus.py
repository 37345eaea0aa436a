"""DefSent+: a definition's vector must give its entry among embeddings of all entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.core.errors import UsageError
from bench.core.files import write_atomic
from bench.core.fingerprint import versions
from bench.core.spec import has_base, on_base
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import Texts
from bench.data.definitions import Definitions
from bench.method import BuildContext, MethodInfo, ModelAccess, named_method
from bench.metrics.isotropy import isoscore
from bench.models.checkpoints import with_pooling
from bench.training.method import TrainedConfig, TrainedMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.definitions import EntryLoss
    from bench.training.trainer import TrainSettings

ADAM_EPSILON = 1e-6
MEASURES = "entries.json"
_SAMPLE = 256


class DefSentPlus(TrainedMethod):
    """Predicts entries from their definitions; each stage has the encoder before for its targets.

    A stage is a training of its own: that of ``stages=2`` starts from the weights that
    ``stages=1`` started from, and takes from it the embeddings of entries alone. Their IsoScore,
    and the mean size of the logits at the first step, are written to ``entries.json`` in the
    folder of each stage's model.
    """

    info = MethodInfo(
        name="defsent-plus",
        title="DefSent+, entries predicted from their definitions",
        kind="supervised",
        paper=(
            "DefSent+: Improving sentence embeddings of language models by projecting definition "
            "sentences into a quasi-isotropic or isotropic vector space of unlimited dictionary "
            "entries"
        ),
        arxiv="2405.16153",
        year=2024,
        trains=True,
    )

    class Config(TrainedConfig):
        """Settings; the defaults are those of the authors' read-me for BERT-base.

        It gives BERT-base three stages and ICA, but no learning rate: that here is the one of the
        first stage of its largest example, for all stages. The definitions are of Open English
        WordNet, where theirs are of Oxford and WordNet. As theirs, the model is that of the last
        step, whatever it reaches on STS-B dev.

        Attributes:
            of: Spec of the method whose encoder is trained on; it starts from ``base`` unless it
                names a base of its own. Empty to train ``base`` itself.
            pooling: Pooling of definitions.
            inference_pooling: Pooling at inference, by default that of definitions; ``prompt`` is
                the mask of ``This sentence : "X" means [MASK] .``, which no training has seen.
            backbone: For a RoBERTa: the masked language model whose head its pooler begins as, by
                default the base that the encoder was trained from.
            stages: Trainings one after the other.
            ica: Turn the embeddings of entries into independent components before the last stage.
            data: Definitions, see ``bench.data.definitions``.
            entries: Number of entries, all by default.
            dev: Evaluate on STS-B dev during training and keep the best checkpoint, unlike the
                authors.
        """

        base: str = "bert-base-uncased"
        of: str = ""
        pooling: Literal["cls", "mean"] = "cls"
        inference_pooling: Literal["cls", "mean", "prompt"] | None = None
        backbone: str = ""
        stages: int = Field(3, ge=1, le=3)
        ica: bool = True
        data: str = "oewn"
        entries: int | None = Field(None, gt=1)
        lr: float = Field(2e-5, gt=0)
        batch_size: int = Field(32, gt=1)
        max_seq_length: int = Field(150, gt=0)
        dev: bool = False

        def idle(self) -> Mapping[str, str]:
            """What an encoder of its own needs."""
            idle = dict(super().idle())
            if self.of and has_base(self.of):
                idle["base"] = "of names its own"
            return idle

    config: Config
    checkpoint_pooling = "cls"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "ica": False,
            "entries": 4_096,
            "lr": 1e-3,
            "batch_size": 64,
            "max_seq_length": 32,
            "dev": True,
            "dev_every": 32,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling of definitions."""
        return self.config.pooling

    @property
    def _original(self) -> str:
        """Model that every stage starts from."""
        config = self.config
        return on_base(config.of, config.base) if config.of else config.base

    @property
    def _encoder_before(self) -> str:
        """Model whose embeddings of entries are the targets: the stage before, or the original."""
        if self.config.stages == 1:
            return self._original
        same = self.config.options("inference_pooling")
        options = {**same, "stages": self.config.stages - 1, "ica": False}
        return f"{self.info.name}[{','.join(f'{name}={value}' for name, value in options.items())}]"

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training, and the definitions."""
        build_inputs = dict(super().reads())
        if self.trains:
            build_inputs["definitions"] = self._definitions
        return build_inputs

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of what is read, and of the models before this stage."""
        inputs = dict(super().inputs(data, models))
        if self.trains:
            inputs["of"] = models.fingerprint(self._original)
            inputs["before"] = models.fingerprint(self._encoder_before)
            if self.config.backbone:
                inputs["backbone"] = models.fingerprint(self.config.backbone)
            if self.config.ica:
                inputs |= versions(["scikit-learn"])
        return inputs

    @property
    def parents(self) -> tuple[str, ...]:
        """The model that every stage starts from, and whose head a pooler begins as."""
        if self.checkpoint is not None:
            return ()
        return (self._original, *filter(None, [self.config.backbone]))

    @property
    def _definitions(self) -> Definitions:
        return Definitions(self.config.data, self.config.entries)

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Every definition of every entry."""
        return [(text,) for entry in self._definitions.load(ctx.data) for text in entry.definitions]

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float]:
        """Numbers of their entries."""
        entries = self._definitions.load(ctx.data)
        return [float(number) for number, entry in enumerate(entries) for _ in entry.definitions]

    @property
    def texts_per_row(self) -> int:
        """A definition."""
        return 1

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The transformer that every stage starts from and the pooling, without further modules."""
        return self._bare(self._original, ctx)

    def _bare(self, name: str, ctx: BuildContext) -> SentenceTransformer:
        from bench.training.template import prompt_length

        model = with_pooling(ctx.models.load(name, pooling=self.pooling), self.pooling)
        if prompt_length(model):
            raise UsageError(f"{name!r} puts a prompt around texts; name a model without one")
        return model

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the epsilon of the authors' optimizer."""
        return replace(super().train_settings(rows), adam_epsilon=ADAM_EPSILON)

    def loss(self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext) -> EntryLoss:
        """Cross-entropy over the entries."""
        from bench.methods.losses.definitions import EntryLoss, entry_pooler

        pooler = entry_pooler(model, ctx.seed, self._head(model, ctx))
        targets, measured = self._targets(ctx)
        loss = EntryLoss(model, targets, pooler)
        measured["mean_logit"] = loss.mean_logit([text for (text,) in rows[:_SAMPLE]])
        content = json.dumps(measured, indent=2).encode()
        write_atomic(ctx.extra / MEASURES, content)
        return loss

    def _head(self, model: SentenceTransformer, ctx: BuildContext) -> Any | None:
        """Head that a RoBERTa's pooler begins as; None for others."""
        from bench.methods.losses.definitions import is_roberta

        given = self.config.backbone
        if not is_roberta(model):
            if given:
                raise UsageError("backbone does nothing here; it is for a RoBERTa alone")
            return None
        name = given or self._pretrained
        head = None
        with suppress(UsageError):
            head = getattr(ctx.models.masked_lm(name)[0], "lm_head", None)
        if head is None:
            raise UsageError(
                f"{name!r} is no RoBERTa with a head for masked language modelling, as which the "
                "pooler begins; name the one that the encoder was trained from by backbone="
            )
        return head

    @property
    def _pretrained(self) -> str:
        """Base of the bases of the model that every stage starts from."""
        name = self._original
        while (method := named_method(name, self.profile)) and method.base:
            name = method.base
        return name

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train, or load a checkpoint, and pool as is asked for at inference."""
        model, pooling = super().build(ctx), self.config.inference_pooling
        if pooling == "prompt":
            from bench.methods.parts.mask_prompt import with_mask_prompt

            return with_mask_prompt(model)
        return with_pooling(model, pooling) if pooling else model

    def _targets(self, ctx: BuildContext) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Embeddings of the entries by the encoder before, and what is measured of them."""
        from bench.methods.losses.definitions import entry_embeddings, independent_components

        config = self.config
        before = self._bare(self._encoder_before, ctx)
        entries = self._definitions.load(ctx.data)
        targets = entry_embeddings(before, entries, config.max_seq_length, ctx.progress)
        several = sum(len(entry.definitions) > 1 for entry in entries)
        measured = {"entries": len(entries), "several": several, "isoscore": isoscore(targets)}
        if config.ica:
            targets = independent_components(targets)
            measured["isoscore_after_ica"] = isoscore(targets)
        return targets, measured
