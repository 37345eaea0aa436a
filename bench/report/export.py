"""Tables for programs: JSON, and CSV with the same fields flattened."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.core.escape import csv_cell, json_text
from bench.report.table import NO_BASE, Row, Table


def to_json(tables: Sequence[Table]) -> str:
    """Render tables as a JSON array; scores are unrounded fractions."""
    found = [
        {
            "suite": table.suite,
            "convention": table.convention,
            "averaged_tasks": list(table.averaged_tasks),
            "metrics": table.metrics,
            "rows": [_fields(row) for row in table.rows],
        }
        for table in tables
    ]
    return json_text(found, indent=1)


def to_csv(tables: Sequence[Table]) -> str:
    """Render tables as one CSV, a line for each row; nested fields are joined by dots.

    Columns of tasks that a row does not have are empty. Texts are those of ``csv_cell``.
    """
    lines = [
        {"suite": table.suite, "convention": table.convention, **dict(_flat(_fields(row)))}
        for table in tables
        for row in table.rows
    ]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in names])
    writer.writerows([csv_cell(line.get(name)) for name in names] for line in lines)
    return text.getvalue().rstrip("\n")


def _fields(row: Row) -> dict[str, Any]:
    fields = asdict(row)
    fields["scores"] = fields.pop("tasks")
    for name in ("base", "profile"):
        if fields[name] == NO_BASE:
            fields[name] = None
    if row.ci95 is not None:
        fields["ci95"] = dict(zip(("low", "high"), row.ci95, strict=True))
    return fields


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, " ".join(value) if isinstance(value, tuple) else value
