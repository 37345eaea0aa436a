"""Fewer layers, fewer dimensions: any transformer cut to a smaller model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bench.data.access import DataAccess
from bench.errors import UsageError
from bench.layers import cut_layers
from bench.method import BuildContext, Method, MethodConfig, MethodInfo, ModelAccess
from bench.models import named_method

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class Truncate(Method):
    """The first layers of a model, the first numbers of its vectors, or both."""

    info = MethodInfo(
        name="truncate",
        title="A model cut to fewer layers or dimensions",
        kind="transform",
        paper="Matryoshka Representation Learning",
        arxiv="2205.13147",
        year=2022,
        sources=("bench.layers",),
    )

    class Config(MethodConfig):
        """Settings.

        Attributes:
            of: Method, folder or hub id of the model that is cut.
            layers: Layers that stay, or None for all.
            dim: Leading dimensions that stay, or None for all.
        """

        of: str = "minilm"
        layers: int | None = Field(None, gt=0)
        dim: int | None = Field(None, gt=0)

    config: Config

    @property
    def _wrapped(self) -> Method | None:
        return named_method(self.config.of, self.profile)

    @property
    def trains(self) -> bool:
        """Whether the model that is cut is trained here."""
        return self.checkpoint is None and self._wrapped is not None and self._wrapped.trains

    @property
    def base(self) -> str | None:
        """Base of the model that is cut."""
        return self._wrapped.base if self._wrapped else None

    @property
    def parents(self) -> tuple[str, ...]:
        """The model that is cut."""
        return (self.config.of,)

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """The model that is cut.

        Raises:
            UsageError: There is a checkpoint, which would be a model that is cut already.
        """
        if self.checkpoint is not None:
            raise UsageError(
                f"truncate@{self.checkpoint}: truncate has no checkpoints; write "
                f"truncate[of={self.checkpoint}]"
            )
        return {"of": models.fingerprint(self.config.of)}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Cut the model.

        Raises:
            UsageError: It is no transformer, or has fewer layers or dimensions.
        """
        model = ctx.models.load(self.config.of)
        if self.config.layers is not None:
            cut_layers(model, self.config.layers)
        if self.config.dim is not None:
            keep_dimensions(model, self.config.dim)
        return model


def keep_dimensions(model: SentenceTransformer, dim: int) -> None:
    """Append a layer that keeps the leading dimensions, so that a saved model keeps them too.

    Raises:
        UsageError: The vectors have fewer dimensions.
    """
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    width = int(model.get_embedding_dimension() or 0)
    if dim > width:
        raise UsageError(f"dim={dim} is out of range: the vectors have {width} dimensions")
    first = torch.eye(dim, width)
    kept = Dense(width, dim, bias=False, activation_function=torch.nn.Identity(), init_weight=first)
    model.append(kept.to(model.device))
