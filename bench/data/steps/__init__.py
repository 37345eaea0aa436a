"""What becomes of rows between a source and the catalog: small steps that a catalog puts together.

Steps on each row by itself (``single``) and on all together (``several``), which share ``base``. A
step is a model of pydantic with its options, and ``apply`` maps rows to rows; none knows a data
set. Imported are core and ``bench.data.rows``. A new step is a class in ``single`` or ``several``,
and a line in ``Step``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from bench.core.errors import DataError
from bench.data.rows import Row
from bench.data.steps.base import Context, text_key
from bench.data.steps.several import (
    Candidates,
    Distinct,
    Shuffle,
    Sorted,
    Triplets,
    Unlike,
    WordSplit,
)
from bench.data.steps.single import (
    Fill,
    Flatten,
    Gather,
    Lower,
    Number,
    Only,
    Replace,
    Sentences,
    Values,
)

Step = Annotated[
    Only
    | Replace
    | Fill
    | Values
    | Number
    | Lower
    | Gather
    | Flatten
    | Candidates
    | Unlike
    | Distinct
    | Sorted
    | Shuffle
    | Sentences
    | WordSplit
    | Triplets,
    Field(discriminator="step"),
]


def apply_steps(rows: Iterable[Row], steps: Sequence[Step], context: Context) -> list[Row]:
    """Take rows through steps.

    Raises:
        DataError: A row lacks a column of a step, or has a value that it cannot take.
    """
    try:
        for step in steps:
            rows = step.apply(rows, context)
        return list(rows)
    except KeyError as error:
        raise DataError(f"a row has no column {error}") from None
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"a value is not what a step takes: {error}") from None


__all__ = ["Context", "Step", "apply_steps", "text_key"]
