"""What README.md and docs say is true: commands run, specs and suites exist, links lead somewhere.

A comment before a block of commands says what becomes of it: ``runs``, ``runs nightly``, ``run by
FILE``, ``installs FOLDER`` or ``not run: needs WHAT``. Blocks with a title are files. What runs
does so in a folder of its own for each page, in order, with the committed records.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from bench.cli.main import cli, main
from bench.core import registry
from bench.core.errors import BenchError
from bench.core.spec import parse_method_spec, split_list
from bench.method import lineage, make_method, method_class
from bench.suite import read_suite
from tests.support.documents import (
    Block,
    anchors_of,
    commands_of,
    dead_links,
    lines_of,
    read_blocks,
    without_target,
)
from tests.test_contributing import register

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
TEXTS = {name: page.read_text("utf-8") for name, page in zip(NAMES, PAGES, strict=True)}
BLOCKS = {name: [*read_blocks(name, text)] for name, text in TEXTS.items()}
NEEDED = {
    "the network",
    "a GPU",
    "a cluster",
    "a server",
    "hours",
    "another program",
    "a file of yours",
}
# Methods and files that stand for a reader's own.
YOURS = {"mine", "mine.toml"}
RUN = ("runs", "runs nightly")


def is_script(block: Block) -> bool:
    """Whether a block is of commands or of Python that a reader would run."""
    if block.title or block.language not in {"sh", "", "python"}:
        return False
    return block.language != "" or any(commands_of(block.text))


def wrong_mark(block: Block) -> str | None:
    """What is wrong with what is said of a block, or None."""
    kind, _, rest = block.mark.partition(" ")
    if block.mark in RUN or kind == "installs":
        return None
    if kind == "run" and rest.startswith("by ") and (ROOT / rest.removeprefix("by ")).is_file():
        return None
    if kind == "not" and rest.removeprefix("run: needs ") in NEEDED:
        return None
    return f"{block.page}:{block.line}: {block.mark or 'no mark'}"


@pytest.mark.parametrize("name", NAMES)
def test_every_script_runs_or_says_what_it_needs(name: str) -> None:
    assert [wrong for one in BLOCKS[name] if is_script(one) and (wrong := wrong_mark(one))] == []


def parsed(words: list[str]) -> click.Context:
    """A command as click reads it.

    Raises:
        click.ClickException: There is no such verb, option or choice.
        BenchError: There is no such verb.
    """
    command: click.Command = cli
    context, rest = click.Context(cli, info_name="bench"), [*words]
    while isinstance(command, click.Group):
        inner = command.get_command(context, rest[0] if rest else "")
        if inner is None:
            raise click.UsageError(f"no command {rest}")
        command, name, rest = inner, rest[0], rest[1:]
        if not isinstance(command, click.Group):
            return command.make_context(name, rest, parent=context)
    raise AssertionError("a group without commands")


def each(value: str | Sequence[str] | None) -> list[str]:
    """What an option lists, whether or not click has split it."""
    return split_list(value) if isinstance(value, str) else [*(value or ())]


def unknown(words: list[str], own: set[str], files: set[str]) -> list[str]:
    """What a command names that there is not: verbs, options, methods or suites.

    Args:
        words: The command.
        own: Methods of the page.
        files: Files of the page.
    """
    try:
        context = parsed(words)
    except (click.ClickException, BenchError) as error:
        return [f"{' '.join(words)}: {error}"]
    asked: dict[str, Any] = context.params
    wrong = []
    if context.info_name in {"run", "check", "fetch"}:
        profile = asked.get("profile") or "local"
        for spec in each(asked.get("methods")):
            # A class in a file of the page, or a method that it registers.
            if spec.partition(":")[0] in files or parse_method_spec(spec).name in own | YOURS:
                continue
            wrong += [] if (error := bad_spec(spec, profile)) is None else [error]
    for suite in [one for name in ("suite", "suites") for one in each(asked.get(name))]:
        known = suite in registry.names(registry.SUITES) or suite.startswith("mteb:")
        track = f"{suite}-supervised" in registry.names(registry.SUITES)
        if not known and not track and Path(suite).name not in files | YOURS:
            wrong.append(f"{' '.join(words)}: no suite {suite}")
    return wrong


def bad_spec(text: str, profile: str) -> str | None:
    """Why a spec, or one within it, cannot be."""
    try:
        spec = parse_method_spec(text)
        lineage(make_method(spec, profile))
    except BenchError as error:
        return f"{text}: {error}"
    return None


def write_file(block: Block, folder: Path) -> Path:
    """Write the file that a block is the content of."""
    path = folder / block.title
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    return path


def entry_points_of(block: Block) -> set[str]:
    """Methods that a file of a page registers."""
    if not block.title.endswith("pyproject.toml"):
        return set()
    project = tomllib.loads(block.text)["project"]
    return set(project.get("entry-points", {}).get("bench.methods", {}))


@pytest.mark.parametrize("name", NAMES)
def test_commands_name_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Commands may read the files of their page.
    monkeypatch.chdir(tmp_path)
    own = {method for block in BLOCKS[name] for method in entry_points_of(block)}
    files = {write_file(block, tmp_path).name for block in BLOCKS[name] if block.title}
    scripts = [block for block in BLOCKS[name] if not block.title and block.language in {"sh", ""}]
    words = [words for block in scripts for words in commands_of(block.text)]
    assert [wrong for one in words for wrong in unknown(one, own, files)] == []


@pytest.mark.parametrize(
    "command",
    [
        "bench rum",
        "bench run --suites mini",
        "bench table --format html",
        "bench run --methods sctt",
        "bench run --methods 'sct[que_size=3]'",
        "bench run --methods 'truncate[dim=3,of=sct[que_size=3]]'",
        "bench run --suite sts8",
        "X=1 bench run --suite $(echo a b) && bench cache sizes",
        "git bisect run sh -c 'rm -rf now\n bench gat now'",
    ],
)
def test_a_planted_mistake_is_found(command: str) -> None:
    words = [*commands_of(command)]
    assert words
    assert [wrong for one in words for wrong in unknown(one, set(), set())]


@pytest.mark.parametrize("name", NAMES)
def test_code_can_be_read(tmp_path: Path, name: str) -> None:
    for block in BLOCKS[name]:
        if block.language == "python":
            compile(block.text, f"{name}:{block.line}", "exec")
        if block.language == "toml" and "convention" in tomllib.loads(block.text):
            path = tmp_path / block.title
            path.write_text(block.text, encoding="utf-8")
            assert read_suite(str(path)).name == path.stem


@pytest.mark.parametrize("name", [*NAMES, "CONTRIBUTING.md", "suites/README.md"])
def test_links_lead_somewhere(name: str) -> None:
    assert dead_links(ROOT, ROOT / name) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One: two\n")
    page = tmp_path / "a.md"
    page.write_text("[x](b.md#one-two) [y](c.md) [z](b.md#three) [w](https://example.org/c.md)\n")
    assert dead_links(tmp_path, page) == ["a.md: c.md", "a.md: b.md#three"]
    assert anchors_of("```\n# no\n```\n## A `b`, c\n") == {"a-b-c"}


@pytest.mark.parametrize("method", registry.names(registry.METHODS))
def test_a_method_has_a_page_that_names_its_paper(method: str) -> None:
    if registry.owner(registry.METHODS, method) != "sentence-bench":
        pytest.skip("another package's")
    text, info = TEXTS[f"docs/methods/{method}.md"], method_class(method).info
    assert text.startswith(f"# {method}\n")
    assert "## Use" in text
    if info.arxiv:
        assert f"arXiv {info.arxiv}" in " ".join(text.split())
        assert str(info.year) in text


class Session:
    """Runs the blocks of a page in a folder."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        self.names: dict[str, Any] = {}

    def take(self, block: Block) -> None:
        """Write the file that a block is, or run it."""
        if block.title:
            write_file(block, self.folder)
        elif block.mark.startswith("installs "):
            self._install(self.folder / block.mark.removeprefix("installs "))
        elif block.mark in RUN and block.language == "python":
            exec(compile(block.text, block.page, "exec"), self.names)
        elif block.mark in RUN:
            for line in lines_of(block.text):
                self._run(line)

    def _run(self, line: str) -> None:
        """Run the command of a line; what stands before ``&&`` is an installation."""
        script = shlex.split(line, comments=True)
        words, target = without_target(script[script.index("bench") + 1 :])
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(words)
        assert code == 0, f"{line}: exit code {code}"
        if target:
            (self.folder / target).write_text(out.getvalue(), encoding="utf-8")

    def _install(self, package: Path) -> None:
        register(package, (package / "pyproject.toml").read_text(encoding="utf-8"))
        self.patch.syspath_prepend(str(package))
        registry._entries.cache_clear()


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A folder with the committed records, as those of runs and as those of the repository."""
    shutil.copytree(ROOT / "results/baselines", tmp_path / "results/baselines")
    for suite in ("mini", "sts7", "redundancy"):
        shutil.copytree(ROOT / "results/baselines" / suite, tmp_path / "results/runs" / suite)
    shutil.copytree(ROOT / "results/leaderboards", tmp_path / "results/leaderboards")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "BENCH_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("BENCH_DATA", raising=False)
    yield Session(tmp_path, monkeypatch)
    # Only where its packages are no longer found, the next page is without them.
    monkeypatch.undo()
    registry._entries.cache_clear()


QUICK = [name for name in NAMES if any(block.mark == "runs" for block in BLOCKS[name])]
SLOW = [name for name in NAMES if any(block.mark == "runs nightly" for block in BLOCKS[name])]


@pytest.mark.parametrize("name", QUICK)
def test_what_runs_offline_runs(session: Session, name: str) -> None:
    for block in BLOCKS[name]:
        if block.mark != "runs nightly":
            session.take(block)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SLOW)
def test_what_takes_longer_runs_too(session: Session, name: str) -> None:
    for block in BLOCKS[name]:
        session.take(block)


@pytest.mark.nightly
def test_the_site_is_built_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [
        sys.executable,
        "-P",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert len(pages) > len(NAMES)
    loads = re.compile(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]+)')
    assert [found for page in pages for found in loads.findall(page)] == []
