"""Descriptions of methods, suites, data sets and claims, for a terminal and as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from bench.core.descriptions import NONE, DescribedTable, Description
from bench.core.escape import markdown

_CODE = re.compile("``(.+?)``", re.DOTALL)
_INDENT = "  "


def as_text(description: Description, width: int) -> str:
    """Render a description for a terminal.

    Args:
        description: The description.
        width: Columns to wrap text to.
    """
    head = f"{description.name} ({description.kind})"
    parts = [f"{head}\n{_filled(description.title, width)}"]
    parts += [_filled(paragraph, width) for paragraph in _paragraphs(description.text)]
    facts = description.facts or {}
    room = max(map(len, facts), default=0) + 2
    lines = [_filled(value, width, f"{label}:".ljust(room)) for label, value in facts.items()]
    parts += ["\n".join(lines)] if lines else []
    parts += [f"{table.title}\n\n{_text_table(table, width)}" for table in description.tables]
    if description.examples:
        examples = "\n".join(f"{_INDENT}{example}" for example in description.examples)
        parts.append(f"For example\n\n{examples}")
    return "\n\n".join(parts)


def as_markdown(description: Description) -> str:
    """Render a description as a section of a page."""
    parts = [f"## {markdown(description.name)}", _marked(description.title)]
    parts += [_marked(paragraph) for paragraph in _paragraphs(description.text)]
    facts = description.facts or {}
    if facts:
        parts.append(
            "\n".join(f"- **{label}**: {markdown(value)}" for label, value in facts.items())
        )
    for table in description.tables:
        rows = [table.headers, ("---",) * len(table.headers)]
        lines = [" | ".join(row) for row in rows]
        lines += [" | ".join(_marked(cell) for cell in row) for row in table.rows]
        parts.append(f"### {table.title}\n\n" + "\n".join(f"| {line} |" for line in lines))
    if description.examples:
        parts.append("    " + "\n    ".join(description.examples))
    return "\n\n".join(parts) + "\n"


def _text_table(table: DescribedTable, width: int) -> str:
    """A table, or where its lines would be too long a list with a few lines for each row."""
    from tabulate import tabulate

    cells = [[_plain(cell) for cell in row] for row in table.rows]
    text = tabulate(cells, table.headers, tablefmt="simple", disable_numparse=True)
    if max(map(len, text.splitlines())) <= width:
        return text
    return "\n".join(_listed(table.headers, row, width) for row in cells)


def _listed(headers: Sequence[str], row: Sequence[str], width: int) -> str:
    """A row as lines: what it is called and its short cells, then the last one by itself."""
    name, *others, last = row
    labelled = zip(headers[1:-1], others, strict=True)
    said = [f"{header.lower()} {cell}" for header, cell in labelled if cell != NONE]
    lines = [_filled("; ".join(said), width, f"{_INDENT}{name}  ", _INDENT * 2)]
    return "\n".join([*lines, _filled(last, width, _INDENT * 2, _INDENT * 2)])


def _filled(text: str, width: int, first: str = "", others: str | None = None) -> str:
    """Text in lines, of which the first has something in front, and the others as much room."""
    return textwrap.fill(
        _plain(text),
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first) if others is None else others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _plain(text: str) -> str:
    return _CODE.sub(r"\1", " ".join(text.split()))


def _marked(text: str) -> str:
    """Text with its code as Markdown marks it, all else as it is."""
    pieces = _CODE.split(" ".join(text.split()))
    return "".join(
        f"`{piece}`" if place % 2 else markdown(piece) for place, piece in enumerate(pieces)
    )
