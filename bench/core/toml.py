"""TOML that users write: its tables, or one line that says what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.regular import read_regular

_LARGEST = 2**24


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
        raise UsageError(f"{path}: not valid TOML, whose texts are UTF-8: {error}") from None
    if text.startswith("\ufeff"):
        raise UsageError(
            f"{path}: not valid TOML: it starts with a byte-order mark; save it as UTF-8 without"
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not valid TOML: its lists or tables nest too deeply") from None
    except ValueError as error:
        # Not only the library's own: Python refuses integers of thousands of digits.
        raise UsageError(f"{path}: not valid TOML: {str(error).partition(';')[0]}") from None
