"""all-MiniLM-L6-v2, the small model that needs no hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.data.access import DataAccess
from bench.method import BuildContext, Method, MethodInfo, ModelAccess

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class MiniLM(Method):
    """all-MiniLM-L6-v2 as published."""

    info = MethodInfo(
        name="minilm",
        title="all-MiniLM-L6-v2, trained on a billion pairs",
        kind="supervised",
        paper="MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of "
        "Pre-Trained Transformers",
        arxiv="2002.10957",
        year=2020,
    )

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the folder."""
        return {"folder": models.fingerprint(str(models.minilm()))}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Load the folder."""
        return ctx.models.load(str(ctx.models.minilm()))
