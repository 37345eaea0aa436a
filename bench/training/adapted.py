"""Trainings on a corpus whose base can get a prompt around its sentences, and low-rank adapters.

Importing this needs no torch, as methods are listed and planned without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from bench.core.fingerprint import versions
from bench.data.access import DataAccess
from bench.method import BuildContext, ModelAccess
from bench.training.method import CorpusConfig, CorpusMethod

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PoolingName = Literal["cls", "mean", "max", "lasttoken", "pooler", "avg_first_last"]


class AdaptedConfig(CorpusConfig):
    """Settings of a training on a corpus, with what decoders are trained by.

    Attributes:
        pooling: Pooling in training and at inference; ``pooler`` is the base's own, and
            ``avg_first_last`` takes the states of the first and the last layer.
        template: Prompt around every sentence, in training and at inference, for a decoder
            with pooling ``lasttoken`` (arXiv 2406.09790).
        lora_rank: Rank of adapters that are trained in place of the base's weights, and
            merged into them in the end; 0 to train the weights.
    """

    pooling: PoolingName = "mean"
    template: Literal["none", "eol", "sth", "sum"] = "none"
    lora_rank: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _last_token_of_a_template(self) -> Self:
        head: bool | None = getattr(self, "head", None)
        if self.template != "none" and (self.pooling != "lasttoken" or head):
            needed = "pooling=lasttoken" + ("" if head is None else " and head=false")
            raise ValueError(f"template={self.template} needs {needed}")
        return self


class AdaptedMethod(CorpusMethod):
    """A method whose base is trained with a template, through adapters, or as it is."""

    config: AdaptedConfig

    @property
    def pooling(self) -> str:
        """Pooling in training and at inference."""
        return self.config.pooling

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of every training on a corpus, and the library of adapters where it is used."""
        inputs = dict(super().inputs(data, models))
        if self.trains and self.config.lora_rank:
            inputs |= versions(["peft"])
        return inputs

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base, with its template and adapters."""
        model = super().start(ctx)
        self.adapt(model, ctx)
        return model

    def adapt(self, model: SentenceTransformer, ctx: BuildContext) -> None:
        """Give a model, in place, the template and the adapters of the settings.

        Raises:
            UsageError: The model cannot have the template, or the package peft is not installed.
        """
        config = self.config
        if config.template != "none":
            from bench.training.template import apply_template

            apply_template(model, config.template)
        if config.lora_rank:
            from bench.training.lora import add_lora

            add_lora(model, config.lora_rank, ctx.seed)
