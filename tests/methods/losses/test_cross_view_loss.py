"""The SCT loss against plain NumPy."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from torch import Tensor

from bench.methods.losses.cross_view import (
    CrossViewLoss,
    CrossViewSettings,
    cross_view_loss,
)
from tests.support.models import tiny_sentence_transformer

Array = NDArray[np.float64]
B, K, U = 5, 12, 16
TAUS: dict[str, Any] = {"tau_ref": 0.1, "tau_on": 0.2}
FIRST = ["a red kettle", "two dogs run", "rain", "the old farm", "dust"]
SECOND = ["the kettle is red", "dogs are running", "it rains", "a farm", "some dust"]


def unit(rows: int, seed: int, width: int = U) -> Tensor:
    """Random unit rows."""
    values = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=1)


@pytest.fixture
def vectors() -> list[Tensor]:
    """z1, z2, r1, r2, d1 and d2."""
    return [unit(rows, seed) for seed, rows in enumerate((B, B, B, B, K, K))]


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model in training mode."""
    return tiny_sentence_transformer(tmp_path / "tiny").train()


def make(model: SentenceTransformer, **options: Any) -> CrossViewLoss:
    """A loss with a queue of 12 rows."""
    given = {"queue_size": K, **TAUS, **options}
    outside = {name: given.pop(name) for name in ("seed", "momentum") if name in given}
    return CrossViewLoss(model, CrossViewSettings(**given), **{"seed": 3, **outside})


def batch(model: SentenceTransformer) -> list[dict[str, Any]]:
    """The tokens of both views."""
    return [model.preprocess(texts) for texts in (FIRST, SECOND)]


def softmax(logits: Array) -> Array:
    """Softmax of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def term(target: Array, student: Array, candidates: Array, kind: str = "kl") -> float:
    """KL divergence or cross entropy of one view, written with sums."""
    p = softmax(target @ candidates.T / TAUS["tau_ref"])
    q = softmax(student @ candidates.T / TAUS["tau_on"])
    rows = -(p * np.log(q)) if kind == "ce" else p * np.log(p / q)
    return float(rows.sum() / len(p))


def expected(vectors: list[Tensor], view: str = "cross", kind: str = "kl") -> float:
    """Equation 2 without its halves."""
    z1, z2, r1, r2, d1, d2 = (tensor.double().numpy() for tensor in vectors)
    first, second = (z2, z1) if view == "cross" else (z1, z2)
    c1, c2 = np.concatenate([d1, r1]), np.concatenate([d2, r2])
    return term(r1, first, c1, kind) + term(r2, second, c2, kind)


@pytest.mark.parametrize("kind", ["kl", "ce"])
@pytest.mark.parametrize("view", ["cross", "identical"])
@pytest.mark.parametrize("rows", [0, 1, K])
def test_equals_numpy(vectors: list[Tensor], kind: Any, view: Any, rows: int) -> None:
    vectors[4:] = [queue[:rows] for queue in vectors[4:]]
    loss = cross_view_loss(*vectors, kind=kind, view=view, **TAUS)
    halved = cross_view_loss(*vectors, kind=kind, view=view, half=True, **TAUS)
    assert loss.item() == pytest.approx(expected(vectors, view, kind), abs=1e-5)
    assert halved.item() == pytest.approx(loss.item() / 2, abs=1e-7)


def test_zero_only_at_equality_and_equal_temperatures(vectors: list[Tensor]) -> None:
    z1, z2, *rest = vectors
    r1, r2 = rest[:2]
    assert cross_view_loss(r2, r1, *rest, tau_ref=0.1, tau_on=0.1).item() == pytest.approx(
        0, abs=1e-6
    )
    assert cross_view_loss(r2, r1, *rest, tau_ref=0.1, tau_on=0.2).item() > 1e-3
    assert cross_view_loss(z1, z2, *rest, tau_ref=0.1, tau_on=0.1).item() > 1e-3


def test_swapping_the_views_with_their_queues_changes_nothing(vectors: list[Tensor]) -> None:
    z1, z2, r1, r2, d1, d2 = vectors
    loss = cross_view_loss(*vectors, **TAUS)
    torch.testing.assert_close(cross_view_loss(z2, z1, r2, r1, d2, d1, **TAUS), loss)
    crossed = cross_view_loss(z1, z2, r1, r2, d2, d1, **TAUS)
    assert abs(crossed.item() - loss.item()) > 1e-3


def test_order_of_queue_and_batch_is_irrelevant(vectors: list[Tensor]) -> None:
    z1, z2, r1, r2, d1, d2 = vectors
    loss = cross_view_loss(*vectors, **TAUS)
    shuffled = cross_view_loss(z1, z2, r1, r2, d1.flip(0), d2[torch.randperm(K)], **TAUS)
    torch.testing.assert_close(shuffled, loss)
    rows = [tensor.flip(0) for tensor in (z1, z2, r1, r2)]
    torch.testing.assert_close(cross_view_loss(*[*rows, d1, d2], **TAUS), loss)


def test_view_2_of_queue_and_reference_reaches_one_term_only(vectors: list[Tensor]) -> None:
    z1, z2, r1, r2, d1, d2 = vectors
    other = [unit(B, 91), unit(K, 92)]
    change = cross_view_loss(z1, z2, r1, other[0], d1, other[1], **TAUS) - cross_view_loss(
        *vectors, **TAUS
    )
    arrays = [tensor.double().numpy() for tensor in (z1, r2, d2, *other)]
    z, r, d, new_r, new_d = arrays
    difference = term(new_r, z, np.concatenate([new_d, new_r])) - term(r, z, np.concatenate([d, r]))
    assert change.item() == pytest.approx(difference, abs=1e-5)
    for tensor in (z1, z2):
        tensor.requires_grad_(True)
    grad1, grad2 = torch.autograd.grad(cross_view_loss(*vectors, **TAUS), (z1, z2))
    changed = cross_view_loss(z1, z2, r1, other[0], d1, other[1], **TAUS)
    new_grad1, new_grad2 = torch.autograd.grad(changed, (z1, z2))
    torch.testing.assert_close(new_grad2, grad2)
    assert not torch.allclose(new_grad1, grad1)


def test_gradient_reaches_online_vectors_only(vectors: list[Tensor]) -> None:
    for tensor in vectors:
        tensor.requires_grad_(True)
    torch.autograd.backward(cross_view_loss(*vectors, **TAUS))
    z1, z2, r1, r2 = vectors[:4]
    assert z1.grad is not None and z2.grad is not None
    assert all(tensor.grad is None for tensor in (r1, r2, *vectors[4:]))


def test_gradient_equals_numpy(vectors: list[Tensor]) -> None:
    vectors[0].requires_grad_(True)
    (gradient,) = torch.autograd.grad(cross_view_loss(*vectors, **TAUS), vectors[0])
    z1, _, _, r2, _, d2 = (tensor.detach().double().numpy() for tensor in vectors)
    candidates = np.concatenate([d2, r2])
    p = softmax(r2 @ candidates.T / TAUS["tau_ref"])
    q = softmax(z1 @ candidates.T / TAUS["tau_on"])
    by_hand = (q - p) @ candidates / TAUS["tau_on"] / B
    np.testing.assert_allclose(gradient.numpy(), by_hand, atol=1e-5)


@pytest.mark.parametrize("tau", [0.01, 0.02])
def test_half_precision_and_low_temperatures_stay_exact(vectors: list[Tensor], tau: float) -> None:
    taus: dict[str, Any] = {"tau_ref": tau, "tau_on": tau}
    exact = cross_view_loss(*vectors, **taus)
    assert torch.isfinite(exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(cross_view_loss(*vectors, **taus), exact)


def test_queues_start_apart_and_by_seed(model: SentenceTransformer) -> None:
    loss, again, other = make(model), make(model), make(model, seed=4)
    assert torch.equal(loss.queue1.rows, again.queue1.rows)
    assert not torch.allclose(loss.queue1.rows, loss.queue2.rows)
    assert not torch.allclose(loss.queue1.rows, other.queue1.rows)
    assert torch.equal(
        loss.projector.get_parameter("0.weight"), again.projector.get_parameter("0.weight")
    )
    assert loss.queue1.rows.dtype == torch.float32
    assert not any(buffer.requires_grad for buffer in loss.buffers())


@pytest.mark.parametrize("shared", [False, True])
def test_queues_can_begin_with_references(model: SentenceTransformer, shared: bool) -> None:
    loss = make(model, shared_queue=shared)
    first, second = 3 * unit(K, 5), 2 * unit(K, 6)
    loss.fill(first, second)
    torch.testing.assert_close(loss.queue1.ordered(), first / 3)
    torch.testing.assert_close(loss.queue2.ordered(), first / 3 if shared else second / 2)


def test_projector_equals_numpy(model: SentenceTransformer) -> None:
    projector = make(model).projector
    state = {name: value.numpy() for name, value in projector.state_dict().items()}
    vectors = unit(B, 0)
    expected = vectors.numpy()
    for block in ("0 2", "3 5", "6 8"):
        wide, narrow = block.split()
        hidden = np.maximum(expected @ state[f"{wide}.weight"].T + state[f"{wide}.bias"], 0)
        expected = hidden @ state[f"{narrow}.weight"].T + state[f"{narrow}.bias"]
    np.testing.assert_allclose(projector(vectors).detach().numpy(), expected, atol=1e-5)


def test_forward_equals_numpy_and_enqueues_afterwards(model: SentenceTransformer) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0
    loss, features = make(model), batch(model)
    before = [loss.queue1.ordered(), loss.queue2.ordered()]
    with torch.no_grad():
        z = [loss.online(view) for view in features]
        r = [torch.from_numpy(model.encode(texts)) for texts in (FIRST, SECOND)]
        r = [rows / rows.norm(dim=1, keepdim=True) for rows in r]
    model.train()
    assert loss(features, None).item() == pytest.approx(expected([*z, *r, *before]), abs=1e-4)
    for queue, old, new in zip((loss.queue1, loss.queue2), before, r, strict=True):
        torch.testing.assert_close(queue.ordered(), torch.cat([old, new])[-K:])


def test_partial_and_oversized_batches(model: SentenceTransformer) -> None:
    loss = make(model, queue_size=4)
    for rows in (3, 2, 7):
        loss.compare(*(unit(rows, seed) for seed in range(4)))
        kept = min(rows, 4)
        torch.testing.assert_close(loss.queue1.ordered()[-kept:], unit(rows, 2)[-kept:])
        torch.testing.assert_close(loss.queue2.ordered()[-kept:], unit(rows, 3)[-kept:])


def test_references_are_frozen_and_unprojected(model: SentenceTransformer) -> None:
    model.eval()
    loss, features = make(model), batch(model)
    torch.autograd.backward(loss(features, None))
    copy = deepcopy(model).requires_grad_(False)
    twin = make(deepcopy(model))
    r1, r2 = (
        torch.nn.functional.normalize(copy(dict(view))["sentence_embedding"]) for view in features
    )
    z1, z2 = (twin.online(view) for view in features)
    torch.autograd.backward(twin.compare(z1, z2, r1, r2))
    for own, other in zip(model.parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_nothing_leaks_through_the_references(model: SentenceTransformer) -> None:
    loss = make(model)
    with torch.no_grad():
        for parameter in loss.projector.parameters():
            parameter.fill_(0.1)
        loss.projector.get_parameter("0.weight").zero_()
    torch.autograd.backward(loss(batch(model), None))
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.abs().max() == 0 for gradient in gradients)


def test_dropout_is_on_in_training_only(model: SentenceTransformer) -> None:
    loss, (view, _) = make(model), batch(model)
    assert not loss.references(view).requires_grad
    assert not torch.allclose(loss.references(view), loss.references(view))
    model.eval()
    torch.testing.assert_close(loss.references(view), loss.references(view))


def test_rows_have_norm_1_in_half_precision_too(model: SentenceTransformer) -> None:
    loss, features = make(model), batch(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = [loss.online(features[0]), loss.references(features[0])]
        torch.autograd.backward(loss(features, None))
    for tensor in (*rows, loss.queue1.rows, loss.queue2.rows):
        norms = np.linalg.norm(tensor.detach().double().numpy(), axis=1)
        np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_evaluation_does_not_enqueue(model: SentenceTransformer) -> None:
    loss, features = make(model), batch(model)
    before = loss.queue1.ordered()
    for evaluated in (loss, model):
        loss.train()
        evaluated.eval()
        loss(features, None)
        assert torch.equal(loss.queue1.ordered(), before)
    loss.train()(features, None)
    assert not torch.equal(loss.queue1.ordered(), before)


SWITCHES = [
    {"view": "identical"},
    {"kind": "ce"},
    {"half": True},
    {"shared_queue": True},
    {"queue_size": 0},
    {"projector": "none"},
    {"projector": "residual"},
    {"tau_ref": 0.3},
    {"tau_on": 0.3},
]


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: next(iter(switch)))
def test_every_switch_changes_the_loss(model: SentenceTransformer, switch: Any) -> None:
    model.eval()
    features = batch(model)
    usual, switched = make(model)(features, None), make(model, **switch)(features, None)
    assert torch.isfinite(switched)
    assert abs(usual.item() - switched.item()) > 1e-6


def test_frozen_queue_keeps_its_rows(model: SentenceTransformer) -> None:
    loss = make(model, frozen_queue=True)
    before = loss.queue1.ordered()
    loss(batch(model), None)
    assert torch.equal(loss.queue1.ordered(), before)


def test_shared_queue_takes_both_views(model: SentenceTransformer) -> None:
    loss = make(model, shared_queue=True)
    r1, r2 = unit(B, 2), unit(B, 3)
    loss.compare(unit(B, 0), unit(B, 1), r1, r2)
    torch.testing.assert_close(loss.queue2.ordered()[-2 * B :], torch.cat([r1, r2]))


def test_momentum_reference_is_a_moving_average(model: SentenceTransformer) -> None:
    loss = make(model, momentum=0.75)
    name = next(name for name, value in model.named_parameters() if value.dim() == 2)
    start = model.get_parameter(name).detach().numpy().copy()
    with torch.no_grad():
        model.get_parameter(name).add_(1)
    torch.autograd.backward(loss(batch(model), None))
    assert loss.reference is not None
    followed = loss.reference.get_parameter(name)
    np.testing.assert_allclose(followed.numpy(), 0.75 * start + 0.25 * (start + 1), atol=1e-6)
    assert all(parameter.grad is None for parameter in loss.reference.parameters())
    features = batch(model)
    with torch.no_grad():
        for parameter in loss.reference.parameters():
            parameter.mul_(1.5)
    loss.eval()
    plain = torch.nn.functional.normalize(model(dict(features[0]))["sentence_embedding"])
    assert not torch.allclose(loss.references(features[0]), plain, atol=1e-4)


def test_kl_and_cross_entropy_train_the_same(model: SentenceTransformer) -> None:
    trained = []
    for kind in ("kl", "ce"):
        loss = make(deepcopy(model), kind=kind)
        optimizer = torch.optim.SGD(loss.parameters(), lr=0.05)
        torch.manual_seed(0)
        for _ in range(4):
            optimizer.zero_grad()
            torch.autograd.backward(loss(batch(model), None))
            optimizer.step()
        trained.append(dict(loss.named_parameters()))
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, atol=1e-6, rtol=0)
    start = dict(model.named_parameters())
    assert any(not torch.equal(trained[0][f"model.{name}"], start[name]) for name in start)


def test_state_is_restored_exactly(model: SentenceTransformer) -> None:
    loss, features = make(model, momentum=0.9), batch(model)
    loss(features, None)
    other = make(deepcopy(model), seed=8, momentum=0.9)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.queue1.ordered(), loss.queue1.ordered())
    loss.eval()
    other.eval()
    assert torch.equal(other(features, None), loss(features, None))
    loss.train()
    other.train()
    for each in (loss, other):
        torch.manual_seed(5)
        each(features, None)
    assert torch.equal(other.queue2.ordered(), loss.queue2.ordered())


def test_model_encodes_without_the_projector(model: SentenceTransformer, tmp_path: Path) -> None:
    loss = make(model)
    with torch.no_grad():
        for parameter in loss.projector.parameters():
            parameter.fill_(7)
    model.save(str(tmp_path / "saved"))
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    tokens = loaded.preprocess(FIRST)
    transformer: Any = loaded[0]
    hidden = transformer.auto_model(**{k: tokens[k] for k in ("input_ids", "attention_mask")})
    states = hidden.last_hidden_state.detach().numpy()
    mask = tokens["attention_mask"].numpy()[:, :, None]
    mean = (states * mask).sum(axis=1) / mask.sum(axis=1)
    np.testing.assert_allclose(loaded.encode(FIRST), mean, atol=1e-5)
