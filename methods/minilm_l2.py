"""The lower third of all-MiniLM-L6-v2: a weak encoder that trains fast on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.data.access import DataAccess
from bench.method import BuildContext, Method, MethodInfo, ModelAccess

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LAYERS = 2


class MiniLML2(Method):
    """Embeddings and first two layers of all-MiniLM-L6-v2, mean pooling, not normalised."""

    info = MethodInfo(
        name="minilm-l2",
        title="First two layers of all-MiniLM-L6-v2",
        kind="static",
    )

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the whole model."""
        return {"whole": models.fingerprint("minilm")}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Cut the layers above the second off."""
        from bench.models.layers import cut_layers

        model = ctx.models.load("minilm", pooling="mean")
        cut_layers(model, LAYERS)
        return model
