"""2D Matryoshka: prefixes of the vectors of every layer are trained to be vectors of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.core.errors import UsageError
from bench.data.corpora import Texts
from bench.method import BuildContext, MethodInfo
from bench.methods.matryoshka import Matryoshka
from bench.models.layers import count_layers

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_OF_ST = ("dims_per_step", "layers_per_step", "layer_weighting", "detached")


class Matryoshka2d(Matryoshka):
    """2D Matryoshka of sentence-transformers, or Espresso of the paper's second version."""

    info = MethodInfo(
        name="matryoshka-2d",
        title="2D Matryoshka, trained for prefixes of every layer",
        kind="supervised",
        paper="2D Matryoshka Sentence Embeddings",
        arxiv="2402.14776",
        year=2024,
        trains=True,
        gathers=True,
    )

    class Config(Matryoshka.Config):
        """Settings; the defaults are those of the reproduction (arXiv 2411.17299) for BERT-base.

        Attributes:
            variant: ``st`` draws layers and prefixes in each step, as sentence-transformers does;
                ``ese`` is Espresso, which compresses every layer into ``size`` numbers.
            dims_per_step: With ``st``, prefixes in each sum, or -1 for all.
            layers_per_step: With ``st``, layers besides the last in a step, or -1 for all.
            layer_weighting: With ``st``, weight of layer l: 1, 1 / (1 + ln l) or 1 / l. The
                reproduction's is ``linear``, by the date of its library.
            detached: With ``st``, whether the divergence leaves the last layer alone; the
                reproduction's did not.
            size: With ``ese``, the trained prefix.
            embedding_layer: With ``ese``, whether the embedding output is trained in place of the
                layer before the last, as in the authors' code.
            divergence_temperature: Temperature of the divergence; None is 0.3 with ``st``, 1 with
                ``ese``.
        """

        variant: Literal["st", "ese"] = "st"
        dims_per_step: int = Field(1, ge=-1)
        layers_per_step: int = Field(1, ge=-1)
        layer_weighting: Literal["uniform", "log", "linear"] = "uniform"
        detached: bool = True
        size: int = Field(128, gt=0)
        embedding_layer: bool = False
        divergence_temperature: float | None = Field(None, gt=0)

        def idle(self) -> Mapping[str, str]:
            """What the other variant needs."""
            idle = dict(super().idle())
            if self.variant == "ese":
                return idle | dict.fromkeys(_OF_ST, "it needs variant=st")
            return idle | dict.fromkeys(("size", "embedding_layer"), "it needs variant=ese")

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {**Matryoshka.profiles["local"], "size": 96},
    }

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base.

        Raises:
            UsageError: It has one layer only, or a prefix is longer than its vectors.
        """
        model = super().start(ctx)
        width = int(model.get_embedding_dimension() or 0)
        if self.config.variant == "ese" and self.config.size > width:
            raise UsageError(
                f"size={self.config.size} is out of range: vectors of {self.config.base} have "
                f"{width} dimensions"
            )
        if count_layers(model) < 2:
            raise UsageError(
                f"matryoshka-2d: {self.config.base} has a single layer; use matryoshka"
            )
        return model

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """The loss of the variant."""
        from bench.methods.losses.matryoshka import EspressoLoss, Matryoshka2dLoss

        config = self.config
        base = self.contrast(model, ctx).from_vectors
        if config.variant == "ese":
            return EspressoLoss(
                model,
                base,
                size=config.size,
                temperature=config.divergence_temperature or 1.0,
                embedding_layer=config.embedding_layer,
            )
        return Matryoshka2dLoss(
            model,
            base,
            config.dims,
            dims_per_step=config.dims_per_step,
            layers_per_step=config.layers_per_step,
            layer_weighting=config.layer_weighting,
            temperature=config.divergence_temperature or 0.3,
            detached=config.detached,
            seed=ctx.seed,
        )
