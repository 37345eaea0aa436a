"""Errors meant for the person at the terminal: one line, and the exit code it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

EXIT_OK = 0
EXIT_GATE = 1
EXIT_STALE = 1
EXIT_USAGE = 2
EXIT_CELLS_FAILED = 3
EXIT_DATA = 4
EXIT_BUG = 70
EXIT_NOT_JUDGED = 125
EXIT_HUNG_UP = 129
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its type where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where something does not fit its schema first, and how.

    Returns:
        The place, keys joined by dots, empty for the whole; and the message, which begins in lower
        case.
    """
    first = error.errors()[0]
    return ".".join(str(part) for part in first["loc"]), _message(first)


def _message(problem: ErrorDetails) -> str:
    """Say a problem without words of the library's own, such as tags of unions."""
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return "unknown; correct or remove it"
        case "union_tag_invalid":
            name = context["discriminator"].strip("'")
            return f"unknown {name} {context['tag']!r}; choose {context['expected_tags']}"
        case "union_tag_not_found":
            return f"lacks {context['discriminator']}"
        case "value_error":
            return str(context["error"])
    return problem["msg"][:1].lower() + problem["msg"][1:]


def named_error(kind: str, text: str) -> BenchError | None:
    """The error that another process has told of by name and text, or None for any other kind."""
    named = globals().get(kind)
    if isinstance(named, type) and issubclass(named, BenchError):
        return named(text)
    return None


class BenchError(Exception):
    """Base of all expected errors; its text says what is wrong, where, and how to fix it."""

    exit_code = EXIT_USAGE


class UsageError(BenchError):
    """Unknown name, malformed spec or TOML, output that cannot be written."""


class CellError(BenchError):
    """One cell of a run cannot be finished; the others go on."""

    exit_code = EXIT_CELLS_FAILED


class DataError(BenchError):
    """Data or a checkpoint is missing, or a checksum does not hold."""

    exit_code = EXIT_DATA
