"""Rows for steps, and rows after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from bench.data.rows import Row
from bench.data.steps import Context, Step, apply_steps, text_key

STEP: TypeAdapter[Any] = TypeAdapter(Step)


def applied(
    rows: Iterable[Row],
    *steps: Mapping[str, Any],
    split: str = "train",
    others: Mapping[str, list[Row]] | None = None,
    held: Iterable[str] = (),
) -> list[Row]:
    """Rows after steps as a catalog names them; ``held`` are texts of the evaluation splits."""
    context = Context(split, (others or {}).__getitem__, lambda: frozenset(map(text_key, held)))
    return apply_steps(rows, [STEP.validate_python(step) for step in steps], context)


def texts(*values: Any) -> list[Row]:
    return [{"text": value, "kept": number} for number, value in enumerate(values)]


def word_split(rows: Iterable[Row], split: str, words_in: int = 10, seed: int = 0) -> list[Row]:
    sizes = {"words_in": words_in, "seed": seed}
    columns = {"word": "word", "definition": "definition"}
    splits = {"small": ["valid", "test"], "large": "train"}
    return applied(rows, {"step": "word_split", **columns, **splits, **sizes}, split=split)


def words_of(rows: Iterable[Row]) -> set[str]:
    return {row["word"].lower() for row in rows}


def labelled(*rows: Sequence[str]) -> list[Row]:
    return [
        dict(zip(("source", "premise", "hypothesis", "label"), row, strict=True)) for row in rows
    ]
