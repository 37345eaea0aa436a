"""Items that are made while the ones before them are used."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bench.encoding.ahead import made_ahead


def test_the_same_items_in_the_same_order() -> None:
    for count in (0, 1, 2, 3, 50):
        assert list(made_ahead(iter(range(count)))) == list(range(count))


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    first = next(made_ahead(items()))
    assert first == 0
    assert made[1].wait(10)


def test_no_more_wait_than_are_allowed() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    ahead = made_ahead(items(), ahead=2)
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    assert len(made) <= 3


def test_what_making_raises_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    ahead = made_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="no more"):
        next(ahead)
