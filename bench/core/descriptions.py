"""What there is to say of a method, suite, data set or claim, for the terminal and for pages alike.

Texts mark code as docstrings do, ``so``; ``bench.report.descriptions`` renders them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

DescribedKind = Literal["method", "suite", "data", "claim"]
NONE = "–"


@dataclass(frozen=True)
class DescribedTable:
    """A table of a description.

    Attributes:
        title: What it has.
        headers: Names of its columns.
        rows: Its rows, texts.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Description:
    """What there is to say of a thing with a name.

    Attributes:
        kind: What it is.
        name: Its name.
        title: One line.
        text: Paragraphs, with an empty line between.
        facts: Labels and values, of which none is empty.
        tables: Tables, of which none is empty.
        examples: Commands.
    """

    kind: DescribedKind
    name: str
    title: str
    text: str = ""
    facts: Mapping[str, str] | None = None
    tables: tuple[DescribedTable, ...] = ()
    examples: tuple[str, ...] = ()


def table_of(
    title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[DescribedTable, ...]:
    """A table, or none where it has no rows; columns that are empty in all rows are left out."""
    if not rows:
        return ()
    kept = [place for place in range(len(headers)) if any(row[place] for row in rows)]
    chosen = tuple(tuple(row[place] or NONE for place in kept) for row in rows)
    return (DescribedTable(title, tuple(headers[place] for place in kept), chosen),)


def told_of(facts: Mapping[str, str | None]) -> dict[str, str]:
    """The facts that are known."""
    return {label: value for label, value in facts.items() if value}


def doc_text(documented: type) -> str:
    """What the docstring of a class says before its first section."""
    parsed = _parsed(documented)
    parts = [parsed.short_description, parsed.long_description]
    return "\n\n".join(part for part in parts if part)


def doc_attributes(documented: type) -> dict[str, str]:
    """What the docstrings of a class and of those that it is made of say of their attributes."""
    return {
        attribute.arg_name: " ".join(str(attribute.description).split())
        for one in reversed(documented.__mro__)
        if one.__module__.partition(".")[0] not in ("builtins", "pydantic")
        for attribute in _parsed(one).params
    }


def _parsed(documented: type) -> Any:
    # Imported late, as only descriptions need it.
    from docstring_parser.google import parse

    return parse(inspect.cleandoc(documented.__doc__ or ""))
