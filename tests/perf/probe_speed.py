"""Time our probes against their plain forms on the same rows, in turns on one thread.

    python tests/perf/probe_speed.py

Nested folds of logistic regression against scikit-learn's, each fit started at the one before, and
SentEval's loop over its grid against ``torch.nn`` and ``torch.optim``. Prints CPU seconds of both,
medians of three turns, the ratio and its limit. The exit code is 0 only where every ratio is at
its limit or above, and both are right about as many rows, give or take 1%: with its default
tolerance scikit-learn stops short of the optimum, and then may choose another C.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from bench.tasks.probes import protocols
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.logistic import Logistic
from bench.tasks.probes.senteval_torch import SentEvalTorch

TURNS, CLASSES = 3, 3


def make(n: int, d: int, seed: int) -> ProbeRows:
    """Rows of length 1 around a centre for each class, of features that vary less and less."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    centres = np.random.default_rng(99).normal(size=(CLASSES, d))
    x = 1 + (centres[y] + 8 * rng.normal(size=(n, d))) * np.geomspace(1, 0.05, d)
    return ProbeRows((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y)


class PlainLogistic(Logistic):
    """Scikit-learn's model on rows as they are."""

    def prepared(self, parts):
        """Leave rows as they are."""
        return parts

    def path(self, train, dev, grid):
        """Accuracy on the dev rows for each C."""
        model = LogisticRegression(max_iter=1000, warm_start=True)
        fits = (model.set_params(C=c).fit(train.x, train.y) for c in grid)
        return np.array([fit.score(dev.x, dev.y) for fit in fits])

    def predict(self, train, dev, value, x):
        """Fit on the training rows, and predict."""
        return LogisticRegression(C=value, max_iter=1000).fit(train.x, train.y).predict(x)


def nested(probe: Logistic, rows: ProbeRows) -> float:
    """Rows that nested folds get right."""
    return float(np.sum(protocols.nested_folds(rows, probe, 5)[0] == rows.y))


def senteval(train: ProbeRows, dev: ProbeRows) -> float:
    """Most dev rows that any weight decay gets right."""
    probe = SentEvalTorch(CLASSES)
    return float(probe.path(train, dev, probe.grid).max() * len(dev))


def plain_senteval(train: ProbeRows, dev: ProbeRows) -> float:
    """The same, one model after the other."""
    return max(plain_decay(train, dev, decay) for decay in SentEvalTorch(CLASSES).grid)


def plain_decay(train: ProbeRows, dev: ProbeRows, decay: float) -> float:
    """Most dev rows that a weight decay gets right, by torch's own layer and optimiser."""
    torch.manual_seed(1111)
    rng, model = np.random.RandomState(1111), nn.Linear(train.x.shape[1], CLASSES)
    adam = torch.optim.Adam(model.parameters(), weight_decay=decay)
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    best, failures, epoch = -1, 0, 0
    while epoch <= 200 and failures < 6:
        for _ in range(4):
            for batch in torch.from_numpy(rng.permutation(len(y))).split(64):
                adam.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                adam.step()
        epoch += 4
        right = int((model(torch.from_numpy(dev.x)).argmax(1).numpy() == dev.y).sum())
        failures += right <= best
        best = max(best, right)
    return best


def timed(call: Callable[[], float]) -> tuple[float, float]:
    """CPU seconds, and rows that are right."""
    started = time.process_time()
    with protocols.one_thread():
        right = call()
    return time.process_time() - started, right


def compare(name: str, ours: Callable[[], float], peer: Callable[[], float], limit: float) -> bool:
    """Print a line; whether the ratio is at its limit or above, and both are right alike."""
    turns = [(timed(ours), timed(peer)) for _ in range(TURNS)]
    own, other = (statistics.median(turn[side][0] for turn in turns) for side in (0, 1))
    right = turns[0][0][1], turns[0][1][1]
    print(
        f"{name:24} ours {own:6.2f} s, peer {other:6.2f} s, ratio {other / own:5.1f} "
        f"(limit {limit}), right {right[0]:.0f} and {right[1]:.0f}",
        flush=True,
    )
    return other / own >= limit and abs(right[0] - right[1]) <= 0.01 * max(right)


def main() -> int:
    """Compare both kinds of probe."""
    few, many, train, dev = (
        make(240, 1536, 0),
        make(1500, 384, 1),
        make(900, 64, 2),
        make(300, 64, 3),
    )
    alike = [
        compare(
            f"logistic {len(rows)} x {rows.x.shape[1]}",
            partial(nested, Logistic(), rows),
            partial(nested, PlainLogistic(), rows),
            limit,
        )
        for rows, limit in ((few, 2.5), (many, 1.5))
    ]
    ours, peer = partial(senteval, train, dev), partial(plain_senteval, train, dev)
    alike.append(compare("SentEval's loop", ours, peer, 4.0))
    return 0 if all(alike) else 1


if __name__ == "__main__":
    sys.exit(main())
