"""Leaderboards: a Markdown file for each suite, made of committed records alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.core.compute import FULL, Compute
from bench.core.errors import DataError
from bench.core.escape import markdown, plain
from bench.records.entries import Record
from bench.records.files import StoredRecord
from bench.report.table import Table, make_table, read_suites
from bench.report.text import render
from bench.report.views import diagnostics
from bench.report.views.page import by_row
from bench.suite import split_part

COMMAND = "bench table --write"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def leaderboards(paths: Iterable[Path]) -> dict[str, str]:
    """Render the leaderboards of all suites that have records.

    Returns:
        Text of each file by its name, ``<suite>.md``.

    Raises:
        DataError: A record is damaged, or the name of its suite cannot be that of a file.
    """
    texts = {}
    for suite, stored in read_suites(paths).items():
        if split_part(suite)[1]:
            # Part of a suite is compared with nothing but itself.
            continue
        if not _NAME.fullmatch(suite):
            raise DataError(f"{stored[0][0]}: suite {suite!r} cannot be the name of a file")
        texts[f"{suite}.md"] = _leaderboard(make_table(suite, stored), stored)
    return texts


def _leaderboard(table: Table, stored: Sequence[StoredRecord]) -> str:
    records = [record for _, record in stored]
    members = diagnostics.render(table.suite, records, style="markdown")
    parts = [
        render(table, style="markdown"),
        *([members] if members is not None else []),
        "Measured by",
        "\n".join(f"    {command}" for command in commands(table, records)),
        "\n".join(["with", "", *(f"- {markdown('; '.join(setup))}" for setup in setups(records))]),
        f"Times and memory are those of that machine. Made from {len(records)} records by "
        f"`{COMMAND}`; edits are lost.",
    ]
    return "\n\n".join(parts) + "\n"


def commands(table: Table, records: Sequence[Record]) -> list[str]:
    """Commands that make the records of a table, one for each set of options that they share."""
    order = {row.spec: place for place, row in enumerate(table.rows)}
    by_options: dict[str, set[str]] = {}
    for seeds in by_row(records).values():
        by_options.setdefault(_options(seeds), set()).add(seeds[0].method.spec)
    return [
        plain(
            f"bench run --suite {shlex.quote(table.suite)} {options} "
            f"--methods {shlex.quote(','.join(sorted(specs, key=order.__getitem__)))}"
        )
        for options, specs in sorted(by_options.items())
    ]


def _options(records: Sequence[Record]) -> str:
    """Options of a run that makes the records of one method, with all seeds up to the last one."""
    first = records[0]
    options = ["--profile", first.profile, "--seeds", str(1 + max(one.seed for one in records))]
    if first.limit is not None:
        options += ["--limit", str(first.limit)]
    if first.compute is not None:
        usual, given = Compute(), first.compute
        if given.backend not in (None, usual.backend):
            options += ["--backend", str(given.backend)]
        if given.precision not in (None, usual.precision):
            options += ["--precision", str(given.precision)]
        if given.train_precision not in (None, FULL):
            options += ["--train-precision", str(given.train_precision)]
    return shlex.join(options)


def setups(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Versions and machines by which records were made."""
    return sorted(
        {
            (
                ", ".join(f"{name} {version}" for name, version in record.versions.items()),
                ", ".join(f"{name} {value}" for name, value in record.machine.items()),
            )
            for record in records
        }
    )
