"""The losses of two towers: JTCSE, and its distillation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bench.methods.losses.twin import (
    TwinDistillation,
    TwinLoss,
    coin,
    distillation_loss,
    info_nce,
    interaction_nce,
    interleave,
    modulus_term,
    norm_ratio,
    partners,
)
from bench.methods.parts.twin import TowerPair, TwinPass, join_towers, towers
from tests.support.models import tiny_bert, tiny_sentence_transformer

TEXTS = ["a red kettle", "two dogs run", "rain"]
TAU = 0.05


def rows(seed: int, count: int = 6, width: int = 8) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_partners_are_mutual_and_never_masked() -> None:
    found = partners(8)
    assert found[found].tolist() == list(range(8))
    assert not (found == torch.arange(8)).any()
    first, second = rows(0, 3), rows(1, 3)
    mixed = interleave(first, second)
    torch.testing.assert_close(mixed[partners(6)], interleave(second, first))
    with pytest.raises(ValueError, match="3 rows are not pairs"):
        partners(3)


def test_contrast_as_written() -> None:
    u, v = rows(0), rows(1)
    cosine = torch.cosine_similarity(u[:, None], v[None], dim=2) / TAU
    terms = []
    for i in range(6):
        others = torch.stack([cosine[i, j] for j in range(6) if j != i])
        terms.append(others.logsumexp(0) - cosine[i, i ^ 1])
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(interaction_nce(u, v, TAU), expected)
    torch.testing.assert_close(interaction_nce(u, u, TAU), info_nce(u, TAU))
    assert interaction_nce(u[:2], v[:2], TAU).item() == 0


def test_modulus_of_the_worked_example() -> None:
    h_x, h_y = torch.tensor([[1, 0], [0.8, 0.6]]), torch.tensor([[0.9, 0.1], [0.6, 0.8]])
    p_x, p_y = torch.tensor([[0.5, 0.5], [0.4, 0.6]]), torch.tensor([[0.5, 0.3], [0.2, 0.6]])
    found = modulus_term(h_x, h_y, p_x, p_y)
    assert found.item() == pytest.approx(0.0602947859, abs=1e-7)
    assert norm_ratio(p_x[:1], p_y[1:]).item() / 2 == pytest.approx(0.1180339887, abs=1e-7)


@pytest.mark.parametrize(
    ("k", "t", "expected"), [(1, 1, 0), (1, 0, 0.7071), (1, -1, 1), (2, 1, 1 / 3)]
)
def test_closed_form_of_the_norm_ratio(k: float, t: float, expected: float) -> None:
    p = torch.tensor([[3.0, 0.0]])
    q = 3 * k * torch.tensor([[t, math.sqrt(1 - t * t)]])
    assert norm_ratio(p, q).item() == pytest.approx(expected, abs=1e-4)
    formula = math.sqrt(1 + k * k - 2 * k * t) / (1 + k)
    assert norm_ratio(p, q).item() == pytest.approx(formula, abs=1e-6)


def test_bounds_of_the_modulus_part() -> None:
    p, q = rows(0, 50), rows(1, 50)
    half = norm_ratio(p, q) / 2
    assert half.min() > 0
    assert half.max() <= 0.5
    assert norm_ratio(p, p).max() == 0
    torch.testing.assert_close(norm_ratio(7 * p, 7 * q), norm_ratio(p, q))
    grown = [norm_ratio(p, factor * p).max().item() for factor in (1, 1.5, 2, 4)]
    assert grown == sorted(grown)
    zero = torch.zeros(1, 8, requires_grad=True)
    norm_ratio(zero, zero).sum().backward()  # type: ignore[no-untyped-call, unused-ignore]
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_modulus_terms_are_never_negative_and_their_sum_ignores_the_order() -> None:
    h, p = (rows(0), rows(1)), (rows(2), rows(3))
    there, back = modulus_term(*h, *p), modulus_term(*h[::-1], *p[::-1])
    assert there >= 0
    assert back >= 0
    assert there != back
    same = interleave(rows(0, 3), rows(0, 3))
    assert modulus_term(same, same, *p).item() == pytest.approx(0, abs=1e-5)
    assert modulus_term(same, same, *p) >= 0


def test_opposite_directions_cost_a_constant_without_gradient() -> None:
    h = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    opposite = torch.tensor([[0.0, 1.0], [-1.0, 0.3]])
    p = rows(0, 2, 2).requires_grad_()
    q = rows(1, 2, 2)
    found = modulus_term(h, opposite, p, q)
    factor = norm_ratio(p[:1], q[1:]).item() / 2
    assert found.item() == pytest.approx(9.2103 * factor, abs=1e-4)
    found.backward()  # type: ignore[no-untyped-call, unused-ignore]
    assert h.grad is None or h.grad.abs().max() == 0
    assert p.grad is not None
    assert p.grad.abs().max() > 0


def test_distillation() -> None:
    teacher, student = rows(0).requires_grad_(), rows(1).requires_grad_()
    expected = (
        0.01 * info_nce(interleave(teacher, student), TAU) + 0.99 * (student - teacher).abs().mean()
    )
    found = distillation_loss(student, teacher, TAU)
    torch.testing.assert_close(found, expected)
    found.backward()  # type: ignore[no-untyped-call, unused-ignore]
    assert teacher.grad is None
    assert student.grad is not None
    equal = distillation_loss(teacher, teacher, TAU)
    torch.testing.assert_close(equal, 0.01 * info_nce(interleave(teacher, teacher), TAU))


def test_the_teacher_is_chosen_by_row_and_is_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny").eval()
    teacher = rows(0, 9, 16)
    loss = TwinDistillation(model, teacher, TAU)
    student = torch.tensor(model.encode(TEXTS))
    expected = distillation_loss(student, teacher[[7, 0, 3]], TAU)
    found = loss([model.preprocess(TEXTS)], torch.tensor([7.0, 0.0, 3.0]))
    torch.testing.assert_close(found, expected)
    assert not any("teacher" in name for name in loss.state_dict())
    with pytest.raises(ValueError, match="the student has 16 dimensions, the teacher 8"):
        TwinDistillation(model, rows(0), TAU)


def test_the_coin_is_fair_and_remembers() -> None:
    tosses = [coin(3, step) for step in range(2000)]
    assert 900 < sum(tosses) < 1100
    assert tosses == [coin(3, step) for step in range(2000)]
    assert tosses != [coin(4, step) for step in range(2000)]


@pytest.fixture
def twin(tmp_path: Path) -> SentenceTransformer:
    """A twin of two random towers, without dropout."""
    pair = []
    for seed in (1, 2):
        transformer = Transformer(str(tiny_bert(tmp_path / "tiny", layers=2)))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in transformer.named_parameters():
                if "pooler" not in name:
                    weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
        pair.append(SentenceTransformer(modules=[transformer, Pooling(16, "cls")], device="cpu"))
    return join_towers(*pair).eval()


def make(twin: SentenceTransformer, **options: Any) -> TwinLoss:
    return TwinLoss(twin, **{"temperature": TAU, "seed": 0, **options})


def test_the_loss_is_the_sum_of_the_terms(twin: SentenceTransformer) -> None:
    views = [twin.preprocess(TEXTS), twin.preprocess([text.upper() for text in TEXTS])]
    loss = make(twin)
    seen = [TwinPass(twin, cross_layers=1)(twin, view) for view in views]
    own: TowerPair = (
        interleave(seen[0].own[0], seen[1].own[0]),
        interleave(seen[0].own[1], seen[1].own[1]),
    )
    assert seen[0].crossed and seen[1].crossed
    crossed: TowerPair = (
        interleave(seen[0].crossed[0], seen[1].crossed[0]),
        interleave(seen[0].crossed[1], seen[1].crossed[1]),
    )
    a, b = (1, 0) if coin(0, 0) else (0, 1)
    p_a, p_b = (pool(tower) for pool, tower in zip(loss.poolers, own, strict=True))
    parts = {
        "nce": info_nce(own[0], TAU) + info_nce(own[1], TAU),
        "cross_layers": interaction_nce(crossed[a], crossed[b], TAU),
        "interaction": interaction_nce(own[a], own[b], TAU),
        "modulus": modulus_term(*own, p_a, p_b) + modulus_term(*own[::-1], p_b, p_a),
    }
    assert min(parts.values()) > 1e-3
    whole = torch.stack([*parts.values()]).sum()
    torch.testing.assert_close(loss(views, None), whole)
    for switch in ("cross_layers", "interaction", "modulus"):
        without = make(twin, **{switch: 0})(views, None)
        torch.testing.assert_close(without, whole - parts[switch])
    bare = make(twin, cross_layers=0, interaction=False, modulus=False)
    torch.testing.assert_close(bare(views, None), parts["nce"])
    assert set(bare.terms(own, None)) == {"nce"}


def test_the_coin_swaps_the_towers_and_steps_count_in_training_only(
    twin: SentenceTransformer,
) -> None:
    loss, own = make(twin, cross_layers=0), (rows(0, 6, 16), rows(1, 6, 16))
    for swapped in (False, True):
        step = next(step for step in range(99) if coin(0, step) == swapped)
        loss.step.fill_(step)
        expected = interaction_nce(*(own[::-1] if swapped else own), TAU)
        torch.testing.assert_close(loss.terms(own, None)["icnce"], expected)
    views = [twin.preprocess(TEXTS)] * 2
    for training in (False, True):
        loss.step.zero_()
        twin.train(training)
        loss(views, None)
        assert int(loss.step) == training
    assert "step" in loss.state_dict()


def test_only_the_modulus_sees_lengths(twin: SentenceTransformer) -> None:
    loss, own = make(twin), (rows(0, 6, 16), rows(1, 6, 16))
    before = loss.terms(own, own)
    after = loss.terms((3 * own[0], own[1]), (3 * own[0], own[1]))
    for name in ("nce", "icnce"):
        torch.testing.assert_close(after[name], before[name])
    assert abs(after["ictm"] - before["ictm"]) > 1e-2 * before["ictm"]


def test_swapping_the_towers_changes_no_symmetric_term(twin: SentenceTransformer) -> None:
    there = make(twin).terms((rows(0, 6, 16), rows(1, 6, 16)), None)
    back = make(join_towers(*towers(twin)[::-1])).terms((rows(1, 6, 16), rows(0, 6, 16)), None)
    for name in ("nce", "ictm"):
        torch.testing.assert_close(there[name], back[name])


def test_own_poolers_only_where_they_were_trained(twin: SentenceTransformer) -> None:
    fresh: Any = make(twin).poolers
    transformers: list[Any] = [tower[0] for tower in towers(twin)]
    owned = [transformer.auto_model.pooler.dense for transformer in transformers]
    assert not any(pool[0] is own for pool, own in zip(fresh, owned, strict=True))
    assert fresh[0][0].weight is not fresh[1][0].weight
    torch.testing.assert_close(fresh[0][0].weight, fresh[1][0].weight)
    for own in owned:
        torch.nn.init.constant_(own.bias, 0.1)
    again: Any = make(twin).poolers
    assert all(pool[0] is own for pool, own in zip(again, owned, strict=True))
