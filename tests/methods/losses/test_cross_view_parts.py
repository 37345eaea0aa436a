"""Projectors of SCT, and its queues against plain lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.losses.cross_view import Projector, RingQueue, make_projector
from tests.methods.losses.test_cross_view_loss import B, U, unit


@settings(deadline=None)
@given(size=st.integers(0, 9), batches=st.lists(st.integers(0, 14), max_size=8))
def test_queue_is_a_list_that_drops_its_oldest(size: int, batches: list[int]) -> None:
    queue = RingQueue(size, 4, torch.Generator().manual_seed(1))
    model = queue.ordered().tolist()
    for seed, rows in enumerate(batches):
        new = unit(rows, seed, width=4)
        queue.enqueue(new)
        model = [*model, *new.tolist()][-size:] if size else []
        assert queue.ordered().tolist() == model
        assert len(queue.rows) == size
        np.testing.assert_allclose(queue.rows.norm(dim=1).numpy(), np.ones(size), atol=1e-5)


def test_queue_refuses_rows_that_are_not_of_norm_1() -> None:
    queue = RingQueue(4, U, torch.Generator())
    before = queue.ordered()
    with pytest.raises(ValueError, match="norm 1"):
        queue.enqueue(2 * unit(2, 0))
    assert torch.equal(queue.ordered(), before)


@pytest.mark.parametrize("width", [3, 16, 128])
def test_projector_size(width: int) -> None:
    count = sum(parameter.numel() for parameter in Projector(width).parameters())
    assert count == 60 * width**2 + 33 * width


def test_a_residual_projector_begins_near_the_identity() -> None:
    vectors = unit(B, 0, width=64)
    projected = {kind: make_projector(kind, 64, 3)(vectors) for kind in ("mlp", "residual")}
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(projected["residual"], vectors).min() > 0.9
    assert cosine(projected["mlp"], vectors).abs().max() < 0.5
    torch.testing.assert_close(projected["residual"], vectors + projected["mlp"])
    assert torch.equal(make_projector("none", 64, 3)(vectors), vectors)
