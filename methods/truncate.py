"""Fewer dimensions of any vectors, fewer layers of any transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.errors import CellError
from bench.encoding.maps import Affine, Fitted, Floats, Link
from bench.method import BuildContext, Encoder, MethodInfo
from bench.models.layers import cut_layers
from bench.transforms.method import SOURCES, SizedConfig, Transform, as_dense, picking, size

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
            whole_documents: Documents keep all layers, and queries alone lose some, as for models
                that are trained so (``matryoshka-2d[passage_to_last_layer=true]``). For retrieval
                and reranking, whose texts are either.
        """

        layers: int | None = Field(None, gt=0)
        whole_documents: bool = False

        def idle(self) -> Mapping[str, str]:
            """What documents keep where nothing is cut."""
            idle = dict(super().idle())
            if self.layers is None:
                idle["whole_documents"] = "it needs layers"
            return idle

    config: Config

    @property
    def wraps(self) -> str | None:
        """The model that is cut; None where fewer layers make another model of it."""
        return self.config.of if self.config.layers is None else None

    def link(self, ctx: BuildContext) -> Link:
        """The leading dimensions."""
        return Link("truncate", partial(_fit, config=self.config))

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
        if not self.config.whole_documents:
            return self._shortened(model)
        whole = self._shortened(ctx.models.load(self.config.of))
        return _OfTwoDepths(self._shortened(model), whole)

    def _shortened(self, model: SentenceTransformer) -> SentenceTransformer:
        if self.config.dim is not None or self.config.fraction is not None:
            width = int(model.get_embedding_dimension() or 0)
            model.append(as_dense(_leading(width, self.config), str(model.device)))
        return model


class _OfTwoDepths:
    """Encodes queries with one model and documents with another."""

    def __init__(self, queries: SentenceTransformer, documents: SentenceTransformer) -> None:
        self._queries, self._documents = queries, documents

    @property
    def device(self) -> Any:
        """Where both are."""
        return self._queries.device

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode n texts to float32 of shape (n, d).

        Raises:
            CellError: They are neither queries nor documents.
        """
        if role is None:
            raise CellError(
                "whole_documents=true needs queries and documents, as retrieval and reranking have"
            )
        model = self._documents if role == "document" else self._queries
        encode = model.encode_document if role == "document" else model.encode_query
        vectors: NDArray[np.float32] = encode(list(texts), show_progress_bar=False)
        return vectors


def _fit(vectors: Floats, config: SizedConfig) -> Fitted:
    return Fitted(_leading(vectors.shape[1], config))


def _leading(width: int, config: SizedConfig) -> Affine:
    return picking(range(size(config, width)), width)
