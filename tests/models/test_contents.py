"""What a model in memory is told apart by."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer

from bench.models.contents import content_hash
from tests.support.saved_models import SHAPES, save


def load(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_is_the_same_wherever_it_was_loaded_from_and_whatever_it_encoded(
    shape: str, tmp_path: Path
) -> None:
    folder = save(SHAPES[shape], tmp_path)
    shutil.copytree(folder, tmp_path / "elsewhere")
    first, second = load(folder), load(tmp_path / "elsewhere")
    routed = "without a default" in shape
    second.encode(["the dog runs", "a"], **({"task": "query"} if routed else {}))
    assert content_hash(first) is not None
    assert content_hash(first) == content_hash(second)


def change_weight(model: SentenceTransformer) -> None:
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3


def change_vocabulary(model: SentenceTransformer) -> None:
    model.tokenizer.add_tokens(["unheard"])


def change(path: str, value: Any) -> Callable[[SentenceTransformer], None]:
    """Set an attribute, such as ``1.include_prompt``: of a module where a number comes first."""

    def make(model: SentenceTransformer) -> None:
        number, _, name = path.rpartition(".")
        setattr(model[int(number)] if number else model, name, value)

    return make


CHANGES = {
    "a weight": change_weight,
    "precision": lambda model: model.half(),
    "vocabulary": change_vocabulary,
    "padding side": lambda model: setattr(model.tokenizer, "padding_side", "left"),
    "length": change("max_seq_length", 5),
    "pooling": change("1.pooling_mode", "max"),
    "prompts": change("prompts", {"query": "find: "}),
    "default prompt": change("default_prompt_name", "short"),
    "dimension": change("truncate_dim", 8),
    "prompt in pooling": change("1.include_prompt", False),
    "attention": lambda model: setattr(model[0].model.config, "hidden_act", "relu"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_whatever_changes_vectors_makes_another_model(changed: str, tmp_path: Path) -> None:
    model = load(save(SHAPES["prompts"], tmp_path))
    before = content_hash(model)
    CHANGES[changed](model)
    assert content_hash(model) not in (None, before)


def test_a_model_with_code_of_its_own_is_not_known(tmp_path: Path) -> None:
    model = load(save(SHAPES["mean"], tmp_path))

    class Doubled(torch.nn.Module):
        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return {**features, "sentence_embedding": 2 * features["sentence_embedding"]}

    model.append(Doubled())
    assert content_hash(model) is None


def test_a_model_with_a_hook_is_not_known(tmp_path: Path) -> None:
    model = load(save(SHAPES["mean"], tmp_path))
    handle = model[0].register_forward_hook(lambda *_: None)
    assert content_hash(model) is None
    handle.remove()
    assert content_hash(model) is not None
