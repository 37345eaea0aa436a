"""SentEval's relatedness probe: softmax over whole scores, fitted to split gold scores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.metrics.pearson import pearson
from bench.tasks.probes.adam import LinearModels, with_ones
from bench.tasks.probes.protocols import one_thread

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
    train: ScoredRows,
    dev: ScoredRows,
    x: NDArray[np.float32],
    classes: int,
    device: str = "cpu",
) -> NDArray[np.float64]:
    """Fit a linear layer and softmax with squared error, and predict the expected score.

    The dev Pearson is checked every 50 epochs; training stops after four checks in total without
    a new best, or after 1000 epochs, and the best copy predicts.

    Args:
        train: Features (n, f) and gold scores (n,) to fit.
        dev: The same to stop on.
        x: Features to predict for, (m, f).
        classes: Largest whole score.
        device: Torch device.

    Returns:
        Scores of shape (m,).
    """
    with one_thread():
        return _predict_scores(train, dev, x, classes, device)


def _predict_scores(
    train: ScoredRows, dev: ScoredRows, x: NDArray[np.float32], classes: int, device: str
) -> NDArray[np.float64]:
    rng = np.random.RandomState(SEED)
    models = LinearModels(x.shape[1], classes, torch.zeros(1), SEED, device)
    features, dev_features = with_ones(train[0], device), with_ones(dev[0], device)
    target = torch.from_numpy(split_scores(train[1], classes)).float().to(device)
    best, kept, failures = -1.0, models.weights.clone(), 0
    for _ in range(MAX_EPOCHS // EPOCHS_PER_CHECK):
        for _ in range(EPOCHS_PER_CHECK):
            _epoch(models, features, target, rng.permutation(len(features)))
        score = pearson(_expected(models.weights, dev_features), dev[1])
        if score > best:
            best, kept = score, models.weights.clone()
            continue
        failures += 1
        if failures >= PATIENCE:
            break
    return _expected(kept, with_ones(x, device))


def _epoch(
    models: LinearModels, x: torch.Tensor, target: torch.Tensor, order: NDArray[np.intp]
) -> None:
    index = torch.from_numpy(order).to(x.device)
    batches = zip(
        torch.split(x[index], BATCH_SIZE), torch.split(target[index], BATCH_SIZE), strict=True
    )
    for features, gold in batches:
        shares = models.logits(features).softmax(-1)
        # Of the mean squared error by the shares, then by the logits.
        error = (shares - gold[:, None]).mul_(shares).mul_(2 / gold.numel())
        models.step(features, error - shares * error.sum(-1, keepdim=True))


def _expected(weights: torch.Tensor, x: torch.Tensor) -> NDArray[np.float64]:
    # How a product is rounded may follow from a row's place: equal rows are multiplied once.
    distinct, place = torch.unique(x, dim=0, return_inverse=True)
    shares = (distinct @ weights[0].T).softmax(-1).double().cpu().numpy()
    return np.asarray((shares @ np.arange(1, shares.shape[1] + 1))[place.cpu().numpy()])
