"""``bench claims``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import completers
from bench.cli.options import Verb, list_option, methods_option
from bench.cli.table import BASELINES
from bench.cli.terminal import say, terminal_width
from bench.cli.writing import check_generated, write_generated
from bench.core.errors import EXIT_OK

if TYPE_CHECKING:
    from bench.records.files import StoredRecord
    from bench.verdicts.claims import Judgement
    from bench.verdicts.papers import Paper

CLAIMS = Path("results/claims.md")
# Where the answers are kept that come with the package.
ANSWERS = Path("suites/claims/answers.json")
PAGE = 80


@click.command("claims", cls=Verb)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--records",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help=f"Folders of records [{BASELINES}].",
)
@click.option(
    "--run", is_flag=True, help="First run what has no records, into the first of these folders."
)
@click.option("--data", help="Data folder for --run [$BENCH_DATA].")
@click.option("--write", "action", flag_value="write", help=f"Write {CLAIMS} instead.")
@click.option("--check", "action", flag_value="check", help="Fail if it is not up to date.")
@list_option("--paper", "papers", text="Only claims of these files, by name: simcse,sct.")
@list_option(
    "--suite", "-s", "suites", text="Only claims on these suites.", shell_complete=completers.suites
)
@methods_option("Only claims about these: specs, or names with whatever options.")
@list_option(
    "--answer",
    "answers",
    text="Only claims of these answers: holds, 'does not hold', undecided, 'cannot be tested'.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=CLAIMS,
    help=f"File to write or to check [{CLAIMS}].",
)
def command(
    files: tuple[Path, ...],
    folders: tuple[Path, ...],
    run: bool,
    data: str | None,
    action: str | None,
    to: Path,
    **asked: tuple[str, ...] | None,
) -> int:
    """Answer what papers claim, in FILES [those of the package], from measured records.

    Where there are neither records nor --run, the answers are those that came with the package.
    """
    from bench.core.errors import UsageError
    from bench.report.claims import render_markdown, render_text, select_answers

    if action and any(asked.values()):
        raise UsageError("--write and --check are for all claims; drop the other options")
    answered = _answered(files, folders, run, data, is_page=action is not None)
    if action is None:
        filters = {name: value or () for name, value in asked.items()}
        say(render_text(select_answers(answered, **filters), terminal_width(PAGE)))
        return EXIT_OK
    maker = _maker(files, folders, to)
    texts = {to: render_markdown(answered, maker)}
    if not files and not folders and to == CLAIMS and ANSWERS.parent.is_dir():
        from bench.verdicts.answers import write_answers

        texts[ANSWERS] = write_answers([one for _, answers in answered for one in answers])
    return (
        write_generated(texts, to, "--to") if action == "write" else check_generated(texts, maker)
    )


def _answered(
    files: Sequence[Path], folders: tuple[Path, ...], run: bool, data: str | None, *, is_page: bool
) -> list[tuple[Paper, list[Judgement]]]:
    """Papers, and the answers to their claims."""
    from bench.verdicts.claims import answer_papers
    from bench.verdicts.papers import load_papers

    papers = load_papers(files)
    if not (folders or run or is_page or BASELINES.is_dir()):
        from bench import __version__
        from bench.verdicts.answers import answer_packaged

        say(
            f"bench: there is no {BASELINES} here; these answers came with sentence-bench "
            f"{__version__}",
            err=True,
        )
        return answer_packaged(papers)
    stored = _records(folders, run)
    output = (folders or (BASELINES,))[0]
    failures = _run(papers, stored, output, data) if run else {}
    return answer_papers(papers, stored, output, failures)


def _records(folders: tuple[Path, ...], run: bool) -> list[StoredRecord]:
    from bench.records.files import find_records
    from bench.verdicts.claims import read_all

    first, *others = folders or (BASELINES,)
    # Only a folder that was named, and is not about to be made, has to be there.
    asked = others if (run or not folders) and not first.is_dir() else [first, *others]
    return read_all(find_records(asked)) if asked else []


def _run(
    papers: Sequence[Paper], stored: list[StoredRecord], output: Path, data: str | None
) -> dict[str, str]:
    from bench.cli.claim_runs import ClaimRuns
    from bench.core.bar import Bar

    with Bar() as bar:
        runs = ClaimRuns(stored, output, data, bar)
        return runs.run(claim for paper in papers for claim in paper.claims)


def _maker(files: Sequence[Path], folders: Sequence[Path], to: Path) -> str:
    parts = ["bench", "claims", *(path.as_posix() for path in files)]
    for folder in folders:
        parts += ["--records", folder.as_posix()]
    if to != CLAIMS:
        parts += ["--to", to.as_posix()]
    return shlex.join([*parts, "--write"])
