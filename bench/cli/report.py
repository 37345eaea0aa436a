"""``bench report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import Verb, suites_option
from bench.cli.terminal import complain, say
from bench.cli.writing import writing
from bench.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from bench.report.html.material import Material

REPORT = Path("report.html")


@click.command("report", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=REPORT,
    help=f"File to write [{REPORT}].",
)
@suites_option()
@click.option(
    "--diff",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="BASE NOW",
    help="Show what changed between two folders of records instead, as for a pull request.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Also write every picture into this folder.",
)
@click.option(
    "--plot-format", type=click.Choice(["svg", "png"]), default="svg", help="Of these files [svg]."
)
@click.option(
    "--with-texts", is_flag=True, help="Show texts whose licence does not let them be passed on."
)
@click.option("--data", help="Data folder for the texts of items [$BENCH_DATA].")
def command(
    folders: tuple[Path, ...],
    output: Path,
    suites: tuple[str, ...] | None,
    diff: tuple[Path, Path] | None,
    plot: Path | None,
    plot_format: str,
    with_texts: bool,
    data: str | None,
) -> int:
    """Write the records below FOLDERS [results/runs] as one page for a browser.

    The page is a single file that loads nothing, and can be read and printed without scripts.
    """
    from bench.report.charts.files import check_libraries

    check_libraries("bench report", "report", "jinja2")
    if diff is not None and (folders or plot):
        raise UsageError("--diff names both folders itself, and draws no pictures into others")
    if diff is not None:
        text = _diff(*diff, suites)
    else:
        from bench.api.pages import gathered, page_of
        from bench.records.files import find_records

        materials = gathered(find_records(folders), suites, complain)
        text = page_of(materials, with_texts=with_texts, data=data, note=complain)
        if plot is not None:
            _plot(materials, plot, f".{plot_format}")
    _write(output, text)
    return EXIT_OK


def _diff(base: Path, now: Path, suites: Sequence[str] | None) -> str:
    from bench.records.files import find_records
    from bench.report.html.diff import render_diff
    from bench.report.table import read_suites

    before, after = (read_suites(find_records([folder])) for folder in (base, now))
    if suites is not None:
        before, after = (
            {name: part[name] for name in suites if name in part} for part in (before, after)
        )
    return render_diff(before, after, (base.as_posix(), now.as_posix()))


def _plot(materials: Sequence[Material], folder: Path, suffix: str) -> None:
    from bench.report.html.pictures import pictures

    for material in materials:
        for path in pictures(material, folder, suffix):
            say(path)


def _write(path: Path, text: str) -> None:
    from bench.core.files import write_atomic

    content = text.encode()
    with writing(path, "-o"):
        write_atomic(path, content)
    say(f"{path} ({len(content) / 1e6:.2f} MB)")
