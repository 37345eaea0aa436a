"""Made models in mteb's registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import tiny_sentence_transformer

NAME = "made/tiny"


def register_model(
    folder: Path,
    patch: pytest.MonkeyPatch,
    prompts: Mapping[str, str] | None = None,
    **facts: Any,
) -> Any:
    """Put the model of a folder into the registry, with other facts than usual."""
    # Imported late, as few tests need mteb, which takes seconds.
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.models.model_implementations import MODEL_REGISTRY
    from mteb.models.model_meta import ModelMeta
    from sentence_transformers import SentenceTransformer

    def loader(name: str, revision: str, device: str | None = None, **options: Any) -> Any:
        model = SentenceTransformer(str(folder), device=device)
        return SentenceTransformerEncoderWrapper(model, **options)

    options = {
        "name": NAME,
        "revision": "1",
        "loader": loader,
        "loader_kwargs": {"model_prompts": dict(prompts)} if prompts else {},
        "model_type": ["dense"],
        "framework": ["PyTorch"],
        **facts,
    }
    meta = ModelMeta.create_empty(overwrites=options)
    patch.setitem(MODEL_REGISTRY, options["name"], meta)
    return meta


def registered(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Name of a tiny model in the registry, which lies in a folder."""
    tiny_sentence_transformer(folder / "bare").save_pretrained(str(folder / "saved"))
    register_model(folder / "saved", patch)
    return NAME
