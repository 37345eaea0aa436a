"""Every registered suite: it loads, its names agree, and its data is what its kinds read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bench.core.registry import METHODS, SUITES, names
from bench.core.spec import parse_method_spec
from bench.data.catalog import catalog, parse_refs
from bench.data.rows import read_table
from bench.suite import AVERAGE, KINDS, FileData, Suite, TaskSpec, load_suites, read_suite

NAMES = names(SUITES)
# Tables of the package that are no suites.
OTHERS = {"datasets"}


def suites() -> Iterator[Suite]:
    """All suites, those of groups once."""
    found = {suite.name: suite for name in NAMES for suite in load_suites(name)}
    yield from found.values()


def unregistered(paths: Iterable[Path]) -> list[str]:
    return sorted({path.stem for path in paths} - OTHERS - {*NAMES})


def parts() -> Iterator[Any]:
    """Every part of every task."""
    for suite in suites():
        for task in suite.tasks:
            for part in task.parts():
                yield pytest.param(suite, task, part, id=f"{suite.name}-{task.name}-{part}")


def columns(suite: Suite, task: TaskSpec, part: str) -> set[str] | None:
    """Columns that the rows of a part have, where that can be told without fetching them.

    Raises:
        UsageError: They are named, and nothing in the catalog has the name.
    """
    data = task.parts()[part]
    if isinstance(data, str):
        return {name for ref in parse_refs(data) for name in catalog()[ref.dataset].columns}
    if isinstance(data, FileData):
        rows = read_table(suite.path.parent / data.file)
        return {name for row in rows for name in row}
    return None


def test_every_suite_of_ours_is_registered() -> None:
    ours = [Path(str(one)) for one in files("bench.suites").iterdir()]
    tables = [path for path in ours if path.suffix == ".toml"]
    assert len(tables) > len(OTHERS)
    assert unregistered(tables) == []


def test_a_suite_that_is_not_registered_is_found() -> None:
    assert unregistered([Path("sts7.toml"), Path("datasets.toml"), Path("new.toml")]) == ["new"]


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_is_what_its_name_says(name: str) -> None:
    found = read_suite(name)
    assert found.name == name
    assert found.title.strip()
    assert load_suites(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_is_stable(name: str) -> None:
    first, again = (
        [json.dumps(suite.definition(), sort_keys=True) for suite in load_suites(name)]
        for _ in range(2)
    )
    assert first == again
    assert len({*first}) == len(first)
    # Where the suite lies is nobody's business.
    assert not any(str(suite.path.parent) in text for suite in suites() for text in first)


@pytest.mark.parametrize("suite", [pytest.param(one, id=one.name) for one in suites()])
def test_names_agree(suite: Suite) -> None:
    tasks = [task.name for task in suite.tasks]
    assert len({*tasks}) == len(tasks)
    assert AVERAGE not in tasks
    assert {*suite.average} <= {*tasks}
    assert {task.kind for task in suite.tasks} <= {*KINDS, "mteb"}
    assert {parse_method_spec(text).name for text in suite.variants} <= {*names(METHODS)}


@pytest.mark.parametrize(("suite", "task", "part"), parts())
def test_data_has_the_columns_that_the_kind_reads(suite: Suite, task: TaskSpec, part: str) -> None:
    known = columns(suite, task, part)
    if known is None:
        return
    needed = {*task.row_columns()} - {*task.optional_columns(part)}
    assert {task.columns.get(name, name) for name in needed} <= known
