"""Batches that are encoded in parts: memory, dropout, resuming, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from torch import Tensor

from bench.core.errors import UsageError
from bench.models.layers import layer_vectors
from bench.training.micro_batches import encoding_in_parts
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import SETTINGS, Contrast, Killed, assert_equal_states, run

ROWS = 3
TEXTS = [f"text {'word ' * (i % 4)}{i}" for i in range(24)]
IN_PARTS = replace(SETTINGS, micro_batch=ROWS)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model in training mode, with dropout."""
    return tiny_sentence_transformer(tmp_path / "tiny").train()


def columns(model: SentenceTransformer) -> list[dict[str, Any]]:
    """Tokens of two columns."""
    return [model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])]


def gradients(model: SentenceTransformer, seed: int = 0) -> dict[str, Tensor]:
    """Loss and gradients of a contrast in parts."""
    torch.manual_seed(1)
    loss = Contrast(model)
    torch.manual_seed(seed)
    with encoding_in_parts(model, ROWS):
        value = loss(columns(model), None)
    value.backward()
    found = {name: p.grad for name, p in loss.named_parameters() if p.grad is not None}
    loss.zero_grad()
    return {"loss": value.detach(), **found}


def test_the_backward_pass_has_the_dropout_of_the_forward_pass(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, other = gradients(model), gradients(model, seed=5)

    def plain(encode: Callable[[Any], Tensor], part: Any, use_reentrant: bool) -> Tensor:
        return encode(part)

    monkeypatch.setattr("bench.training.micro_batches.checkpoint", plain)
    expected = gradients(model)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(found["loss"], other["loss"], rtol=1e-3)


def test_both_passes_draw_no_more_random_numbers_than_one(model: SentenceTransformer) -> None:
    gradients(model)
    after = torch.rand(())
    torch.manual_seed(0)
    with torch.no_grad(), encoding_in_parts(model, ROWS):
        for column in columns(model):
            model(column)
    assert after == torch.rand(())


def kept_numbers(model: SentenceTransformer, rows: int | None) -> tuple[int, int]:
    """Numbers kept for the backward pass, and most rows in the transformer at once."""
    kept, seen, loss = [0], [0], Contrast(model)

    def count(tensor: Tensor) -> Tensor:
        kept[0] += 0 if isinstance(tensor, torch.nn.Parameter) else tensor.numel()
        return tensor

    def watch(module: Any, args: Any, options: Any) -> None:
        seen[0] = max(seen[0], len(options["input_ids"]))

    first: Any = model[0]
    watching = first.auto_model.embeddings.register_forward_pre_hook(watch, with_kwargs=True)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        if rows is None:
            loss(columns(model), None)
        else:
            with encoding_in_parts(model, rows):
                loss(columns(model), None)
    watching.remove()
    return kept[0], seen[0]


def test_nothing_but_vectors_is_kept_for_the_backward_pass(model: SentenceTransformer) -> None:
    whole, whole_rows = kept_numbers(model, None)
    parts, rows = kept_numbers(model, ROWS)
    assert (whole_rows, rows) == (len(TEXTS), ROWS)
    assert parts < whole / 20


@pytest.mark.parametrize("autocast", [False, True])
def test_the_model_is_afterwards_as_it_was(model: SentenceTransformer, autocast: bool) -> None:
    before = model.forward
    if autocast:
        vars(model)["forward"] = before
    with encoding_in_parts(model, ROWS):
        model(columns(model)[0])
    assert model.forward == before
    assert ("forward" in vars(model)) == autocast


@pytest.mark.nightly
@pytest.mark.parametrize("die_at", [5, 7])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, die_at: int) -> None:
    whole = run(tmp_path / "whole", IN_PARTS)
    with pytest.raises(Killed):
        run(tmp_path / "killed", IN_PARTS, die_at=die_at)
    resumed = run(tmp_path / "killed", IN_PARTS)
    assert_equal_states(whole[1], resumed[1])
    assert int(whole[1].position) == whole[2]["steps"] % 8


class Apart(Contrast):
    """Calls the modules of the model."""

    def forward(self, features, labels):
        return sum(layer_vectors(self.encoder, f)[0].sum() for f in features)


class Listening(Contrast):
    """Reads what a layer makes."""

    def forward(self, features, labels):
        hook = self.encoder[0].register_forward_hook(lambda *given: None)
        try:
            return super().forward(features, labels)
        finally:
            hook.remove()


class Tokens(Contrast):
    """Reads the vectors of tokens."""

    def forward(self, features, labels):
        return sum(self.encoder(f)["token_embeddings"].sum() for f in features)


@pytest.mark.parametrize(
    ("loss_class", "reason"),
    [(Apart, "takes the model apart"), (Listening, "listens"), (Tokens, "reads token_embeddings")],
)
def test_a_loss_of_more_than_vectors_is_refused(
    tmp_path: Path, loss_class: type[Contrast], reason: str
) -> None:
    with pytest.raises(UsageError, match=f"{reason}.*leave micro_batch out"):
        run(tmp_path / "refused", IN_PARTS, loss_class=loss_class)
    run(tmp_path / "whole", replace(SETTINGS, max_steps=1), loss_class=loss_class)


def test_hooks_that_a_model_always_has_are_no_reason_to_refuse(model: SentenceTransformer) -> None:
    layer_vectors(model, columns(model)[0])
    gradients(model)


def test_a_model_without_padded_tokens_is_refused(model: SentenceTransformer) -> None:
    tokenizer: Any = model.tokenizer
    bag = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=16)], device="cpu"
    )
    with encoding_in_parts(model, ROWS):
        model(columns(model)[0])
    with (
        pytest.raises(UsageError, match="padded tokens; leave it out"),
        encoding_in_parts(bag, ROWS),
    ):
        bag(bag.preprocess(TEXTS))
