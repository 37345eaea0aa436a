"""Many problems minimised together end where each of them does alone."""

from __future__ import annotations

import numpy as np
import torch

from bench.tasks.probes.lbfgs import minimize_all


def quadratics(curvatures: torch.Tensor, targets: torch.Tensor):
    """Sums of ``curvature (x - target)² / 2``, whose minimum is the target; and calls of each."""
    calls = torch.zeros(len(targets), dtype=torch.int64)

    def objective(problems, x):
        calls[problems] += 1
        away = x - targets[problems]
        gradient = curvatures[problems] * away
        return (gradient * away).sum(dim=1) / 2, gradient

    return objective, calls


def minimized(objective, start: torch.Tensor, max_steps: int = 500) -> torch.Tensor:
    return minimize_all(objective, start, tolerance=1e-9, max_steps=max_steps, memory=5)


def test_problems_of_unlike_curvatures_end_at_their_minima() -> None:
    curvatures = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1e2, 1e4], [1e-2, 1.0, 3.0]]).double()
    targets = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0], [5.0, 0.0, -5.0]]).double()
    objective, calls = quadratics(curvatures, targets)
    found = minimized(objective, torch.zeros(3, 3).double())
    np.testing.assert_allclose(found, targets, atol=1e-6)
    # Who has ended is left out of the steps of the others.
    assert calls[0] < calls[1]


def test_a_problem_that_starts_at_its_minimum_stays_there() -> None:
    targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]).double()
    objective, calls = quadratics(torch.ones(2, 2).double(), targets)
    found = minimized(objective, torch.tensor([[1.0, 2.0], [9.0, 9.0]]).double())
    np.testing.assert_allclose(found, targets, atol=1e-9)
    assert calls[0] == 1


def test_long_steps_are_halved_until_the_value_drops() -> None:
    def objective(problems, x):
        # sqrt(1 + 100 x²) - x, whose slope far from 0 tells nothing of where to stop.
        root = (1 + 100 * x**2).sqrt()
        return (root - x).sum(dim=1), 100 * x / root - 1

    found = minimized(objective, torch.tensor([[30.0], [-0.5]]).double())
    np.testing.assert_allclose(found, np.full((2, 1), 1 / np.sqrt(9900)), atol=1e-6)


def test_steps_have_a_limit() -> None:
    targets = torch.tensor([[1.0, 2.0]]).double()
    objective, calls = quadratics(torch.tensor([[1.0, 1e6]]).double(), targets)
    minimized(objective, torch.zeros(1, 2).double(), max_steps=0)
    assert calls[0] == 1
