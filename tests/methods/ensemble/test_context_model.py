"""The parts on top of a transformer (invariants 3, 4, 5 and 8 of the method)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

from bench.methods.ensemble.context_model import (
    AttentionPooling,
    ContextAttention,
    ContextModel,
    ContextParts,
    MeanPooling,
    Refinement,
    prediction_loss,
    probabilities,
)
from tests.support.models import tiny_bert

WIDTH, CONTEXT, TEXTS, TOKENS = 16, 6, 3, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


def make(folder: Path, **parts: bool) -> ContextModel:
    torch.manual_seed(0)
    encoder: Any = AutoModel.from_pretrained(folder)
    return ContextModel(encoder, CONTEXT, 2, ContextParts(**parts)).eval()


def tokens(padding: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 30, (TEXTS, TOKENS), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    return {
        "input_ids": functional.pad(ids * mask, (0, padding)),
        "attention_mask": functional.pad(mask, (0, padding)),
    }


def context() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    present = torch.tensor([[True, True], [True, False], [False, False]])
    return torch.randn(TEXTS, 2, CONTEXT, generator=generator), present


def test_without_cross_attention_there_is_the_norm_alone(folder: Path) -> None:
    # H' = LayerNorm(H), which a zeroed output projection equals to the last bit.
    on, off = make(folder), make(folder, cross_attention=False)
    off.load_state_dict(on.state_dict(), strict=False)
    assert on.attention is not None
    torch.nn.init.zeros_(on.attention.attention.out_proj.weight)
    torch.nn.init.zeros_(on.attention.attention.out_proj.bias)
    with torch.no_grad():
        one, share = on(tokens(), *context())
        two, none = off(tokens(), *context())
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert share.tolist() == none.tolist() == [0.0] * TEXTS


def test_without_texts_nothing_is_added_and_nothing_is_nan() -> None:
    torch.manual_seed(0)
    attention = ContextAttention(WIDTH, CONTEXT)
    vectors, present = context()
    hidden = torch.randn(TEXTS, TOKENS, WIDTH, requires_grad=True)
    found = attention(hidden, vectors, present)
    found.sum().backward()
    assert found[:2].abs().sum(dim=(1, 2)).min() > 0
    assert (found[2] == 0).all()
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()
    assert (attention(hidden, vectors, torch.zeros_like(present)) == 0).all()
    # An absent text counts for nothing, whatever its vector is.
    changed = vectors.clone()
    changed[1, 1] = 100.0
    torch.testing.assert_close(attention(hidden, changed, present), found)


@pytest.mark.parametrize("refine_conv", [True, False])
@pytest.mark.parametrize("attn_pool", [True, False])
def test_padding_changes_nothing(folder: Path, refine_conv: bool, attn_pool: bool) -> None:
    model = make(folder, refine_conv=refine_conv, attn_pool=attn_pool)
    with torch.no_grad():
        short, share = model(tokens(), *context())
        long, same = model(tokens(padding=7), *context())
    torch.testing.assert_close(long, short, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(same, share, rtol=1e-5, atol=1e-6)


def test_convolutions_see_no_padding() -> None:
    torch.manual_seed(0)
    refine = Refinement(WIDTH)
    hidden, mask = torch.randn(1, TOKENS, WIDTH), torch.tensor([[1, 1, 1, 0, 0]])
    changed = hidden.clone()
    changed[:, 3:] = 50.0
    one, two = refine(hidden, mask), refine(changed, mask)
    assert one.shape == (1, TOKENS, 384)
    torch.testing.assert_close(one[:, :3], two[:, :3])
    torch.testing.assert_close(refine(hidden[:, :3], mask[:, :3]), one[:, :3])


def test_weights_of_the_tokens() -> None:
    torch.manual_seed(0)
    pool = AttentionPooling(WIDTH)
    hidden, mask = torch.randn(2, TOKENS, WIDTH), torch.tensor([[1, 1, 1, 0, 0], [1] * 5]).bool()
    weights = pool.weights(hidden, mask)
    assert (weights >= 0).all()
    assert (weights[~mask] == 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(pool(hidden, mask)[1], (weights[1, :, None] * hidden[1]).sum(0))
    torch.testing.assert_close(MeanPooling()(hidden, mask)[0], hidden[0, :3].mean(0))


def test_fresh_parameters_are_all_but_the_encoder(folder: Path) -> None:
    model = make(folder)
    own = {id(one) for one in model.encoder.parameters()}
    assert not own & {id(one) for one in model.fresh()}
    assert len(own) + len(model.fresh()) == len([*model.parameters()])


def test_losses() -> None:
    outputs = torch.tensor([[0.0, 0.0], [30.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    found = probabilities(outputs, classes=True)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))
    # Brier's score: (0.5² + 0.5² + 0.75² + 0.75²) / 2.
    brier = prediction_loss(outputs, targets, "mse", classes=True)
    assert brier.item() == pytest.approx((0.5 + 2 * 0.75**2) / 2)
    entropy = prediction_loss(outputs, targets, "ce", classes=True)
    assert entropy.item() == pytest.approx((0.693147 + 0.75 * 30) / 2, abs=1e-5)
    error = prediction_loss(
        torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [3.0]]), "mse", classes=False
    )
    assert error.item() == 0.5
