"""Libraries are kept out of our progress: what they warn of is heard, their bars are not shown."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.core.escape import one_line

_SHOWN = 3
_LONGEST = 160
# They tell developers what to change, and change no figure.
_OF_DEVELOPERS = (
    DeprecationWarning,
    FutureWarning,
    ImportWarning,
    PendingDeprecationWarning,
    ResourceWarning,
)
# What is known to whoever asked for it, or is told by a note of ours.
_KNOWN = (
    "Converting ",
    "Default prompt name is set to",
    "This model was loaded in",
    "'pin_memory'",
)
_OWN_HANDLERS = ("datasets", "huggingface_hub", "transformers")


class LibraryWarnings(logging.Handler):
    """Hears what libraries warn of and log, in place of stderr, while it is entered."""

    heard_by_one = False

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: dict[str, None] = {}
        self._show: Any = None

    def __enter__(self) -> LibraryWarnings:
        self._show, warnings.showwarning = warnings.showwarning, self._warned
        logging.getLogger().addHandler(self)
        for name in _OWN_HANDLERS:
            logger = logging.getLogger(name)
            logger.handlers[:] = [self]
            # Each puts a handler of its own there, whenever something imports it first.
            logger.addHandler = self._ignore  # type: ignore[method-assign]
        LibraryWarnings.heard_by_one = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        LibraryWarnings.heard_by_one = False
        logging.getLogger().removeHandler(self)
        for name in _OWN_HANDLERS:
            logger = logging.getLogger(name)
            vars(logger).pop("addHandler", None)
            logger.removeHandler(self)
        warnings.showwarning = self._show

    def emit(self, record: logging.LogRecord) -> None:
        """Hear what is logged."""
        self._hear(record.name.partition(".")[0], record.getMessage())

    def summary(self) -> str | None:
        """All messages that were heard, in one line and each once; None where that is nothing."""
        if not self._heard:
            return None
        more = len(self._heard) - _SHOWN
        return f"libraries warn: {'; '.join([*self._heard][:_SHOWN])}" + (
            f"; and {more} more" if more > 0 else ""
        )

    def _ignore(self, hdlr: logging.Handler) -> None:
        """Take the place of ``addHandler`` of a library's logger."""

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        *_: object,
        **__: object,
    ) -> None:
        if not issubclass(category, _OF_DEVELOPERS):
            self._hear(_package(filename), str(message))

    def _hear(self, source: str, message: str) -> None:
        if not message.startswith(_KNOWN):
            shown = " ".join(one_line(message).split())[:_LONGEST]
            self._heard[f"{source}: {shown}"] = None


def _package(filename: str) -> str:
    parts = Path(filename).parts
    if "site-packages" in parts[:-1]:
        return Path(parts[parts.index("site-packages") + 1]).stem
    return Path(filename).stem


def quiet_libraries() -> None:
    """Keep the bars, warnings and logs of transformers and datasets out of our one bar."""
    import datasets
    import transformers

    # transformers does not annotate these two.
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    level = logging.WARNING if LibraryWarnings.heard_by_one else logging.ERROR
    logging.getLogger("sentence_transformers").setLevel(level)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
