"""How texts are cut into batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.encoding import batches
from bench.encoding.batches import CPU_LIMITS, GPU_LIMITS, planned_for
from tests.support.models import tiny_sentence_transformer

TEXTS = [f"{'word ' * (i * 7 % 23)}{i}" for i in range(300)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    return tiny_sentence_transformer(tmp_path_factory.mktemp("model"))


def test_batches_hold_every_text_once_within_the_limits(model) -> None:
    planned = planned_for(model, None)
    cut = [(batch, planned.prepare(batch)) for batch in planned.batches(TEXTS)]
    assert sorted(text for batch, _ in cut for text in batch) == sorted(TEXTS)
    assert all(len(batch) <= CPU_LIMITS.texts for batch, _ in cut)
    sizes = [inputs["input_ids"].numel() for _, inputs in cut]
    assert max(sizes) <= CPU_LIMITS.tokens
    assert planned.tokens == sum(int(inputs["attention_mask"].sum()) for _, inputs in cut)


def test_no_longer_text_joins_a_batch_that_has_enough(model) -> None:
    planned = planned_for(model, None)
    whole = [*planned.batches(TEXTS)]
    assert [*planned_with(planned, CPU_LIMITS).batches(TEXTS)] == whole
    cut = [*planned_with(planned, batches.Limits(texts=999, tokens=2000, enough=60)).batches(TEXTS)]
    lengths = [[len(planned._features["input_ids"][text]) for text in batch] for batch in cut]
    assert sorted(text for batch in cut for text in batch) == sorted(TEXTS)
    for batch, following in pairwise(lengths):
        assert batch == sorted(batch) and len(batch) * batch[-1] >= 60
        before = [length for length in batch if length < batch[-1]]
        assert len(before) * max(before, default=0) < 60
        assert following[0] > batch[-1]


def planned_with(planned, limits):
    planned._limits = limits
    return planned


def test_a_window_holds_the_ids_of_few_texts(model, monkeypatch) -> None:
    whole = [*planned_for(model, None, 8).batches(TEXTS)]
    monkeypatch.setattr(batches, "TEXTS_PER_WINDOW", 100)
    planned, held = planned_for(model, None, 8), []
    cut = []
    for batch in planned.batches(TEXTS):
        held.append(len(planned._features["input_ids"]))
        cut.append(batch)
    assert max(held) == 100
    assert sorted(map(tuple, cut)) != sorted(map(tuple, whole))
    assert sorted(text for batch in cut for text in batch) == sorted(TEXTS)


def test_vectors_do_not_follow_from_the_window(model, monkeypatch) -> None:
    def vectors() -> dict[str, np.ndarray]:
        planned = planned_for(model, None, 8)
        return {
            text: vector
            for batch in planned.batches(TEXTS)
            for text, vector in zip(batch, planned.encode(planned.prepare(batch)), strict=True)
        }

    whole = vectors()
    monkeypatch.setattr(batches, "TEXTS_PER_WINDOW", 50)
    for text, vector in vectors().items():
        np.testing.assert_allclose(vector, whole[text], atol=1e-6)


@pytest.mark.parametrize(("kind", "usual"), [("cpu", CPU_LIMITS), ("cuda", GPU_LIMITS)])
def test_a_gpu_takes_larger_batches(kind, usual) -> None:
    encoder = SimpleNamespace(device=torch.device(kind))
    assert planned_for(encoder, None)._limits == usual
    assert planned_for(encoder, None, 3)._limits == replace(usual, texts=3)
    assert planned_for(object(), None)._limits == CPU_LIMITS
