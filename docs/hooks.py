"""What mkdocs adds to the pages of this folder: a reference made from the code, never by hand.

Options of the command line come from click, those of methods, suites and data sets from what
``bench show`` prints, answers to claims from those that come with the package. Pages that lie
elsewhere in the repository are shown too, and links to them work in both places.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bench.cli.main import cli
from bench.core.descriptions import Description
from bench.core.escape import markdown, markdown_code
from bench.core.registry import METHODS, SUITES, names, owner
from bench.core.spec import parse_method_spec
from bench.data.catalog import catalog
from bench.data.description import describe_data
from bench.method.description import describe_method
from bench.report.descriptions import as_markdown
from bench.suite.description import describe_suite
from bench.verdicts.answers import answer_from, packaged_answers
from bench.verdicts.claims import Judgement
from bench.verdicts.papers import Paper, load_papers

ROOT = Path(__file__).parents[1]
OURS = "sentence-bench"
LEADERBOARDS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "results/leaderboards").glob("*.md")
)
# Pages of the repository that are shown under their own paths.
SHOWN = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "results/README.md",
    "results/claims.md",
    "suites/README.md",
    "suites/published/README.md",
    *LEADERBOARDS,
)
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)\s#]+)")
# A method, perhaps in another one; a letter before or behind makes another name.
_NAMED = r"(?<![\w.-]){}(?![\w.-])"
PYTHON = {
    "bench.api": "",
    "bench.method": "",
    "bench.testing": "",
    "bench.integrations.mteb": "",
    "bench.integrations.sentence_transformers": "",
    "bench.integrations.senteval": "",
    "bench.jobs.executor": "Executor, PlannedRun",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the methods, and the leaderboards."""
    for section in config.nav or []:
        if "Methods" in section:
            section["Methods"] += [{name: f"methods/{name}.md"} for name in our_methods()]
        if "What was measured" in section:
            section["What was measured"] += [
                {"Leaderboards": [{Path(path).stem: path} for path in LEADERBOARDS]}
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and those of the repository.

    Raises:
        FileNotFoundError: A method has no page.
    """
    pages = {
        **{path: (ROOT / path).read_text(encoding="utf-8") for path in SHOWN},
        "reference/cli.md": command_line(),
        "reference/python.md": python(),
        "reference/suites.md": listed("Suites", map(describe_suite, of_ours(SUITES))),
        "reference/data.md": listed("Data sets", map(describe_data, catalog())),
        "notebook.md": notebook(ROOT / "docs/notebook.ipynb"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for name in our_methods():
        if files.get_file_from_path(f"methods/{name}.md") is None:
            raise FileNotFoundError(f"docs/methods/{name}.md: method {name} has no page")
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Add what is made to the page of a method, and let links to the repository find its pages."""
    path = page.file.src_uri
    folder, _, file = path.rpartition("/")
    name = file.removesuffix(".md")
    if folder == "methods" and name in our_methods():
        text = f"{text.rstrip()}\n\n{of_method(name)}"
    # Pages of docs say where they link to as it lies in the repository, which is a folder above.
    lies = "" if path in SHOWN else "docs/"
    return _LINK.sub(lambda link: shown_link(link[0], lies + folder, folder), text)


def shown_link(link: str, lies: str, folder: str) -> str:
    """A link of a page, as the site has it.

    Args:
        link: The link.
        lies: Folder of the page in the repository.
        folder: Folder of the page on the site.
    """
    target = posixpath.normpath(posixpath.join(lies, link))
    # A notebook is shown as the page that is made of it.
    on_site = target.removeprefix("docs/").removesuffix(".ipynb")
    on_site += ".md" if target.endswith(".ipynb") else ""
    if target not in SHOWN and not target.startswith("docs/"):
        return link
    return posixpath.relpath(on_site, folder or ".")


def notebook(path: Path) -> str:
    """A notebook as a page, without what it would print."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    parts = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([*parts, "The same as a file: `docs/notebook.ipynb`.\n"])


def of_ours(group: str) -> list[str]:
    """Names of this project's own entry points, not of others that are installed too."""
    return [name for name in names(group) if owner(group, name) == OURS]


def our_methods() -> list[str]:
    """Names of this project's methods."""
    return of_ours(METHODS)


def listed(title: str, descriptions: Iterator[Description]) -> str:
    """A page of descriptions."""
    return "\n".join([f"# {title}\n", *map(as_markdown, descriptions)])


def of_method(name: str) -> str:
    """What is made for the page of a method: facts, options, claims and leaderboards."""
    facts = replace(describe_method(name), name="In short", title="", text="")
    parts = [re.sub("^### ", "## ", as_markdown(facts), flags=re.MULTILINE), *claims_of(name)]
    boards = [path for path in LEADERBOARDS if has_row(name, path)]
    if boards:
        links = [f"[{Path(path).stem}](../../{path})" for path in boards]
        parts.append(f"## Measured\n\nIt has rows on the leaderboards {', '.join(links)}.\n")
    return "\n".join(parts)


def has_row(name: str, path: str) -> bool:
    """Whether a leaderboard has a row of a method, as it is or within another one."""
    rows = re.findall(r"^\|[^|]+\| `([^`]+)`", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    return any(re.search(_NAMED.format(re.escape(name)), row) for row in rows)


def claims_of(name: str) -> list[str]:
    """The claims about a method, and their answers; nothing where there are none."""
    answers = packaged_answers()
    rows = [
        claim_row(paper, answer_from(claim, answers))
        for paper in load_papers([])
        for claim in paper.claims
        if name in {parse_method_spec(claim.a).name, parse_method_spec(claim.b).name}
    ]
    if not rows:
        return []
    head = "| Claim | Source | A | B | Suite | A − B, 95% interval | Answer |\n|" + " --- |" * 7
    note = (
        "Answers are those of the [committed records](../../results/claims.md), with small "
        "trainings on small bases: directions, not figures of the papers.\n"
    )
    return ["## What papers claim\n", note, "\n".join([head, *rows, ""])]


def claim_row(paper: Paper, judgement: Judgement) -> str:
    """A row of the claims of a page."""
    claim, measured = judgement.claim, judgement.measured
    value = "–"
    if measured is not None:
        delta, (low, high) = measured.difference.delta, measured.difference.ci95
        value = f"{100 * delta:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
    arxiv = f" (arXiv {paper.arxiv})" if paper.arxiv else ""
    cells = [
        markdown(claim.claim),
        markdown(f"{paper.paper}{arxiv}: {claim.source}"),
        markdown_code(claim.a),
        markdown_code(claim.b),
        markdown_code(f"{claim.suite}, {claim.task}" if claim.task else claim.suite),
        value,
        judgement.answer,
    ]
    return f"| {' | '.join(cells)} |"


def command_line() -> str:
    """A section for each verb, with its arguments and options."""
    context = click.Context(cli, info_name="bench")
    lead = (
        "# Command line\n\nDefaults are in brackets. `bench VERB --help` prints the same. What a "
        "command exits with is in [exit codes](../exit-codes.md).\n"
    )
    verbs = [of_command(name, cli, context) for name in cli.list_commands(context)]
    return "\n".join([lead, *verbs])


def of_command(name: str, group: click.Group, parent: click.Context, level: int = 2) -> str:
    """A section for a verb, and one for each verb below it."""
    command = group.get_command(parent, name)
    if command is None:
        raise LookupError(f"bench {name}: listed, and not there")
    context = click.Context(command, info_name=name, parent=parent)
    help_text = (command.help or "").strip().split("\n\n")
    parts = [
        f"{'#' * level} {context.command_path}\n",
        *(f"{markdown(' '.join(part.split()))}\n" for part in help_text),
        f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n",
        option_table(command.params, context),
    ]
    if isinstance(command, click.Group):
        inner = command.list_commands(context)
        parts += [of_command(one, command, context, level + 1) for one in inner]
    return "\n".join(parts)


def option_table(params: Sequence[click.Parameter], context: click.Context) -> str:
    """The options of a verb; nothing where there are none to show."""
    records = [param.get_help_record(context) for param in params]
    rows = [f"| {markdown_code(one[0])} | {markdown(one[1])} |" for one in records if one]
    return "\n".join(["| Option | What it is |\n| --- | --- |", *rows, ""]) if rows else ""


def python() -> str:
    """Sections that mkdocstrings fills from the docstrings."""
    lead = "# Python\n\nWhat programs and authors of methods import.\n"
    return "\n".join([lead, *(module(name, only) for name, only in PYTHON.items())])


def module(name: str, only: str) -> str:
    """A section for a module, or for some of what it has."""
    options: Mapping[str, Any] = {"members": only.split(", ")} if only else {}
    lines = [f"::: {name}", "    options:", "      heading_level: 2"]
    lines += [f"      {key}: {value}" for key, value in options.items()]
    return "\n".join([*lines, ""])
