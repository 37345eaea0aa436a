"""Batches of an epoch: which rows, in which order, and this process's share of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any, cast

import torch
from sentence_transformers.base.sampler import DefaultBatchSampler

from bench.training.ranks import share

# Batches of row numbers of an epoch, from the seed and the epoch; equally many in every epoch.
Batches = Callable[[int, int], list[list[int]]]
# Keeps the orders of (seed, epoch) and (seed + 1, epoch - 1) apart.
_SEED_STRIDE = 1_000_003


# To mypy the library's classes are Any where it is not installed, which strict mode refuses.
class EpochSampler(DefaultBatchSampler):  # type: ignore[misc, unused-ignore]
    """Shuffles each epoch by seed and epoch alone.

    The default sampler draws all epochs from one generator, whose state no checkpoint has: a
    training resumed in its second epoch would repeat the order of the first.
    """

    def __iter__(self) -> Iterator[list[int]]:
        order = self.order(len(cast("Sized", self.sampler)))
        for start in range(0, len(order), self.batch_size):
            yield share([*order[start : start + self.batch_size]])

    def order(self, rows: int) -> Sequence[int]:
        """Row numbers in the order of this epoch."""
        generator = torch.Generator().manual_seed(self.seed * _SEED_STRIDE + self.epoch)
        order: list[int] = torch.randperm(rows, generator=generator).tolist()
        return order


class InOrderSampler(EpochSampler):
    """Takes the rows of every epoch as they come."""

    def order(self, rows: int) -> Sequence[int]:
        """Row numbers as they count up."""
        return range(rows)


class GivenBatches(DefaultBatchSampler):  # type: ignore[misc, unused-ignore]
    """Asks for the batches of each epoch."""

    def __init__(self, batches: Batches, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batches = batches
        self._count = len(batches(self.seed, 0))

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches(self.seed, self.epoch)
        if len(batches) != self._count:
            # Resuming counts the epochs behind it by the length of one.
            raise ValueError(
                f"epoch {self.epoch} has {len(batches)} batches, the first one {self._count}"
            )
        yield from map(share, batches)

    def __len__(self) -> int:
        return self._count
