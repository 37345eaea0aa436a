"""SentEval's classifier loop written once more in NumPy, against both probes."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tasks.probes import protocols
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.logistic import Logistic
from bench.tasks.probes.senteval_torch import SentEvalTorch
from tests.tasks.probes.test_protocols import blobs

REGS = (1e-5, 1e-4, 1e-3, 1e-2)


class Adam:
    """Adam with the decay coupled to the gradient, lr 0.001."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value = np.zeros(shape)
        self.first, self.second, self.steps = np.zeros(shape), np.zeros(shape), 0

    def step(self, gradient: np.ndarray, decay: float) -> None:
        gradient = gradient + decay * self.value
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first = self.first / (1 - 0.9**self.steps)
        second = self.second / (1 - 0.999**self.steps)
        self.value = self.value - 0.001 * first / (np.sqrt(second) + 1e-8)


def fit(train: ProbeRows, dev: ProbeRows, classes: int, decay: float):
    """Weights (d + 1, classes) with the best dev accuracy, and that accuracy."""
    rng = np.random.default_rng(1111)
    x = np.hstack([train.x, np.ones((len(train), 1))])
    target = np.eye(classes)[train.y]
    weights = Adam((x.shape[1], classes))
    best, kept, misses, epoch = -1.0, weights.value, 0, 0
    while epoch <= 200:
        for _ in range(4):
            order = rng.permutation(len(train))
            for batch in np.split(order, range(64, len(order), 64)):
                logits = x[batch] @ weights.value
                odds = np.exp(logits - logits.max(axis=1, keepdims=True))
                error = odds / odds.sum(axis=1, keepdims=True) - target[batch]
                weights.step(x[batch].T @ error / len(batch), decay)
        epoch += 4
        accuracy = np.mean(predict(weights.value, dev.x) == dev.y)
        if accuracy > best:
            best, kept = accuracy, weights.value
        elif misses >= 5:
            break
        else:
            misses += 1
    return kept, best


def predict(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (np.hstack([x, np.ones((len(x), 1))]) @ weights).argmax(axis=1)


@pytest.mark.parametrize("probe", [Logistic(), SentEvalTorch(4)], ids=["sk", "torch"])
def test_probes_agree_with_the_replica(probe) -> None:
    train, dev, test = (blobs(n, 4, 1.5, seed) for seed, n in enumerate((3000, 1000, 6000)))
    fits = [fit(train, dev, 4, decay) for decay in REGS]
    weights, _ = max(fits, key=lambda one: one[1])
    replica = np.mean(predict(weights, test.x) == test.y)
    ours = np.mean(protocols.dev_split(train, dev, test.x, probe) == test.y)
    assert 0.6 < replica < 0.95
    assert ours == pytest.approx(replica, abs=0.005)
