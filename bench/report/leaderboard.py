"""Leaderboards: a Markdown file for each suite, made of committed records alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.core.errors import DataError
from bench.core.escape import markdown, plain
from bench.records.entries import Record
from bench.records.files import StoredRecord
from bench.report.table import Table, make_table, read_suites
from bench.report.text import render
from bench.report.views import diagnostics
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
    """Commands that make the records of a table, one a profile and limit."""
    order = {row.spec: place for place, row in enumerate(table.rows)}
    by_scale: dict[tuple[str, int | None], list[Record]] = {}
    for record in records:
        by_scale.setdefault((record.profile, record.limit), []).append(record)
    return [
        _command(table.suite, profile, limit, group, order)
        for (profile, limit), group in sorted(by_scale.items(), key=lambda item: str(item[0]))
    ]


def _command(
    suite: str,
    profile: str,
    limit: int | None,
    records: Sequence[Record],
    order: Mapping[str, int],
) -> str:
    specs = sorted({record.method.spec for record in records}, key=lambda spec: order[spec])
    seeds = 1 + max(record.seed for record in records)
    options = f" --limit {limit}" * (limit is not None)
    return plain(
        f"bench run --suite {shlex.quote(suite)} --profile {shlex.quote(profile)} "
        f"--seeds {seeds}{options} "
        f"--methods {shlex.quote(','.join(specs))}"
    )


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
