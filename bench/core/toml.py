"""TOML that users write: its tables, or one line that says what is wrong with it.

A table with fixed keys is a ``TomlTable``, and its file is read by ``read_toml`` and ``fit``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.core.errors import UsageError, first_problem
from bench.core.regular import read_regular

_LARGEST = 2**24


class TomlTable(BaseModel):
    """Base of all tables of TOML: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Parsed = TypeVar("Parsed", bound=TomlTable)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of TOML.

    Raises:
        UsageError: It cannot be read, or is not valid TOML.
    """
    try:
        text = read_regular(path, _LARGEST).decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not valid TOML, as it is not UTF-8: {error}") from None
    if text.startswith("\ufeff"):
        raise UsageError(
            f"{path}: not valid TOML: it starts with a byte-order mark; save it without one"
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not valid TOML: its lists or tables nest too deeply") from None
    except ValueError as error:
        # Not only the library's own: Python refuses integers of thousands of digits.
        raise UsageError(f"{path}: not valid TOML: {str(error).partition(';')[0]}") from None


def fit(model: type[Parsed], content: Mapping[str, Any], path: Path, whole: str) -> Parsed:
    """Make what a file says of its content.

    Args:
        model: What it is to be.
        content: Its tables, and what is known besides.
        path: The file.
        whole: What it is called where no single key is wrong.

    Raises:
        UsageError: It does not fit; the file and the key are named.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        place, message = first_problem(error)
        raise UsageError(f"{path}: key {place or whole!r}: {message}") from None
