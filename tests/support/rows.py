"""Queries and graded pairs that are made up."""

from __future__ import annotations

from bench.data.retrieval import Query

QUERIES = [
    Query(f"what is {i}", (f"it is {i}", f"{i} it is"), (f"no {i}", f"never {i}"))
    for i in range(12)
]
PAIRS = [(f"text {i}", f"the text {i}") for i in range(40)]
SCORES = [i % 7 / 6 for i in range(40)]
