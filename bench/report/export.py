"""Tables for programs: JSON, and CSV with the same fields flattened."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.core.escape import csv_cell, json_text
from bench.report import columns
from bench.report.table import Table, TableRow


def to_json(tables: Sequence[Table]) -> str:
    """Render tables as a JSON array; scores are unrounded fractions."""
    content = [
        {
            "suite": table.suite,
            "convention": table.convention,
            "averaged_tasks": list(table.averaged_tasks),
            "metrics": table.metrics,
            "rows": [_fields(row) for row in table.rows],
        }
        for table in tables
    ]
    return json_text(content, indent=1)


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


def _fields(row: TableRow) -> dict[str, Any]:
    # What tells a row from all others comes first.
    fields = {"id": row.id, "label": row.label, "spec": row.spec, **asdict(row)}
    fields["scores"] = fields.pop("tasks")
    for column in columns.COLUMNS:
        _put(fields, column.field, column.value(row))
    # A table shows it of trainings alone.
    fields["profile"] = row.profile
    if row.ci95 is not None:
        fields["ci95"] = dict(zip(("low", "high"), row.ci95, strict=True))
    return fields


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    outer, dot, inner = name.partition(".")
    if not dot:
        fields[name] = value
    elif fields.setdefault(outer, {}) is not None:
        _put(fields[outer], inner, value)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, " ".join(value) if isinstance(value, tuple) else value
