"""What is known of the terminal."""

from __future__ import annotations

import shutil
import sys

PAGE = 100


def terminal_width(page: int = PAGE) -> int:
    """Columns of the terminal; where stdout is none, as many as a page of text holds."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else page
