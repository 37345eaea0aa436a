"""Items that are made while the ones before them are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def made_ahead(items: Iterator[T], ahead: int = 2) -> Iterator[T]:
    """The same items in the same order, made in a thread while those before them are used.

    What making one raises is raised where it would have come.

    Args:
        items: Makes the items, one after the other.
        ahead: Most items that wait.
    """
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(ahead))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]  # only the end is of another type
