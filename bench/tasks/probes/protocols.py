"""How probes are fitted and scored: SentEval's three protocols and MTEB's few-shot experiments.

All are deterministic and independent of the number of threads.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from bench.tasks.probes.base import (
    ClassNumbers,
    FeatureMatrix,
    FoldRows,
    FoldsProbe,
    Probe,
    ProbeRows,
)

SENTEVAL_SEED = 1111
MTEB_SEED = 42
MTEB_MAX_ITER = 100


def nested_folds(
    data: ProbeRows, probe: Probe, folds: int
) -> tuple[ClassNumbers, NDArray[np.intp]]:
    """Predict every row once, by a probe fitted and regularised on the other folds.

    Args:
        data: All rows.
        probe: Probe.
        folds: Number of folds, outer and inner.

    Returns:
        Predictions of shape (n,) and the outer fold of each row, (n,).
    """
    with one_thread():
        (x,) = probe.prepared([data.x])
    data = ProbeRows(x, data.y)
    outer = _split(data.y, folds)
    by_fold = _predictions(data, outer, probe, _best_by_inner_folds(data, outer, probe, folds))
    predicted = np.empty(len(data), dtype=np.int64)
    fold = np.empty(len(data), dtype=np.intp)
    for number, ((_, test), labels) in enumerate(zip(outer, by_fold, strict=True)):
        predicted[test], fold[test] = labels, number
    return predicted, fold


def _best_by_inner_folds(
    data: ProbeRows, outer: Sequence[FoldRows], probe: Probe, folds: int
) -> Sequence[float]:
    """The regularisation of each outer fold that does best on folds of its training rows."""
    if len(probe.grid) == 1:
        return [probe.grid[0]] * len(outer)
    inner = [
        (train[fit], train[check])
        for train, _ in outer
        for fit, check in _split(data.y[train], folds)
    ]
    paths = _paths(data, inner, probe, probe.grid)
    return [
        _best(probe.grid, paths[first : first + folds]) for first in range(0, len(inner), folds)
    ]


def cross_validated(train: ProbeRows, x: FeatureMatrix, probe: Probe, folds: int) -> ClassNumbers:
    """Choose the regularisation by folds of the training rows, and predict the test rows."""
    with one_thread():
        prepared, x = probe.prepared([train.x, x])
    train = ProbeRows(prepared, train.y)
    best = best_by_folds(train, probe, folds)
    with one_thread():
        return probe.predict(train, None, best, x)


def dev_split(train: ProbeRows, dev: ProbeRows, x: FeatureMatrix, probe: Probe) -> ClassNumbers:
    """Choose the regularisation on the dev rows, and predict the test rows."""
    with one_thread():
        *prepared, x = probe.prepared([train.x, dev.x, x])
        train, dev = ProbeRows(prepared[0], train.y), ProbeRows(prepared[1], dev.y)
        return probe.predict(train, dev, best_by_dev(train, dev, probe), x)


def best_by_folds(train: ProbeRows, probe: Probe, folds: int) -> float:
    """The regularisation that does best on folds of prepared training rows."""
    grid = probe.grid_cross_validated
    if len(grid) == 1:
        return grid[0]
    return _best(grid, _paths(train, _split(train.y, folds), probe, grid))


def best_by_dev(train: ProbeRows, dev: ProbeRows, probe: Probe) -> float:
    """The regularisation that does best on prepared dev rows."""
    if len(probe.grid) == 1:
        return probe.grid[0]
    return _best(probe.grid, [probe.path(train, dev, probe.grid)])


def _best(grid: Sequence[float], accuracies: Sequence[NDArray[np.float64]]) -> float:
    return grid[int(np.argmax(np.mean(accuracies, axis=0)))]


def _paths(
    rows: ProbeRows, splits: Sequence[FoldRows], probe: Probe, grid: Sequence[float]
) -> Sequence[NDArray[np.float64]]:
    """Accuracies of each split for each value of a grid, each (G,)."""
    if isinstance(probe, FoldsProbe):
        return [*probe.paths(rows, splits, grid)]
    return _parallel(_path, [(rows, fit, held, probe, grid) for fit, held in splits])


def _path(
    rows: ProbeRows,
    fit: NDArray[np.intp],
    held: NDArray[np.intp],
    probe: Probe,
    grid: Sequence[float],
) -> NDArray[np.float64]:
    return probe.path(rows.take(fit), rows.take(held), grid)


def _predictions(
    rows: ProbeRows, splits: Sequence[FoldRows], probe: Probe, values: Sequence[float]
) -> Sequence[ClassNumbers]:
    """Classes of the held-out rows of each split, each fitted with a value of its own."""
    if isinstance(probe, FoldsProbe):
        return probe.predictions(rows, splits, values)
    jobs = [(rows, *split, probe, value) for split, value in zip(splits, values, strict=True)]
    return _parallel(_prediction, jobs)


def _prediction(
    rows: ProbeRows,
    fit: NDArray[np.intp],
    held: NDArray[np.intp],
    probe: Probe,
    value: float,
) -> ClassNumbers:
    return probe.predict(rows.take(fit), None, value, rows.x[held])


def few_shot_rows(labels: Sequence[Any], per_label: int, experiments: int) -> list[list[int]]:
    """Training rows of each of MTEB's experiments.

    Each experiment shuffles anew with the same seed, but what the one before left: the same
    permutation, composed once more.

    Args:
        labels: Label of each training row.
        per_label: Rows of each label to take, fewer where there are fewer.
        experiments: Number of experiments.
    """
    order = list(range(len(labels)))
    drawn = []
    for _ in range(experiments):
        np.random.RandomState(MTEB_SEED).shuffle(order)
        taken: dict[Any, int] = {}
        rows = []
        for row in order:
            if taken.get(labels[row], 0) < per_label:
                rows.append(row)
                taken[labels[row]] = taken.get(labels[row], 0) + 1
        drawn.append(rows)
    return drawn


def few_shot(
    train: ProbeRows, x: FeatureMatrix, experiments: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Predict the test rows in each of MTEB's experiments: shape (experiments, n)."""
    parts = [train.take(np.array(rows)) for rows in experiments]
    return np.array(_parallel(_few_shot_once, [(part, x) for part in parts]))


def _few_shot_once(train: ProbeRows, x: FeatureMatrix) -> ClassNumbers:
    model = LogisticRegression(max_iter=MTEB_MAX_ITER, random_state=MTEB_SEED)
    return np.asarray(model.fit(train.x, train.y).predict(x), dtype=np.int64)


def first_fold(labels: ClassNumbers, folds: int) -> NDArray[np.intp]:
    """Rows that the first of ``nested_folds`` trains on.

    Raises:
        ValueError: There are fewer rows of every class than folds.
    """
    return _split(labels, folds)[0][0]


def _split(labels: ClassNumbers, folds: int) -> list[FoldRows]:
    splitter = StratifiedKFold(folds, shuffle=True, random_state=SENTEVAL_SEED)
    with warnings.catch_warnings():
        # A class with fewer rows than folds is missing from some of them, here as in SentEval.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(np.zeros(len(labels)), labels))


def one_thread() -> AbstractContextManager[object]:
    """Leave linear algebra one thread.

    The steps of probes are so small that threads wait for each other, and the last digits of a
    product depend on their number.
    """
    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def _parallel(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run jobs in threads.

    Processes would each spend seconds on imports and on copies of the rows; most of a fit is spent
    in libraries that let other threads run.
    """
    threads = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, 8)
    with one_thread(), warnings.catch_warnings():
        # MTEB's protocol stops at 100 iterations, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        parallel = Parallel(n_jobs=threads, backend="threading")
        return list(parallel(delayed(function)(*job) for job in jobs))
