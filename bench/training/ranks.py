"""The processes of a training: which one this is, and what all of them do together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist

from bench.core.errors import UsageError


def rank_and_world_size() -> tuple[int, int]:
    """Number of this process among those of the training, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first() -> bool:
    """Whether this is the process that writes what all of them have."""
    return rank_and_world_size()[0] == 0


def wait_for_all() -> None:
    """Wait until every process of the training is here."""
    if rank_and_world_size()[1] > 1:
        dist.barrier()


def share(batch: list[int]) -> list[int]:
    """Rows of a batch that are this process's own: those of all, in order, make the batch.

    Shares differ by at most one row, which happens in the last batch of an epoch, or in batches
    of the method's own.

    Raises:
        UsageError: There are more processes than rows.
    """
    rank, world = rank_and_world_size()
    if len(batch) < world:
        raise _too_small(len(batch), world)
    return batch[len(batch) * rank // world : len(batch) * (rank + 1) // world]


def check_shares(batch_size: int, fewest: int) -> None:
    """Refuse batches that the processes cannot share.

    Args:
        batch_size: Rows of a full batch.
        fewest: Rows of the smallest batch that will come.

    Raises:
        UsageError: The processes do not divide a full batch, or are more than rows of the smallest.
    """
    world = rank_and_world_size()[1]
    if batch_size % world:
        raise UsageError(
            f"batch_size {batch_size} does not divide into {world} processes; "
            f"choose a multiple of {world}, or other --processes"
        )
    if fewest < world:
        raise _too_small(fewest, world)


def _too_small(rows: int, world: int) -> UsageError:
    return UsageError(
        f"a batch of {rows} rows is too small for {world} processes; "
        "change the batch_size or the number of rows, or use fewer --processes"
    )


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by their means over all processes; a parameter without one counts as 0."""
    world = rank_and_world_size()[1]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if world == 1 or not trained:
        return
    used = torch.tensor([p.grad is not None for p in trained], dtype=torch.int32)
    used = used.to(trained[0].device)
    dist.all_reduce(used, dist.ReduceOp.MAX)
    for parameter, count in zip(trained, used.tolist(), strict=True):
        # Where no process has a gradient the optimizer must not see one either.
        if count:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            total = own.contiguous()
            dist.all_reduce(total)
            parameter.grad = total / world
