"""What all steps share: their options, what they may ask for, and when two texts are the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from bench.core.toml import TomlTable
from bench.data.rows import Row

_NOT_KEY = re.compile(r"[^a-z0-9]+")


def text_key(text: str) -> str:
    """Latin letters and digits of a text in lower case: the same for texts that differ in others.

    It is coarser than ``bench.data.contamination.normalise``, as it keeps no blanks.
    """
    return _NOT_KEY.sub("", text.lower())


@dataclass(frozen=True)
class Context:
    """What a step may ask for besides its rows.

    Attributes:
        split: The split that is made.
        rows: Rows of another set, by ``family/set:split[+split]``.
        evaluation: ``text_key`` of every text of the evaluation splits.
    """

    split: str
    rows: Callable[[str], list[Row]]
    evaluation: Callable[[], frozenset[str]]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class BaseStep(TomlTable):
    """A step."""

    @property
    def refs(self) -> tuple[str, ...]:
        """Other sets whose rows the step asks for."""
        return ()

    @property
    def reads_evaluation(self) -> bool:
        """Whether the step asks for the texts of the evaluation splits."""
        return False
