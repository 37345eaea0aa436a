"""Under which licence the rows of a task are, and whether a page may show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bench.core.errors import UsageError
from bench.data.catalog import catalog, dataset_of
from bench.suite import FileData, Suite, TaskSpec, load_suite

# Licences under which anybody may pass texts on, with the name of their source beside them.
_FREE = re.compile(
    r"(CC0([- ]1\.0)?|CC BY(-SA)? [34]\.0|MIT|Apache-2\.0|public domain)( \([\w .'-]+\))?"
)
_CARD = re.compile(r"\*\*Licence\.\*\* ([^\n]+?)\.?\n")


@dataclass(frozen=True)
class Licence:
    """The licence of a task's rows.

    Attributes:
        data: Where the rows are, as the suite names them.
        text: The licence, as the source states it.
        free: Whether texts may be passed on.
    """

    data: str
    text: str
    free: bool


def is_free(licence: str) -> bool:
    """Whether every part of a licence lets texts be passed on; what is not known does not."""
    return all(_FREE.fullmatch(part.strip()) for part in re.split(r"[;/]", licence))


def licences(suite: str) -> dict[str, Licence]:
    """Licences by task; nothing of a suite that is not registered."""
    try:
        loaded = load_suite(suite)
    except UsageError:
        return {}
    return {task.name: _of_task(loaded, task) for task in loaded.tasks}


def _of_task(suite: Suite, task: TaskSpec) -> Licence:
    data = task.parts().get("test")
    if isinstance(data, str):
        known = catalog().get(dataset_of(data))
        text = known.licence if known else "not known here"
        return Licence(data, text, is_free(text))
    if isinstance(data, FileData):
        text = _card(suite.path.parent / data.file)
        return Licence(data.file, text, is_free(text))
    named = getattr(data, "hub", None) or getattr(data, "mteb", None) or ""
    return Licence(str(named), "see the source", free=False)


def _card(path: Path) -> str:
    """The licence that the card of packaged rows states; a user's own file has none."""
    card = path.with_suffix(".md")
    if not path.is_relative_to(Path(str(files("bench.suites")))) or not card.is_file():
        return "not known here"
    stated = _CARD.search(card.read_text(encoding="utf-8"))
    return stated[1] if stated else "not known here"
