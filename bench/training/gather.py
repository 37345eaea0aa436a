"""Rows of all processes as one batch, for losses in which rows of a batch depend on each other."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows of all processes in the order of their ranks, with gradient.

    The gradient of a process's own rows is the sum of what the losses of all W processes give
    them. ``DistributedDataParallel`` then averages the gradients of parameters over processes, so
    that a step follows the gradient of the mean of the W losses, each of them a function of the
    joined batch. Where every process computes the same loss of all rows, this is the gradient
    that one process would get from the joined batch: no factor W is to be added. Without that
    averaging, the sum of the processes' gradients is W times that gradient.

    Every process has to take part, in the backward pass too, though its rows may be fewer.

    Args:
        rows: Numbers of any shape (B, ...), with the same dtype and further axes everywhere.

    Returns:
        All rows, (sum of B, ...); ``rows`` itself where there is one process only.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    joined: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call, unused-ignore]
    return joined


class _GatherRows(torch.autograd.Function):
    """Sums of what is zero outside a process's own rows: shards of unequal size need no padding."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        counts = _counts(rows)
        ctx.start, ctx.count = sum(counts[: dist.get_rank()]), len(rows)
        joined = rows.new_zeros((sum(counts), *rows.shape[1:]))
        joined[ctx.start : ctx.start + ctx.count] = rows
        dist.all_reduce(joined)
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # A copy, since autograd may use the same memory for another branch.
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.count]


def _counts(rows: Tensor) -> list[int]:
    own = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, own)
    return [int(count) for count in counts]
