"""Dropout by a schedule: its rates, where they act, and trainings with it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from bench.methods.parts.dropout import (
    CurriculumDropout,
    curriculum,
)
from bench.models.checkpoints import load_folder
from tests.support.dropout import (
    SITES,
    STEPS,
    TEXTS,
    WIDTH,
    WITH_DEV,
    P,
    applied_rates,
    bert,
    in_batch,
    plain,
    step,
    trained,
)
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import Killed, assert_equal_states


def dropouts(model: nn.Module) -> list[nn.Dropout]:
    """All dropout modules of a model."""
    return [module for module in model.modules() if isinstance(module, nn.Dropout)]


@pytest.mark.parametrize(("p_max", "p_min"), [(0.1, 0.0), (0.3, 0.02), (0.5, 0.5)])
def test_schedule(p_max: float, p_min: float) -> None:
    steps, gamma = 40, 10 / 40
    rates = [curriculum(t, steps, p_max, p_min) for t in range(steps + 1)]
    by_hand = [p_min + (p_max - p_min) * (1 - math.exp(-gamma * t)) for t in range(steps + 1)]
    np.testing.assert_allclose(rates, by_hand, rtol=1e-12, atol=1e-15)
    assert rates[0] == p_min
    assert sorted(rates) == rates
    assert curriculum(10**9, steps, p_max, p_min) == p_max
    assert [curriculum(t, steps, p_max, p_min, rate=0) for t in (0, 1, 10**9)] == [p_min] * 3


def test_schedule_without_start_is_the_paper_s() -> None:
    for t in (0, 1, 17, 40):
        retain = (1 - 0.9) * math.exp(-t * 10 / 40) + 0.9
        assert curriculum(t, 40, 0.1) == pytest.approx(1 - retain, abs=1e-12)
    assert curriculum(40, 40, 0.1) == pytest.approx(0.1 * (1 - math.exp(-10)), rel=1e-12)


def test_no_rate_is_above_a_dropout_s_own() -> None:
    assert [curriculum(t, 10, 0.0, 0.02) for t in (0, 5, 10)] == [0] * 3


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_site_has_the_rate_of_the_step(tmp_path: Path, attention: str) -> None:
    model = bert(tmp_path, attention)
    loss = CurriculumDropout(model, in_batch(model), 5, p_min=0.02)
    for t in range(5):
        with applied_rates() as rates:
            step(loss, model)
        # Each site twice, once for each copy.
        assert rates == [curriculum(t, 5, P, 0.02)] * (2 * SITES)
        assert int(loss.step) == t + 1


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("alone", range(SITES))
def test_each_site_alone_is_off_at_first_and_drops_later(
    tmp_path: Path, attention: str, alone: int
) -> None:
    model = bert(tmp_path, attention)
    for i, site in enumerate(dropouts(model)):
        site.p = 0.5 if i == alone else 0.0
    seen: list[Tensor] = []
    model.register_forward_hook(lambda *call: seen.append(call[-1]["sentence_embedding"]))
    loss = CurriculumDropout(model, in_batch(model), 2)
    for _ in range(2):
        step(loss, model)
    assert torch.equal(seen[0], seen[1])
    assert not torch.allclose(seen[2], seen[3])


def test_the_model_rises_to_another_rate_and_the_loss_to_its_own(tmp_path: Path) -> None:
    model = bert(tmp_path)
    inner = in_batch(model)
    inner.head = nn.Dropout(0.4)
    loss = CurriculumDropout(model, inner, 5, p_max=0.3)
    step(loss, model)
    step(loss, model)
    assert {site.p for site in dropouts(model)} == {curriculum(1, 5, 0.3)}
    assert inner.head.p == curriculum(1, 5, 0.4)


def test_sites_are_all_of_bert_and_of_the_loss(tmp_path: Path) -> None:
    model = bert(tmp_path)
    inner = in_batch(model)
    inner.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(WIDTH, WIDTH))
    assert len(dropouts(inner)) == SITES + 1
    loss = CurriculumDropout(model, inner, 5)
    step(loss, model)
    step(loss, model)
    assert inner.head[0].p == curriculum(1, 5, 0.3)
    assert {site.p for site in dropouts(model)} == {curriculum(1, 5, P)}


@pytest.mark.parametrize("whole", [False, True])
def test_no_step_and_no_dropout_in_evaluation(tmp_path: Path, whole: bool) -> None:
    model = bert(tmp_path)
    loss = CurriculumDropout(model, in_batch(model), 5)
    step(loss, model)
    (loss if whole else model).eval()
    assert torch.equal(step(loss, model), step(loss, model))
    assert int(loss.step) == 1
    assert {site.p for site in dropouts(model)} == {0.0}
    (loss if whole else model).train()
    step(loss, model)
    assert int(loss.step) == 2


def rising(model: SentenceTransformer, loss: nn.Module) -> CurriculumDropout:
    """The loss with the schedule."""
    return CurriculumDropout(model, loss, STEPS)


def test_steps_of_a_training_are_those_of_the_schedule(tmp_path: Path) -> None:
    rates: list[float] = []

    def watched(model: SentenceTransformer, loss: nn.Module) -> CurriculumDropout:
        loss.register_forward_pre_hook(lambda *_: rates.append(dropouts(model)[0].p))
        return rising(model, loss)

    _, loss = trained(tmp_path, watched, settings=WITH_DEV)
    assert rates == [curriculum(t, STEPS, P) for t in range(STEPS)]
    assert isinstance(loss, CurriculumDropout) and int(loss.step) == STEPS


# Step 5 ends an epoch, 7 is between checkpoints of the second one.
@pytest.mark.nightly
@pytest.mark.parametrize("die_at", [5, 7])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, die_at: int) -> None:
    whole, scheduled = trained(tmp_path / "whole", rising)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", rising, die_at=die_at)
    resumed, schedule = trained(tmp_path / "killed", rising)
    assert_equal_states(whole, resumed)
    assert int(schedule.step) == int(scheduled.step) == STEPS


@pytest.mark.nightly
def test_constant_schedule_equals_no_schedule(tmp_path: Path) -> None:
    def constant(model: SentenceTransformer, loss: nn.Module) -> CurriculumDropout:
        return CurriculumDropout(model, loss, STEPS, p_min=P)

    standard, _ = trained(tmp_path / "plain", plain)
    assert_equal_states(standard, trained(tmp_path / "constant", constant)[0])
    other, _ = trained(tmp_path / "rising", rising)
    assert not np.array_equal(standard.encode(TEXTS), other.encode(TEXTS))


def test_a_model_saved_in_training_has_its_own_rate(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny").train()
    step(CurriculumDropout(model, in_batch(model), 5), model)
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    saved = load_folder(tmp_path / "saved", "cpu")
    assert {site.p for site in dropouts(saved)} == {P}
