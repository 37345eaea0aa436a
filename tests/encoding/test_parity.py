"""Vectors of saved models are those that sentence-transformers itself computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from bench.core.progress import Silent
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from tests.support.access import local_models
from tests.support.saved_models import PROMPTS, SHAPES, WIDTH, bert, of, save

TEXTS = [
    "a kettle boils",
    "A Dog runs over there and it barks at a red kettle, again and again",
    "dog",
    "it runs over",
    "nothing of this is known!",
]


def _ours(folder: Path, model: SentenceTransformer, role: str | None) -> NDArray[np.float32]:
    column = {("task", "text"): Column(TEXTS, role)}
    found = encode_columns(model, column, model_fingerprint="m", folder=folder, progress=Silent())
    return found.vectors["task", "text"]


def _theirs(model: SentenceTransformer, role: str | None) -> NDArray[np.float32]:
    encode = {None: model.encode, "query": model.encode_query, "document": model.encode_document}
    found: NDArray[np.float32] = np.asarray(encode[role](TEXTS), dtype=np.float32)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_saved_model_gives_the_vectors_of_the_library(shape: str, tmp_path: Path) -> None:
    folder = save(SHAPES[shape], tmp_path)
    loaded = local_models(tmp_path).load(str(folder))
    reference = SentenceTransformer(str(folder), device="cpu")
    for role in (None, "query", "document"):
        expected = _theirs(reference, role)
        ours = _ours(tmp_path / "vectors", loaded, role)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
        again = _ours(tmp_path / "vectors", loaded, role)
        np.testing.assert_array_equal(ours, again)


@pytest.mark.parametrize("dim", [None, 5])
def test_vectors_cut_by_the_model_are_those_of_the_library(dim: int | None, tmp_path: Path) -> None:
    model = of(bert(tmp_path / "bert"), SHAPES["mean"](tmp_path / "other")[1], truncate_dim=dim)
    ours = _ours(tmp_path / "vectors", model, None)
    assert ours.shape[1] == (dim or WIDTH)
    np.testing.assert_allclose(ours, _theirs(model, None), rtol=0, atol=1e-5)


def test_a_prompt_of_no_words_is_not_replaced_by_the_default_one(tmp_path: Path) -> None:
    pooling = SHAPES["static"](tmp_path / "parts")
    model = of(*pooling, prompts={**PROMPTS, "query": ""}, default_prompt_name="short")
    for role in (None, "query", "document"):
        ours = _ours(tmp_path / "vectors", model, role)
        np.testing.assert_allclose(ours, _theirs(model, role), rtol=0, atol=1e-5)


def test_a_document_has_the_prompt_of_a_passage(tmp_path: Path) -> None:
    model = SHAPES["mean"](tmp_path / "parts")
    model.prompts = {"passage": "passage: ", "default": "x: "}
    model.default_prompt_name = "default"
    for role in (None, "query", "document"):
        ours = _ours(tmp_path / "vectors", model, role)
        np.testing.assert_allclose(ours, _theirs(model, role), rtol=0, atol=1e-5)


def test_the_sides_of_a_router_are_kept_apart_in_the_store(tmp_path: Path) -> None:
    model = SHAPES["router"](tmp_path / "parts")
    model.prompts = dict.fromkeys(model.prompts, "")
    query, document = (_ours(tmp_path / "vectors", model, role) for role in ("query", "document"))
    assert np.abs(query - document).max() > 0.01
