"""Linear models that are trained together, against torch's own layer, optimiser and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from bench.metrics.pearson import pearson
from bench.tasks.probes import senteval_relatedness
from bench.tasks.probes.adam import LinearModels, with_ones
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.protocols import one_thread
from bench.tasks.probes.senteval_relatedness import predict_scores, split_scores
from bench.tasks.probes.senteval_torch import SentEvalTorch
from tests.tasks.probes.test_protocols import blobs

CHECKS = 12
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Plain:
    """One model in plain torch, whose batches come from a stream of permutations."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, classes: int, decay: float) -> None:
        torch.manual_seed(1111)
        self._x, self._y = x, y
        self.model = nn.Linear(x.shape[1], classes)
        self._adam = torch.optim.Adam(self.model.parameters(), weight_decay=decay)

    def epoch(self, rng: np.random.RandomState, loss: Loss) -> None:
        order = torch.from_numpy(rng.permutation(len(self._x)))
        for batch in order.split(64):
            self._adam.zero_grad()
            loss(self.model(self._x[batch]), self._y[batch]).backward()
            self._adam.step()

    def outputs(self, x: np.ndarray) -> torch.Tensor:
        return self.model(torch.from_numpy(x)).detach()


def plain_accuracy(train: ProbeRows, dev: ProbeRows, decay: float) -> float:
    """Best dev accuracy of one weight decay, by SentEval's loop."""
    one = Plain(torch.from_numpy(train.x), torch.from_numpy(train.y), 4, decay)
    rng, best, failures = np.random.RandomState(1111), -1.0, 0
    for _ in range(CHECKS):
        for _ in range(4):
            one.epoch(rng, nn.functional.cross_entropy)
        accuracy = float(np.mean(one.outputs(dev.x).argmax(1).numpy() == dev.y))
        if accuracy <= best:
            failures += 1
            if failures > 5:
                break
        best = max(accuracy, best)
    return best


def test_models_of_a_grid_are_those_that_torch_trains_one_by_one() -> None:
    train, dev = blobs(300, 4, 1.5), blobs(500, 4, 1.5, seed=1)
    # Decays so far apart that they stop at different checks.
    grid = (1e-5, 1e-2, 1.0, 10.0)
    with one_thread():
        found = SentEvalTorch(4, max_epoch=4 * CHECKS - 4).path(train, dev, grid)
        expected = [plain_accuracy(train, dev, decay) for decay in grid]
    assert len(set(expected)) > 2
    np.testing.assert_allclose(found, expected, atol=1 / 500 + 1e-9)


def test_relatedness_is_what_torch_finds(monkeypatch) -> None:
    monkeypatch.setattr(senteval_relatedness, "MAX_EPOCHS", 100)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(330, 12)).astype(np.float32)
    gold = np.clip(3 + x[:, 0] + 0.3 * rng.normal(size=330), 1, 5)
    found = predict_scores((x[:150], gold[:150]), (x[150:230], gold[150:230]), x[230:], 5)

    target = torch.from_numpy(split_scores(gold[:150], 5)).float()
    one, order = Plain(torch.from_numpy(x[:150]), target, 5, 0.0), np.random.RandomState(1111)
    whole = np.arange(1, 6)
    checks = []
    for _ in range(2):
        with one_thread():
            for _ in range(50):
                one.epoch(order, lambda out, y: nn.functional.mse_loss(out.softmax(-1), y))
        scores = one.outputs(x[150:]).softmax(-1).double().numpy() @ whole
        checks.append((pearson(scores[:80], gold[150:230]), scores[80:]))
    np.testing.assert_allclose(found, max(checks, key=lambda one: one[0])[1], atol=1e-4)


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SentEvalTorch(4).predict(blobs(40, 4, 1.0), None, 1e-3, blobs(4, 4, 1.0).x)
    assert torch.equal(torch.rand(3), expected)


def test_no_epoch_mixes_devices() -> None:
    # Numbers of this device have no values, but operations refuse those of another device.
    x = with_ones(np.zeros((70, 5), np.float32), "meta")
    models = LinearModels(5, 3, torch.tensor([0.1, 0.2]), 0, "meta")
    order, gold = np.arange(70), torch.zeros(70, 3, device="meta")
    SentEvalTorch(3, device="meta")._epoch(models, x, gold, order)
    senteval_relatedness._epoch(models, x, gold, order)
    models.keep(torch.tensor([True, False]))
    assert models.weights.device.type == models.logits(x).device.type == "meta"
