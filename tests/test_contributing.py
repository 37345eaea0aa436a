"""CONTRIBUTING.md is true: what it names exists, and its examples work as they stand there."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.test_architecture import STOREYS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# The examples are made between these headings.
EXAMPLES = TEXT[TEXT.index("## Six worked examples") : TEXT.index("## Records and")]
_BLOCK = re.compile(r"^\*\*`([^`]+)`\*\*\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = r"(?=[\w.])[\w./-]*(?:/[\w.-]*|\.(?:py|md|toml|ini|yaml))"
_NAMED = re.compile(rf"`({_PATH})(?::(\w+))?`")
_OF = re.compile(rf"`(\w+)`\s+(?:of|in)\s+`({_PATH})`")
_ARGUMENT = re.compile(rf"(?<=\s)({_PATH})(?=\s|$)")
_COMMAND = re.compile(r"^    (bench|pytest) (.+)$", re.MULTILINE)
BLOCKS = [(path, language, code) for path, language, code in _BLOCK.findall(EXAMPLES)]
# Files of the examples, one of which has another name in a plugin, and the folder of runs.
MADE = {path for path, language, _ in BLOCKS if language != "diff"} | {
    "my_letters.py",
    "results/runs",
}


def named(text: str) -> Iterator[tuple[str, str]]:
    """Paths that a text names, and a definition in each, or nothing."""
    yield from _NAMED.findall(text)
    yield from ((path, name) for name, path in _OF.findall(text))
    for _, arguments in _COMMAND.findall(text):
        yield from ((path, "") for path in _ARGUMENT.findall(f" {arguments}"))


def absent(text: str) -> list[str]:
    """What a text names, and is not there."""
    asked = [one for one in named(text) if one[0] not in MADE]
    return [f"{path}:{name}" for path, name in asked if not exists(ROOT / path, name)]


def exists(path: Path, name: str) -> bool:
    if not name or not path.exists():
        return path.exists()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    targets = {
        one.id
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for one in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(one, ast.Name)
    }
    return name in targets | {
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def storeys(text: str) -> tuple[tuple[str, ...], ...]:
    """The rooms of the picture, from the ground up."""
    (picture,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return tuple(tuple(line.split(" | ")) for line in reversed(picture.splitlines()))


def patched(text: str, changes: str) -> str:
    """A text after changes in the form of a diff, whose context is found and not counted."""
    for hunk in changes.split("@@\n"):
        lines = hunk.splitlines()
        before, after = (
            "".join(f"{line[1:]}\n" for line in lines if line[0] in kept) for kept in (" -", " +")
        )
        assert f"\n{text}".count(f"\n{before}") == 1, f"this is not once in the file:\n{before}"
        text = f"\n{text}".replace(f"\n{before}", f"\n{after}").removeprefix("\n")
    return text


def register(folder: Path, pyproject: str) -> None:
    """Leave the metadata in a folder that an installation of a project would."""
    project = tomllib.loads(pyproject)["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    groups = project["entry-points"].items()
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in groups
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def call(folder: Path, *arguments: str) -> str:
    """What Python prints in a folder, whose modules hide the installed ones."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "BENCH_CACHE": str(folder / ".cache")}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


BENCH = """
import shlex, sys
from bench.cli.main import main
for line in sys.argv[1:]:
    print("$", line)
    if code := main(shlex.split(line)):
        sys.exit(f"{line}: exit code {code}")
"""


def bench(folder: Path, lines: Iterable[str]) -> Mapping[str, str]:
    """What lines of ``bench`` print, by line."""
    shown = call(folder, "-c", BENCH, *lines).split("$ ")[1:]
    return dict(one.split("\n", 1) for one in shown)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which all examples are made, laid out as it is installed."""
    root = tmp_path_factory.mktemp("tree")
    unneeded = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    for name in ("bench", "methods", "suites", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=unneeded)
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, root)
    for path, language, code in BLOCKS:
        file = root / path
        if language == "diff":
            file.write_text(patched(file.read_text(encoding="utf-8"), code), encoding="utf-8")
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(code, encoding="utf-8")
    for name in ("methods", "suites"):
        (root / "bench" / Path(name).name).symlink_to(root / name)
    register(root, (root / "pyproject.toml").read_text(encoding="utf-8"))
    return root


def test_what_it_names_exists() -> None:
    assert len([*named(TEXT)]) > 50
    assert absent(TEXT) == []


def test_its_picture_is_that_of_the_storeys() -> None:
    assert storeys(TEXT) == STOREYS


def test_what_is_not_there_is_found() -> None:
    planted = (
        "`bench/no.py`, `bench/api.py:no`, `NO` of `bench/api/runs.py`\n    pytest tests/no.py\n"
    )
    assert absent(planted) == [
        "bench/no.py:",
        "bench/api.py:no",
        "bench/api/runs.py:NO",
        "tests/no.py:",
    ]
    assert (
        absent("`bench/api/runs.py:run`, `tests/`, `STOREYS` of `tests/test_architecture.py`") == []
    )
    assert storeys("```text\nup\none | two\n```\n") == (("one", "two"), ("up",))


def test_a_change_that_does_not_fit_is_found() -> None:
    assert patched("a\nb\nc\n", "-a\n+x\n b\n@@\n c\n+d\n") == "x\nb\nc\nd\n"
    with pytest.raises(AssertionError, match="not once"):
        patched("a\nb\n", " b\n+c\n@@\n x\n")


SHOWN = {
    "check letters": "ok   letters",
    "run --suite sts-mini --methods letters": "letters",
    "run --suite toy.toml --methods letters,random": "MRR",
    "run --suite toy.toml --methods letters --limit 50 --output part": "Rows",
    "table --suite toy --view timings": "Build",
    "compare letters random --suite toy": "Wilcoxon's signed-rank test",
}


def test_the_commands_of_the_examples_show_what_is_new(tree: Path) -> None:
    lines = [line for verb, line in _COMMAND.findall(EXAMPLES) if verb == "bench"]
    printed = bench(tree, dict.fromkeys(lines))
    assert printed.keys() == SHOWN.keys()
    for line, word in SHOWN.items():
        assert word in printed[line]


@pytest.mark.nightly
def test_the_tests_of_the_examples_pass(tree: Path) -> None:
    lines = [shlex.split(line) for verb, line in _COMMAND.findall(EXAMPLES) if verb == "pytest"]
    paths = dict.fromkeys(one for line in lines for one in line if one.startswith("tests/"))
    words = [line[line.index("-k") + 1] for line in lines]
    run = ["-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    printed = call(tree, *run, *paths, "-k", " or ".join(words))
    passed = re.findall(r"^PASSED (.+)$", printed, re.MULTILINE)
    for path in paths:
        assert any(one.startswith(path) for one in passed), path
    for word in words:
        assert any(word in one for one in passed), word


@pytest.mark.nightly
def test_no_other_file_has_to_know_of_them(tree: Path) -> None:
    guards = [
        "tests/test_architecture.py",
        "tests/test_packaging.py::test_every_package_is_listed",
        "tests/test_sizes.py::test_nothing_is_too_long",
        "tests/cli/test_data_import.py::test_every_kind_of_task_with_rows_can_be_imported",
        "tests/contract/test_kinds.py::test_every_kind_has_a_case",
        "tests/contract/test_metrics.py::test_every_public_function_has_a_contract",
        "tests/contract/test_methods.py::test_every_method_of_ours_that_learns_has_settings",
        "tests/report/test_table.py::test_the_table_of_some_records",
        "tests/verdicts/test_evidence.py::test_every_evidence_has_a_statistic",
        "tests/verdicts/test_protocol.py::test_every_field_of_a_task_is_changed",
    ]
    call(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *guards)
    call(tree, "-m", "ruff", "check", "--no-cache", ".")
    call(tree, "-m", "ruff", "format", "--no-cache", "--check", ".")


def test_the_method_is_a_plugin_too(tmp_path: Path) -> None:
    code = {path: code for path, _, code in BLOCKS}
    (tmp_path / "my_letters.py").write_text(code["methods/letters.py"])
    register(tmp_path, code["my-letters/pyproject.toml"])
    printed = bench(tmp_path, ["list methods", "check letters"])
    assert "my-letters" in printed["list methods"]
    assert "ok   letters" in printed["check letters"]
