"""Dropout by a gate: its rates, its gradient, and what is kept of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from torch import Tensor, nn

from bench.core.errors import DataError
from bench.methods.parts.dropout import (
    AdaptiveDropout,
    append_adaptive,
    freeze_adaptive,
    thaw_adaptive,
)
from bench.models.checkpoints import load_folder
from bench.training.heads import append_head
from tests.support.dropout import (
    DEV,
    TEXTS,
    WIDTH,
    WITH_DEV,
    P,
    in_batch,
    plain,
    step,
    trained,
)
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import Killed, assert_equal_states


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


@pytest.mark.nightly
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
