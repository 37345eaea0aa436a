"""A transformer whose vectors are those of all its layers, for scores of every sub-model."""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from bench.models.layers import layer_vectors


# To mypy the library's classes are Any where it is not installed, which strict mode refuses.
class EveryLayer(SentenceTransformer):  # type: ignore[misc, unused-ignore]
    """A model whose vectors are those of all its layers, one after the other.

    Args:
        model: Model with L layers and vectors of size H; the new one shares its modules, and its
            vectors have the size L · H.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__(
            modules=list(model),
            device=str(model.device),
            prompts={name: text or "" for name, text in model.prompts.items()},
            default_prompt_name=model.default_prompt_name,
        )

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Vectors of a batch of tokens (B, T), (B, L · H)."""
        return {"sentence_embedding": torch.cat(layer_vectors(self, input)[1:], dim=1)}
