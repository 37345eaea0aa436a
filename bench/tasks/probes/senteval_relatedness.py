"""SentEval's relatedness probe: softmax over whole scores, fitted to split gold scores."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.metrics.pearson import pearson

SEED = 1111
BATCH_SIZE = 64
EPOCHS_PER_CHECK = 50
MAX_EPOCHS = 1000
PATIENCE = 4

ScoredRows = tuple[NDArray[np.float32], NDArray[np.float64]]


def split_scores(scores: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Share each gold score between the whole scores around it (Tai et al., ACL 2015).

    A score y in [1, classes] gives floor(y) + 1 − y to floor(y) and the rest to floor(y) + 1.
    Scores below 1 lose the mass that would go to 0, as in SentEval.

    Args:
        scores: Gold scores of shape (n,).
        classes: Largest whole score.

    Returns:
        Shares of shape (n, classes), of the whole scores 1 to ``classes``.
    """
    whole = np.arange(1, classes + 1)
    return np.asarray(np.clip(1 - np.abs(scores[:, None] - whole[None, :]), 0, 1))


def predict_scores(
    train: ScoredRows, dev: ScoredRows, x: NDArray[np.float32], classes: int
) -> NDArray[np.float64]:
    """Fit a linear layer and softmax with squared error, and predict the expected score.

    The dev Pearson is checked every 50 epochs; training stops after four checks in total without
    a new best, or after 1000 epochs, and the best copy predicts.

    Args:
        train: Features (n, f) and gold scores (n,) to fit.
        dev: The same to stop on.
        x: Features to predict for, (m, f).
        classes: Largest whole score.

    Returns:
        Scores of shape (m,).
    """
    rng = np.random.RandomState(SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = nn.Sequential(nn.Linear(x.shape[1], classes), nn.Softmax(dim=-1))
    optimizer = torch.optim.Adam(model.parameters())
    features = torch.from_numpy(train[0])
    target = torch.from_numpy(split_scores(train[1], classes)).float()
    best, best_model, failures = -1.0, deepcopy(model), 0
    for _ in range(MAX_EPOCHS // EPOCHS_PER_CHECK):
        for _ in range(EPOCHS_PER_CHECK):
            _epoch(model, optimizer, features, target, rng.permutation(len(features)))
        score = pearson(_expected(model, dev[0], classes), dev[1])
        if score > best:
            best, best_model = score, deepcopy(model)
            continue
        failures += 1
        if failures >= PATIENCE:
            break
    return _expected(best_model, x, classes)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    target: torch.Tensor,
    order: NDArray[np.intp],
) -> None:
    for batch in torch.split(torch.from_numpy(order), BATCH_SIZE):
        loss = nn.functional.mse_loss(model(x[batch]), target[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()


def _expected(model: nn.Module, x: NDArray[np.float32], classes: int) -> NDArray[np.float64]:
    with torch.no_grad():
        shares = model(torch.from_numpy(x)).double().numpy()
    return np.asarray(shares @ np.arange(1, classes + 1))
