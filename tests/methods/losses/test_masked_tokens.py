"""Masked language modelling beside SimCSE's loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers import AutoModelForMaskedLM

from bench.core.errors import UsageError
from bench.method import named_method
from bench.methods.losses.masked_tokens import MaskedTokens, mask_tokens
from bench.methods.simcse import SimCSE
from tests.support.models import tiny_bert
from tests.training.test_trainer import Killed, assert_equal_states, context

TEXTS = ["a red kettle", "two dogs run in the rain", "the old farm"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A random BERT with a random head."""
    folder = tiny_bert(tmp_path / "base")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        AutoModelForMaskedLM.from_pretrained(folder).save_pretrained(folder)
    return folder


def method(base: Path, **options: Any) -> SimCSE:
    inner = {"base": base, "dev": "false", "batch_size": 8, "lr": 1e-2, **options}
    found = named_method(f"simcse[{','.join(f'{k}={v}' for k, v in inner.items())}]", "paper")
    assert isinstance(found, SimCSE)
    return found


def test_most_of_the_chosen_tokens_become_the_mask() -> None:
    torch.manual_seed(0)
    ids = torch.randint(5, 1000, (400, 500))
    special = torch.zeros_like(ids, dtype=torch.bool)
    special[:, 0] = True
    shown, chosen = mask_tokens(ids, special, mask=4, size=1000)
    assert not chosen[:, 0].any()
    assert torch.equal(shown[~chosen], ids[~chosen])
    assert chosen[:, 1:].float().mean().item() == pytest.approx(0.15, abs=0.003)
    hidden, kept = shown[chosen] == 4, shown[chosen] == ids[chosen]
    assert hidden.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.01)
    other = shown[chosen][~hidden & ~kept]
    assert other.float().mean().item() == pytest.approx(500, abs=20)


def test_the_sum_is_weighted(base: Path, tmp_path: Path) -> None:
    ctx = context(tmp_path)
    plain = method(base)
    model = plain.start(ctx).eval()
    losses = [method(base, mlm_weight=weight).loss(model, [], ctx) for weight in (0.0, 0.1, 0.7)]
    assert not isinstance(losses[0], MaskedTokens)
    tokens = model.preprocess(TEXTS)
    values = []
    for loss in losses:
        torch.manual_seed(5)
        values.append(loss([tokens, tokens], torch.arange(3)).item())
    # Both columns are masked, each by draws of its own.
    torch.manual_seed(5)
    lm, ids = AutoModelForMaskedLM.from_pretrained(base).eval(), tokens["input_ids"]
    special = torch.isin(ids, torch.tensor(model.tokenizer.all_special_ids))
    size, mask_id = len(model.tokenizer), model.tokenizer.mask_token_id
    views = [mask_tokens(ids, special, mask_id, size) for _ in range(2)]
    rows = torch.cat([shown for shown, _ in views])
    wanted = torch.cat([ids.masked_fill(~chosen, -100) for _, chosen in views])
    mask = tokens["attention_mask"].repeat(2, 1)
    expected = lm(input_ids=rows, attention_mask=mask, labels=wanted).loss.item()
    assert values[1] - values[0] == pytest.approx(0.1 * expected, rel=1e-4)
    assert values[2] - values[0] == pytest.approx(0.7 * expected, rel=1e-4)


def test_a_batch_without_masked_tokens_has_the_other_loss(base: Path, tmp_path: Path) -> None:
    ctx = context(tmp_path)
    model = method(base).start(ctx).eval()
    loss: Any = method(base, mlm_weight=0.1).loss(model, [], ctx)
    tokens = model.preprocess(["", "", ""])
    value = loss([tokens, tokens], torch.arange(3))
    assert value.item() == loss.loss([tokens, tokens], torch.arange(3)).item()


@pytest.mark.nightly
def test_head_and_encoder_are_trained_and_resume(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"one text {i}\n" for i in range(40)))
    heads: dict[str, nn.Module] = {}
    settings, make = SimCSE.train_settings, SimCSE.loss

    def loss(self: SimCSE, model: SentenceTransformer, rows: Any, ctx: Any) -> Any:
        heads[ctx.workdir.parent.name] = made = make(self, model, rows, ctx)
        return made

    monkeypatch.setattr(SimCSE, "loss", loss)
    monkeypatch.setattr(
        SimCSE,
        "train_settings",
        lambda self, rows: replace(settings(self, rows), checkpoint_every=2),
    )
    trained = method(base, corpus=corpus, mlm_weight=0.1)

    def build(name: str, die_at: int | None = None) -> Any:
        (tmp_path / name).mkdir(exist_ok=True)
        return trained.build(context(tmp_path / name, die_at))

    with pytest.raises(Killed):
        build("killed", 3)
    whole, resumed = build("whole"), build("killed")
    assert_equal_states(whole, resumed)
    assert_equal_states(heads["whole"], heads["killed"])
    assert [type(module).__name__ for module in whole] == ["Transformer", "Pooling"]
    before = AutoModelForMaskedLM.from_pretrained(base).cls.predictions.decoder.weight
    after: Any = heads["whole"]
    assert not torch.allclose(after.head.predictions.decoder.weight, before, atol=1e-3)


def test_what_the_masked_tokens_need(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="micro_batch does nothing here; masked tokens are"):
        method(base, mlm_weight=0.1, micro_batch=4)
    assert method(base).gathers and not method(base, mlm_weight=0.1).gathers
    ctx, bare = context(tmp_path), tiny_bert(tmp_path / "bare")
    with pytest.raises(UsageError, match="has no head for masked language modelling"):
        method(bare, mlm_weight=0.1).loss(method(bare).start(ctx), [], ctx)
