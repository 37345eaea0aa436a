"""Columns of tokens in a loss: some of their rows, and those whose text is not empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import Tensor

TokenFeatures = Mapping[str, Any]


def some_rows(column: TokenFeatures, kept: Tensor) -> dict[str, Any]:
    """Some rows of a column.

    Args:
        column: Tokens of B texts.
        kept: Which, a mask (B,).
    """
    count = len(kept)
    return {
        name: value[kept] if isinstance(value, Tensor) and len(value) == count else value
        for name, value in column.items()
    }


def length_of_no_text(model: SentenceTransformer) -> int:
    """Tokens that a model has for an empty text, which mark begin and end."""
    return int(model.preprocess([""])["attention_mask"].sum())


def present_rows(column: TokenFeatures, empty: int) -> dict[str, Any] | None:
    """The rows of a column whose text is not empty, or None.

    Args:
        column: Tokens of B texts.
        empty: Tokens of an empty text.
    """
    present = column["attention_mask"].sum(dim=1) > empty
    return some_rows(column, present) if present.any() else None
