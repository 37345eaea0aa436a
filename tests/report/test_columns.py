"""A column of the table is declared once, and comes out everywhere."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from bench.report import columns
from bench.report.columns import COLUMNS, TableColumn
from bench.report.export import to_csv, to_json
from bench.report.selection import TableSelection
from bench.report.table import Table, load_tables
from bench.report.text import render
from tests.support.records import record_of, task_of, write_in


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A table of a method without options and one with two."""
    paths = []
    for spec in ("plain", "made[a=1,b=2]"):
        tasks = {"A": task_of("sts", 0.5, metric="Spearman")}
        record = record_of(spec, tasks, dimension=len(spec))
        paths.append(write_in(tmp_path, spec, record, {}))
    (made,) = load_tables(paths)
    return made


def _options(spec: str) -> int | None:
    return spec.count("=") or None


TOY = TableColumn(
    "Options",
    lambda row: _options(row.spec),
    lambda count: f"{count} set",
    "set.options",
    optional=True,
    expendable=0,
    note=lambda table: f"Options are those of {len(table.rows)} specs.",
)


@pytest.fixture
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "COLUMNS", [*COLUMNS, TOY])


@pytest.mark.usefixtures("with_toy")
def test_a_new_column_comes_out_in_every_form(table: Table) -> None:
    chosen = TableSelection(columns=("Avg", "options"))
    text, page = render(table), render(table, style="markdown")
    latex = render(table, style="latex", selection=chosen)
    for shown in (text, page, latex):
        assert "Options" in shown
        assert "2 set" in shown
        assert "Options are those of 2 specs." in shown
    rows = {row["spec"]: row for row in json.loads(to_json([table]))[0]["rows"]}
    assert rows["made[a=1,b=2]"]["set"] == {"options": 2}
    assert rows["plain"]["set"] == {"options": None}
    lines = list(csv.DictReader(io.StringIO(to_csv([table]))))
    assert sorted(line["set.options"] for line in lines) == ["", "2"]


@pytest.mark.usefixtures("with_toy")
def test_a_narrow_page_goes_without_what_is_expendable(table: Table) -> None:
    whole = render(table).splitlines()
    width = max(map(len, whole[2:6]))
    assert "2 set" in render(table, width=width)
    narrow = render(table, width=width - 1)
    assert "2 set" not in narrow
    # The least telling goes alone.
    assert "Dim" in narrow


def test_an_optional_column_without_values_is_left_out(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    for optional in (True, False):
        toy = TableColumn("Toy", lambda _: None, str, "toy", optional=optional)
        monkeypatch.setattr(columns, "COLUMNS", [*COLUMNS, toy])
        assert ("Toy" in render(table)) is not optional
        assert json.loads(to_json([table]))[0]["rows"][0]["toy"] is None


def test_a_fact_that_all_rows_share_moves_to_the_caption(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = TableColumn("Toy", lambda _: 7, str, "toy", kind="fact")
    monkeypatch.setattr(columns, "COLUMNS", [*COLUMNS, toy])
    assert render(table).splitlines()[0].endswith(", toy 7")
