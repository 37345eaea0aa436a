"""``bench view``."""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import Verb, suites_option
from bench.cli.terminal import complain, say
from bench.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from bench.report.html.material import Material


@click.command("view", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@suites_option()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port [a free one].")
@click.option(
    "--with-texts", is_flag=True, help="Show texts whose licence does not let them be passed on."
)
@click.option("--data", help="Data folder for the texts of items [$BENCH_DATA].")
def command(
    folders: tuple[Path, ...],
    suites: tuple[str, ...] | None,
    port: int,
    with_texts: bool,
    data: str | None,
) -> int:
    """Serve the page of the records below FOLDERS [results/runs] to this machine, items and all.

    Where the items fit one file, 'bench report' has them too, without a server.
    """
    from bench.api.pages import gathered
    from bench.records.files import find_records
    from bench.report.charts.files import check_libraries
    from bench.report.html.page import Items, render_report
    from bench.report.html.server import LOOPBACK, make_server

    check_libraries("bench view", "report", "jinja2")
    materials = gathered(find_records(folders), suites, complain)
    paths = {material.table.suite: f"/items-{i}.json" for i, material in enumerate(materials)}
    page = render_report(
        materials, {name: Items(address=path) for name, path in paths.items()}, served=True
    )
    items = {
        paths[material.table.suite]: cache(
            partial(_served, material, with_texts=with_texts, data=data)
        )
        for material in materials
    }
    try:
        server = make_server(page, items, port)
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}; choose another one") from None
    with server:
        say(f"http://{LOOPBACK}:{server.server_address[1]}/ until Ctrl-C")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return EXIT_OK


def _served(material: Material, *, with_texts: bool, data: str | None) -> str:
    from bench.api.pages import item_content
    from bench.core.escape import json_text

    items = item_content(material, with_texts=with_texts, data=data, note=complain)
    return json_text(items.content if items.content is not None else {"why": items.why})
