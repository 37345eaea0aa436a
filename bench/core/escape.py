"""Text from elsewhere in each of our outputs: shown as it is, and never obeyed.

One function for each output. What a text may hold is anything: names and rows come from users,
records and result files from strangers.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ACTIVE = re.compile(r"[\\`*_\[\]<>|~&#]")
_BACKTICKS = re.compile("`+")
# What LaTeX obeys, and what its fonts lack in text.
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
# Ends of the letters that LaTeX knows without a package.
_LATIN = 0x17F
# What a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@")
_PLANE = 0x10000


def plain(text: str) -> str:
    """Make one line for a terminal: what cannot be printed becomes a visible escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def one_line(text: str) -> str:
    """Replace line breaks, and whatever else cannot be printed, by spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def markdown(text: str) -> str:
    """Escape text for a paragraph, a list or a cell of a table in Markdown, on one line."""
    return _ACTIVE.sub(r"\\\g<0>", one_line(text))


def markdown_code(text: str) -> str:
    """Make a code span for a cell of a table in Markdown, on one line."""
    # Tables are cut at pipes before code spans are looked for, so pipes are escaped even there.
    shown = one_line(text).replace("|", r"\|") or " "
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    # Of text between two spaces a renderer takes one off either end.
    if shown.strip() and not {" ", "`"}.isdisjoint({shown[0], shown[-1]}):
        shown = f" {shown} "
    return f"{fence}{shown}{fence}"


def latex(text: str) -> str:
    """Escape text for a paragraph or a cell of a table in LaTeX, on one line.

    A letter that LaTeX has only with a package becomes its number, such as ``U+4E2D``.
    """
    shown = "".join(
        _LATEX.get(char, char if ord(char) <= _LATIN else f"U+{ord(char):04X}")
        for char in plain(text)
    )
    # Two hyphens would become a dash, and a name another one.
    shown = shown.replace("--", "-{}-{}")
    # Behind the end of a row these would be its options.
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown


def csv_cell(value: Any) -> Any:
    """Make a cell of CSV that no spreadsheet takes for a formula; only texts are changed.

    Such a text gets an apostrophe before it, as OWASP advises against CSV injection.
    """
    if not isinstance(value, str):
        return value
    shown = plain(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Write JSON whose texts hold nothing that a terminal obeys; readers find them unchanged.

    Raises:
        ValueError: There is NaN or infinity.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    # Outside of its texts there is nothing but ASCII, and line breaks.
    return "".join(
        character if character.isprintable() or character == "\n" else _in_json(character)
        for character in text
    )


def _in_json(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0x7F else f"\\u{ord(char):04x}"


def toml_text(text: str) -> str:
    """Write a string of TOML, on one line, that a terminal does not obey."""
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else _in_toml(char) for char in shown)


def _in_toml(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < _PLANE else f"\\U{ord(char):08x}"
