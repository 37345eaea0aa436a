"""L-BFGS on many problems at once, which share the calls and the large products of a step.

Each problem has its own curvature, its own length of steps and its own end (Nocedal and Wright,
Numerical Optimization, 2006, algorithm 7.4, with steps halved until the value drops enough). The
problems are convex, so that no step has negative curvature.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

# Share of the drop that the slope promises which a step must reach.
SUFFICIENT = 1e-4
MAX_HALVINGS = 40

# Of problems, by their numbers (p,), at points (p, D): values (p,) and gradients (p, D).
Objective = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def minimize_all(
    objective: Objective, start: torch.Tensor, *, tolerance: float, max_steps: int, memory: int
) -> torch.Tensor:
    """Minimise P convex functions of D numbers each.

    Args:
        objective: Values and gradients of some of the problems.
        start: Where to start, float64 of shape (P, D).
        tolerance: A problem ends where no number of its gradient is larger.
        max_steps: Most steps of a problem.
        memory: Pairs of steps and gradients that are kept.

    Returns:
        Float64 of shape (P, D).
    """
    minima, running = start.clone(), torch.arange(len(start), device=start.device)
    point, history = start, _History(memory)
    value, gradient = objective(running, point)
    for _ in range(max_steps):
        goes_on = gradient.abs().amax(dim=1) > tolerance
        if not goes_on.all():
            running, point, value, gradient = (
                part[goes_on] for part in (running, point, value, gradient)
            )
            history.keep(goes_on)
        if not len(running):
            break
        direction = history.direction(gradient)
        before = point, gradient
        point, value, gradient = _step(objective, running, point, value, gradient, direction)
        history.add(point - before[0], gradient - before[1])
        minima[running] = point
    return minima


class _History:
    """The last steps of p problems (p, D), and how their gradients changed."""

    def __init__(self, size: int) -> None:
        self._size = size
        # Steps, changes, and the inverse of their product (p,), 0 where a step tells nothing.
        self._pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._scale: torch.Tensor | None = None

    def add(self, step: torch.Tensor, change: torch.Tensor) -> None:
        product, square = _dot(step, change), _dot(change, change)
        tells = product > torch.finfo(step.dtype).eps * square
        inverse = torch.where(tells, 1 / product, 0)
        scale = torch.ones_like(product) if self._scale is None else self._scale
        self._scale = torch.where(tells, product / square, scale)
        self._pairs = [*self._pairs, (step, change, inverse)][-self._size :]

    def keep(self, problems: torch.Tensor) -> None:
        """Go on with some of the problems, by a mask (p,)."""
        self._pairs = [(a[problems], b[problems], c[problems]) for a, b, c in self._pairs]
        self._scale = None if self._scale is None else self._scale[problems]

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """The negative gradient (p, D) times an estimate of the inverse Hessian."""
        turned, shares = gradient.clone(), []
        for step, change, inverse in reversed(self._pairs):
            shares.append(inverse * _dot(step, turned))
            turned -= shares[-1][:, None] * change
        if self._scale is not None:
            turned *= self._scale[:, None]
        for (step, change, inverse), share in zip(self._pairs, reversed(shares), strict=True):
            turned += (share - inverse * _dot(change, turned))[:, None] * step
        return -turned


def _step(
    objective: Objective,
    problems: torch.Tensor,
    point: torch.Tensor,
    value: torch.Tensor,
    gradient: torch.Tensor,
    direction: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Go along a direction; points, values and gradients there.

    Where rounding hides any drop, a problem stays in its place and has a gradient of 0.
    """
    slope = _dot(gradient, direction)
    point, value, gradient = point.clone(), value.clone(), torch.zeros_like(gradient)
    waiting, length = torch.arange(len(point), device=point.device), 1.0
    for _ in range(MAX_HALVINGS):
        trial = point[waiting] + length * direction[waiting]
        values, gradients = objective(problems[waiting], trial)
        good = values <= value[waiting] + SUFFICIENT * length * slope[waiting]
        done = waiting[good]
        point[done], value[done], gradient[done] = trial[good], values[good], gradients[good]
        waiting, length = waiting[~good], length / 2
        if not len(waiting):
            break
    return point, value, gradient


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.einsum("pd,pd->p", a, b)
