"""Work that several devices share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def shared(items: Iterator[T], workers: Sequence[Callable[[T], U]]) -> Iterator[tuple[T, U]]:
    """Each item with what a worker makes of it, in the order of the items.

    Workers take turns, so that it follows from the items alone which of them makes what. Several
    have a thread each: what they call leaves Python to the others while a device computes, and one
    process holds all vectors, where processes would send them to it.

    Args:
        items: What there is to do.
        workers: What does it, one at least.
    """
    if len(workers) == 1:
        for item in items:
            yield item, workers[0](item)
        return
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in workers]
        waiting: deque[tuple[T, Future[U]]] = deque()
        for number, item in enumerate(items):
            place = number % len(workers)
            waiting.append((item, threads[place].submit(workers[place], item)))
            # One more than there are workers, so that none waits while the first is taken.
            if len(waiting) > len(workers):
                first, made = waiting.popleft()
                yield first, made.result()
        for item, made in waiting:
            yield item, made.result()
