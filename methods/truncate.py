"""Fewer dimensions of any vectors, fewer layers of any transformer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from bench.encoding.maps import Fitted, Floats, Link
from bench.method import BuildContext, Encoder, MethodInfo
from bench.models.layers import cut_layers
from bench.transforms.method import SOURCES, SizedConfig, Transform, as_dense, pick, size

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class Truncate(Transform):
    """The first numbers of any vectors, the first layers of a transformer, or both."""

    info = MethodInfo(
        name="truncate",
        title="Vectors cut to their first dimensions, or a model to its first layers",
        kind="transform",
        paper="Matryoshka Representation Learning",
        arxiv="2205.13147",
        year=2022,
        sources=SOURCES,
    )

    class Config(SizedConfig):
        """Settings.

        Attributes:
            layers: Layers that stay, or None for all. With fewer of them texts are encoded again.
        """

        layers: int | None = Field(None, gt=0)

    config: Config

    @property
    def wraps(self) -> str | None:
        """The model that is cut; None where fewer layers make another model of it."""
        return self.config.of if self.config.layers is None else None

    def link(self, ctx: BuildContext) -> Link:
        """The leading dimensions."""
        return Link("truncate", partial(_leading, config=self.config))

    def build(self, ctx: BuildContext) -> Encoder | SentenceTransformer:
        """Cut the vectors, or the model.

        Raises:
            UsageError: There are fewer layers or dimensions, or what is to be cut to layers
                is not a transformer.
        """
        if self.config.layers is None:
            return super().build(ctx)
        model = ctx.models.load(self.config.of)
        cut_layers(model, self.config.layers)
        if self.config.dim is not None or self.config.fraction is not None:
            none = np.empty((0, int(model.get_embedding_dimension() or 0)))
            model.append(as_dense(_leading(none, self.config).affine, str(model.device)))
        return model


def _leading(vectors: Floats, config: SizedConfig) -> Fitted:
    width = vectors.shape[1]
    return pick(range(size(config, width)), width)
