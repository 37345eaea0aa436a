"""Dropout schemes: the schedule and where it acts, and the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import Tensor, nn
from torch.nn import functional

from bench.core.errors import DataError
from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.parts.dropout import (
    AdaptiveDropout,
    CurriculumDropout,
    append_adaptive,
    curriculum,
    freeze_adaptive,
    thaw_adaptive,
)
from bench.models.checkpoints import load_folder
from bench.training.heads import append_head
from bench.training.trainer import TrainSettings, train
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.training.test_trainer import Killed, assert_equal_states, context

LAYERS, WIDTH, P = 2, 16, 0.1
SITES = 1 + 3 * LAYERS
TEXTS = ["a red kettle", "two dogs run", "rain", "the old farm"]
LABELS = torch.arange(len(TEXTS))
PAIRS = [(f"the number {i}", f"{i} is a number with {i % 3}") for i in range(20)]
DEV = [
    {"sentence1": one, "sentence2": PAIRS[(i * 7) % 20][1], "score": float(i % 5)}
    for i, (one, _) in enumerate(PAIRS)
]
SETTINGS = TrainSettings(lr=1e-2, epochs=2, batch_size=4, max_seq_length=16, checkpoint_every=3)
WITH_DEV = TrainSettings(lr=1e-2, epochs=2, batch_size=4, max_seq_length=16, dev_every=3)
STEPS = SETTINGS.total_steps(len(PAIRS))
Wrap = Callable[[SentenceTransformer, nn.Module], nn.Module]


def bert(folder: Path, attention: str = "sdpa") -> SentenceTransformer:
    """A random BERT of two layers, in training mode."""
    transformer = Transformer(str(tiny_bert(folder, layers=LAYERS)))
    transformer.model.set_attn_implementation(attention)
    model = SentenceTransformer(modules=[transformer, Pooling(WIDTH, "mean")], device="cpu")
    return model.train()


def in_batch(model: SentenceTransformer) -> InBatchLoss:
    """The loss of SimCSE."""
    return InBatchLoss(model, temperature=0.05, head=False, seed=0)


def dropouts(model: nn.Module) -> list[nn.Dropout]:
    """All dropout modules of a model."""
    return [module for module in model.modules() if isinstance(module, nn.Dropout)]


def step(loss: nn.Module, model: SentenceTransformer) -> Tensor:
    """One forward with two copies of each text."""
    tokens = model.preprocess(TEXTS)
    value: Tensor = loss([tokens, tokens], LABELS)
    return value


@contextmanager
def applied_rates() -> Iterator[list[float]]:
    """Collect the probabilities that torch is told to drop with."""
    rates: list[float] = []
    dropout, attention = functional.dropout, functional.scaled_dot_product_attention

    def count_dropout(x: Tensor, p: float = 0.5, training: bool = True, *rest: Any) -> Tensor:
        if training:
            rates.append(p)
        return dropout(x, p, training, *rest)

    def count_attention(*args: Any, dropout_p: float = 0.0, **kwargs: Any) -> Tensor:
        rates.append(dropout_p)
        return attention(*args, dropout_p=dropout_p, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "dropout", count_dropout)
        patch.setattr(functional, "scaled_dot_product_attention", count_attention)
        yield rates


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


def trained(
    folder: Path,
    wrap: Wrap,
    *,
    settings: TrainSettings = SETTINGS,
    die_at: int | None = None,
    adaptive: bool = False,
) -> tuple[SentenceTransformer, nn.Module]:
    """Train a random BERT; returns it and its loss."""
    folder.mkdir(exist_ok=True)
    model = tiny_sentence_transformer(folder / "tiny")
    if adaptive:
        append_adaptive(model, 5)
    loss = wrap(model, in_batch(model))
    train(model, loss, PAIRS, settings, context(folder, die_at), DEV)
    return model, loss


def rising(model: SentenceTransformer, loss: nn.Module) -> CurriculumDropout:
    """The loss with the schedule."""
    return CurriculumDropout(model, loss, STEPS)


def plain(model: SentenceTransformer, loss: nn.Module) -> nn.Module:
    """The loss without any scheme."""
    return loss


def test_steps_of_a_training_are_those_of_the_schedule(tmp_path: Path) -> None:
    rates: list[float] = []

    def watched(model: SentenceTransformer, loss: nn.Module) -> CurriculumDropout:
        loss.register_forward_pre_hook(lambda *_: rates.append(dropouts(model)[0].p))
        return rising(model, loss)

    _, loss = trained(tmp_path, watched, settings=WITH_DEV)
    assert rates == [curriculum(t, STEPS, P) for t in range(STEPS)]
    assert isinstance(loss, CurriculumDropout) and int(loss.step) == STEPS


# Step 5 ends an epoch, 7 is between checkpoints of the second one.
@pytest.mark.parametrize("die_at", [5, 7])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, die_at: int) -> None:
    whole, scheduled = trained(tmp_path / "whole", rising)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", rising, die_at=die_at)
    resumed, schedule = trained(tmp_path / "killed", rising)
    assert_equal_states(whole, resumed)
    assert int(schedule.step) == int(scheduled.step) == STEPS


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


def gate(width: int = WIDTH, p: float = P, std: float | None = None) -> AdaptiveDropout:
    """A gate in training mode, with weights of another standard deviation if given."""
    module = AdaptiveDropout(width, p, seed=1).train()
    if std is not None:
        torch.manual_seed(2)
        nn.init.normal_(module.linear.weight, std=std)
    return module


def adaptive_model(folder: Path) -> SentenceTransformer:
    """A random BERT with a gate that is far from its start, for inference."""
    model = tiny_sentence_transformer(folder)
    append_adaptive(model, 5, p=0.3)
    nn.init.normal_(model[-1].linear.weight, std=1.0)
    return model.eval()


def gated(module: nn.Module, vectors: Tensor) -> Tensor:
    """Vectors behind the gate."""
    result: Tensor = module({"sentence_embedding": vectors})["sentence_embedding"]
    return result


@pytest.mark.parametrize("p", [0.1, 0.3])
def test_without_weights_the_rate_is_p(p: float) -> None:
    draws = 200_000
    torch.manual_seed(0)
    result = gated(gate(p=p, std=0), torch.ones(draws, WIDTH))
    dropped = (result == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=3 * math.sqrt(p * (1 - p) / (draws * WIDTH)))
    torch.testing.assert_close(result.max().item(), 1 / (1 - p))
    assert result.mean().item() == pytest.approx(1, abs=0.002)


def test_rate_of_a_unit_follows_its_weights() -> None:
    module = gate(std=0.5)
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(3))
    keep = torch.sigmoid(module.linear.weight @ vector + module.linear.bias).detach()
    draws = 40_000
    torch.manual_seed(0)
    result = gated(module, vector.expand(draws, WIDTH)).detach()
    kept = (result != 0).float().mean(dim=0)
    errors = (keep * (1 - keep) / draws).sqrt()
    assert ((kept - keep).abs() < 4 * errors).all()
    assert keep.max() - keep.min() > 0.2
    expected = torch.where(result != 0, vector / keep.mean(), torch.tensor(0.0))
    torch.testing.assert_close(result, expected)


def test_inference_is_the_expectation_and_independent_of_the_batch() -> None:
    module = gate(std=0.5).eval()
    vectors = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(3))
    keep = torch.sigmoid(vectors @ module.linear.weight.T + module.linear.bias)
    result = gated(module, vectors)
    torch.testing.assert_close(result, vectors * keep / keep.mean(dim=1, keepdim=True))
    assert torch.equal(result, gated(module, vectors))
    torch.testing.assert_close(gated(module, vectors[2:3]), result[2:3])


def test_gradient_is_straight_through() -> None:
    module = gate(std=0.5)
    vectors = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(3))
    direction = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(4))
    torch.manual_seed(0)
    torch.autograd.backward((gated(module, vectors) * direction).sum())
    with torch.no_grad():
        keep = torch.sigmoid(module.linear(vectors))
        slope = direction * vectors / keep.mean(dim=1, keepdim=True) * keep * (1 - keep)
    torch.testing.assert_close(module.linear.weight.grad, slope.T @ vectors)
    torch.testing.assert_close(module.linear.bias.grad, slope.sum(dim=0))


def test_gradient_of_the_loss_reaches_the_gate(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path).train()
    append_adaptive(model, 5)
    model.train()
    torch.autograd.backward(step(in_batch(model), model))
    for parameter in model[-1].parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0


def test_parameters_and_start(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path)
    before = sum(parameter.numel() for parameter in model.parameters())
    append_adaptive(model, 5, p=0.2)
    after = sum(parameter.numel() for parameter in model.parameters())
    assert after - before == WIDTH**2 + WIDTH
    weight, bias = model[-1].linear.weight, model[-1].linear.bias
    assert weight.std().item() == pytest.approx(0.02, rel=0.2)
    torch.testing.assert_close(torch.sigmoid(bias), torch.full((WIDTH,), 0.8))
    assert model.get_embedding_dimension() == WIDTH
    assert torch.equal(weight, AdaptiveDropout(WIDTH, 0.2, seed=5).linear.weight)
    assert not torch.equal(weight, AdaptiveDropout(WIDTH, 0.2, seed=6).linear.weight)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1])
def test_a_rate_that_is_none_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        AdaptiveDropout(WIDTH, p)


def test_half_precision_keeps_the_rate() -> None:
    vectors = torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    expected = gated(gate(std=0.5), vectors)
    torch.manual_seed(0)
    module = gate(std=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(gated(module, vectors), expected)


def test_gate_saved_and_loaded(tmp_path: Path) -> None:
    model = adaptive_model(tmp_path / "tiny")
    vectors = model.encode(TEXTS)
    np.testing.assert_array_equal(vectors, model.encode(TEXTS))
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = SentenceTransformer(
        str(tmp_path / "saved"), device="cpu", trust_remote_code=True, local_files_only=True
    )
    assert isinstance(loaded[-1], AdaptiveDropout) and loaded[-1].p == 0.3
    np.testing.assert_array_equal(loaded.encode(TEXTS), vectors)
    with pytest.raises(DataError, match="AdaptiveDropout"):
        load_folder(tmp_path / "saved", "cpu")


def test_frozen_gate_loads_without_trust_and_keeps_cosines(tmp_path: Path) -> None:
    model = adaptive_model(tmp_path / "tiny")
    before = model.encode(TEXTS)
    freeze_adaptive(model)
    after = model.encode(TEXTS)
    factors = after / before
    np.testing.assert_allclose(factors, factors[:, :1].repeat(WIDTH, axis=1), rtol=1e-5)
    assert (factors > 0).all() and factors.std() > 0
    assert model.get_embedding_dimension() == WIDTH
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = load_folder(tmp_path / "saved", "cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), after)


def test_frozen_gate_without_weights_gives_the_same_vectors(tmp_path: Path) -> None:
    model = adaptive_model(tmp_path / "tiny")
    nn.init.zeros_(model[-1].linear.weight)
    before = model.encode(TEXTS)
    freeze_adaptive(model)
    np.testing.assert_allclose(model.encode(TEXTS), before, rtol=1e-5)


def test_frozen_gate_thaws_after_loading(tmp_path: Path) -> None:
    model = adaptive_model(tmp_path / "tiny")
    before, gate_before = model.encode(TEXTS), model[-1]
    freeze_adaptive(model)
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = load_folder(tmp_path / "saved", "cpu")
    thaw_adaptive(loaded)
    assert len(loaded) == 3
    assert_equal_states(loaded[-1], gate_before)
    assert loaded[-1].p == pytest.approx(0.3, abs=1e-6)
    np.testing.assert_array_equal(loaded.encode(TEXTS), before)
    loss = in_batch(loaded.train())
    assert not torch.equal(step(loss, loaded), step(loss, loaded))


def test_other_modules_are_neither_frozen_nor_thawed(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    with pytest.raises(TypeError, match="Pooling"):
        freeze_adaptive(model)
    with pytest.raises(TypeError, match="frozen"):
        thaw_adaptive(model)
    append_head(model, 0)
    append_head(model, 0)
    with pytest.raises(TypeError, match="frozen"):
        thaw_adaptive(model)
    assert len(model) == 4


def test_training_with_a_gate_resumes_and_keeps_the_best_weights(tmp_path: Path) -> None:
    whole, _ = trained(tmp_path / "whole", plain, settings=WITH_DEV, adaptive=True)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", plain, settings=WITH_DEV, adaptive=True, die_at=7)
    resumed, _ = trained(tmp_path / "killed", plain, settings=WITH_DEV, adaptive=True)
    assert_equal_states(whole, resumed)
    scores = json.loads((tmp_path / "whole" / "work" / "training.json").read_text())["dev"]
    best = max(entry["spearman"] for entry in scores)
    assert best > scores[-1]["spearman"]
    columns = [[row[name] for row in DEV] for name in ("sentence1", "sentence2", "score")]
    evaluator = EmbeddingSimilarityEvaluator(*columns, write_csv=False)
    assert evaluator(whole)["spearman_cosine"] == pytest.approx(best, abs=1e-6)
