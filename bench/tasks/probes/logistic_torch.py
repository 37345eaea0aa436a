"""The same logistic regression in torch, for GPUs: all folds and all C of a task at once.

Fits of one task differ in the rows that count and in the penalty. So the rows are multiplied once
in a step for all of them, each fit with a mask over the rows. Rows lie on the device in float32,
all else is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.tasks.probes.base import FeatureMatrix, FoldRows, ProbeRows
from bench.tasks.probes.lbfgs import minimize_all
from bench.tasks.probes.logistic import CURVATURE, MAX_ITER, MEMORY, Logistic, LogisticModel

# Of the scaled gradient, as on the CPU, where it stops at 1e-4 for the sake of speed.
TOLERANCE = 1e-6
# Numbers in the logits of a block of rows, and in the weights of fits that run together.
BLOCK, TOGETHER = 2**24, 2**24


class TorchLogistic(Logistic):
    """Multinomial logistic regression with SentEval's grids of C, on a device with float64.

    Args:
        device: Torch device.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Turn rows to the principal axes of the first part."""
        first, *others = (
            torch.from_numpy((part - parts[0].mean(axis=0, dtype=np.float64)).astype(np.float32))
            for part in parts
        )
        first = first.to(self._device)
        axes = torch.eye(first.shape[1], device=self._device)
        if len(first) < first.shape[1]:
            axes = torch.linalg.qr(first.T)[0]
            first = first @ axes
        turn = torch.linalg.eigh((first.T @ first).double())[1].float()
        turned = [first @ turn, *(part.to(self._device) @ (axes @ turn) for part in others)]
        return [part.cpu().numpy() for part in turned]

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Accuracy on the dev rows for each C."""
        models = _fit_all(train, [_everything(train)], [_Fit(0, c) for c in grid], self._device)
        return np.array([np.mean(model.predict(dev.x) == dev.y) for model in models])

    def fit(self, train: ProbeRows, value: float) -> LogisticModel:
        """Fit with one C."""
        return _fit_all(train, [_everything(train)], [_Fit(0, value)], self._device)[0]

    def paths(
        self, rows: ProbeRows, splits: Sequence[FoldRows], grid: Sequence[float]
    ) -> NDArray[np.float64]:
        """Accuracy on the held-out rows of each split for each C, (splits, G)."""
        fits = [_Fit(number, c) for number in range(len(splits)) for c in grid]
        models = iter(_fit_all(rows, [fit for fit, _ in splits], fits, self._device))
        held = [rows.take(held) for _, held in splits]
        return np.array(
            [[np.mean(next(models).predict(part.x) == part.y) for _ in grid] for part in held]
        )

    def predictions(
        self, rows: ProbeRows, splits: Sequence[FoldRows], values: Sequence[float]
    ) -> list[NDArray[np.int64]]:
        """Fit each split with a C of its own, and predict its held-out rows."""
        fits = [_Fit(number, c) for number, c in enumerate(values)]
        models = _fit_all(rows, [fit for fit, _ in splits], fits, self._device)
        return [
            model.predict(rows.x[held]) for model, (_, held) in zip(models, splits, strict=True)
        ]


class _Fit(NamedTuple):
    """A model to fit: on which set of rows, and with which C."""

    rows: int
    c: float


def _everything(rows: ProbeRows) -> NDArray[np.intp]:
    return np.arange(len(rows))


def _fit_all(
    rows: ProbeRows, sets: Sequence[NDArray[np.intp]], fits: Sequence[_Fit], device: str
) -> list[LogisticModel]:
    """Fit models, as many together as have room.

    Args:
        rows: All rows.
        sets: Places of the rows of some fits.
        fits: The fits.
        device: Torch device.

    Raises:
        ValueError: The rows of a fit are of one class, or have features that are not finite.
    """
    classes, numbers = np.unique(rows.y, return_inverse=True)
    shared = _Rows(rows.x, numbers, len(classes), sets, device)
    size = max(1, TOGETHER // (len(classes) * (rows.x.shape[1] + 1)))
    models: list[LogisticModel] = []
    for first in range(0, len(fits), size):
        part = fits[first : first + size]
        weights = _Problems(shared, part).minimized().cpu().numpy()
        for fit, own in zip(part, weights, strict=True):
            present = shared.present[fit.rows].cpu().numpy()
            free = shared.free[fit.rows].cpu().numpy()
            models.append(LogisticModel(classes[present], own[free]))
    return models


class _Rows:
    """Rows on a device, and which of them each of S sets has.

    Attributes:
        x: Float32 (n, d).
        y: Classes, (n,), below K.
        inside: Whether a set has a row, (S, n).
        sizes: Rows of each set, float64 (S,).
        variance: That of each feature in each set, float64 (S, d).
        present: Classes that a set has, (S, K).
        free: Classes with weights of their own, (S, K): where there are two, the logit of the first
            is 0.
    """

    def __init__(
        self,
        x: FeatureMatrix,
        y: NDArray[np.intp],
        classes: int,
        sets: Sequence[NDArray[np.intp]],
        device: str,
    ) -> None:
        inside = np.zeros((len(sets), len(x)), dtype=bool)
        for own, index in zip(inside, sets, strict=True):
            own[index] = True
        present = np.array([np.bincount(y[own], minlength=classes) > 0 for own in inside])
        if present.sum(axis=1).min() < 2:
            raise ValueError("all rows that it is fitted on are of one class")
        free = present.copy()
        two = np.flatnonzero(present.sum(axis=1) == 2)
        free[two, present[two].argmax(axis=1)] = False
        self.x = torch.from_numpy(np.asarray(x, np.float32)).to(device)
        self.y, self.inside, self.present, self.free = (
            torch.from_numpy(part).to(device) for part in (y, inside, present, free)
        )
        self.sizes = self.inside.sum(dim=1).double()
        squares = torch.zeros(len(sets), x.shape[1], dtype=torch.float64, device=device)
        for block in self.blocks(x.shape[1]):
            squares += self.inside[:, block].double() @ self.x[block].double() ** 2
        self.variance = squares / self.sizes[:, None]
        if not self.variance.isfinite().all():
            raise ValueError("features that it is fitted on are not finite")

    def blocks(self, width: int) -> list[slice]:
        """Blocks of rows, of so many numbers a row."""
        size = max(1, BLOCK // width)
        return [slice(first, first + size) for first in range(0, len(self.x), size)]


class _Problems:
    """P fits on shared rows, as functions of their scaled weights.

    Only classes are held that have weights of their own in some fit, F of them.
    """

    def __init__(self, rows: _Rows, fits: Sequence[_Fit]) -> None:
        device = rows.x.device
        self._rows = rows
        self._sets = torch.tensor([fit.rows for fit in fits], device=device)
        c = torch.tensor([fit.c for fit in fits], dtype=torch.float64, device=device)
        self._penalty = 1 / (c * rows.sizes[self._sets])
        variance = CURVATURE * rows.variance[self._sets] + self._penalty[:, None]
        intercept = torch.full_like(variance[:, :1], CURVATURE)
        self._scale = torch.cat([variance, intercept], dim=1)[:, None] ** -0.5
        self._held = rows.free[self._sets].any(dim=0).nonzero()[:, 0]
        self._free = rows.free[self._sets][:, self._held, None]
        self._one_hot = torch.eye(rows.free.shape[1], dtype=torch.float64, device=device)

    def minimized(self) -> torch.Tensor:
        """Weights of all classes, (P, K, d + 1), the intercept last."""
        fits, held, features = *self._free.shape[:2], self._scale.shape[-1]
        start = self._scale.new_zeros(fits, held * features)
        scaled = minimize_all(
            self._objective, start, tolerance=TOLERANCE, max_steps=MAX_ITER, memory=MEMORY
        )
        weights = self._scale.new_zeros(fits, self._rows.free.shape[1], features)
        weights[:, self._held] = scaled.view(fits, held, features) * self._scale
        return weights

    def _objective(
        self, problems: torch.Tensor, flat: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy and penalty of some problems, and the gradients."""
        scale, penalty = self._scale[problems], self._penalty[problems]
        weights = flat.view(len(problems), len(self._held), -1) * scale
        loss, gradient = self._cross_entropy(self._sets[problems], weights)
        penalised = weights[..., :-1]
        loss = loss + penalty / 2 * penalised.square().sum(dim=(1, 2))
        gradient[..., :-1] += penalty[:, None, None] * penalised
        return loss, (gradient * scale * self._free[problems]).flatten(1)

    def _cross_entropy(
        self, sets: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean over the rows of each set (p,), and its gradient by weights (p, F, d + 1)."""
        rows, held = self._rows, self._held
        absent = ~rows.present[sets]
        loss, gradient = weights.new_zeros(len(sets)), torch.zeros_like(weights)
        for block in rows.blocks(absent.numel() + rows.x.shape[1]):
            x, y = rows.x[block].double(), rows.y[block]
            inside = rows.inside[sets, block].T
            logits = x.new_zeros(len(x), *absent.shape)
            own = x @ weights[..., :-1].flatten(0, 1).T
            logits[..., held] = own.view(len(x), *weights.shape[:2]) + weights[..., -1]
            logits.masked_fill_(absent, -torch.inf)
            logits -= logits.logsumexp(dim=-1, keepdim=True)
            gold = y[:, None, None].expand(-1, len(sets), 1)
            loss -= torch.where(inside, logits.gather(-1, gold)[..., 0], 0).sum(dim=0)
            error = (logits.exp_() - self._one_hot[y, None])[..., held] * inside[..., None]
            gradient[..., :-1] += (error.flatten(1).T @ x).view_as(gradient[..., :-1])
            gradient[..., -1] += error.sum(dim=0)
        sizes = rows.sizes[sets]
        return loss / sizes, gradient / sizes[:, None, None]
