"""Rows and columns that are asked for, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.records.files import find_records
from bench.report.selection import TableSelection, check_names, select_rows
from bench.report.table import Table, load_tables
from bench.report.text import render
from tests.report.golden.pages import BASELINES


@pytest.fixture(scope="module")
def table() -> Table:
    (made,) = load_tables(find_records([BASELINES / "mini"]))
    return made


def specs(table: Table, **asked: object) -> list[str]:
    return [row.spec for row in select_rows(table, TableSelection(**asked)).rows]


def test_the_best_rows_bring_their_untrained_bases(table: Table) -> None:
    assert specs(table, top=1) == ["minilm"]
    assert specs(table, top=3) == ["minilm", "minilm-l2", "simcse"]
    assert specs(table, top=1, methods=("simcse",)) == ["minilm-l2", "simcse"]
    assert specs(table, top=99) == [row.spec for row in table.rows]


def test_bases_methods_and_both(table: Table) -> None:
    assert specs(table, bases=("none",)) == ["minilm", "tfidf", "random"]
    assert specs(table, bases=("minilm-l2",), methods=("sct", "minilm")) == ["sct"]


def test_rows_in_the_order_of_a_column(table: Table) -> None:
    assert specs(table, sort="sts", bases=("minilm-l2",)) == ["sct", "simcse", "minilm-l2"]
    assert specs(table, sort="-STS", bases=("minilm-l2",)) == ["minilm-l2", "simcse", "sct"]
    assert specs(table, sort="Method", bases=("none",)) == ["minilm", "random", "tfidf"]
    # Rows without a training time come last.
    assert specs(table, sort="Train s", bases=("minilm-l2",)) == ["simcse", "sct", "minilm-l2"]


def test_a_part_of_a_table_says_so_and_keeps_its_ranks(table: Table) -> None:
    part = select_rows(table, TableSelection(methods=("random", "tfidf")))
    shown = render(part)
    assert shown.startswith("mini: senteval convention, seeds 1, 2 of 6 rows\n")
    assert [row.rank for row in part.rows] == [2, 3]
    assert "of 6 rows" not in render(select_rows(table, TableSelection()))


def test_columns_in_their_order_with_their_digits(table: Table) -> None:
    selection = TableSelection(columns=("Avg", "sts", "Base"), digits=1)
    lines = render(table, selection=selection).splitlines()
    assert lines[2].split() == ["Method", "Avg", "STS", "Base"]
    assert lines[5].split() == ["minilm", "63.4¹", "64.5¹", "–"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"columns": ("Avgerage",)}, "no column 'Avgerage'; did you mean 'Avg'"),
        ({"sort": "-STS13"}, "no column 'STS13'"),
        ({"columns": ("?",)}, "no column '?'; there are Rank, Method"),
        ({"bases": ("bert",)}, "--base 'bert': no row has it; choose none, minilm-l2"),
        ({"methods": ("sct[x=1]",)}, "no row is called that"),
    ],
)
def test_what_there_is_not_is_refused(table: Table, asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_names([table], TableSelection(**asked))
    assert message in str(refused.value)


def test_names_of_rows_that_are_alike(tmp_path: Path) -> None:
    from tests.support.records import record_of, task_of, write_in

    tasks = {"A": task_of("sts", 0.5, metric="Spearman")}
    trained = {"trained": True, "base": "b"}
    records = [
        record_of("sct", tasks, method=trained, profile="smoke"),
        record_of("sct", tasks, method=trained, profile="paper"),
        record_of("sbert@x", tasks, method={"checkpoint": "x"}, model_fingerprint="a" * 32),
        record_of("sbert@x", tasks, method={"checkpoint": "x"}, model_fingerprint="b" * 32),
        record_of("tfidf", tasks, method={"label": "ours"}),
        record_of("minilm", tasks, method={"label": "ours"}),
        record_of("random", tasks, method={"label": "chance"}),
        record_of("random", tasks, limit=10, cell_fingerprint="another"),
    ]
    for number, record in enumerate(records):
        write_in(tmp_path, str(number), record, {})
    (table,) = load_tables(find_records([tmp_path]))
    for width in (None, 70, 40):
        shown = render(table, selection=TableSelection(columns=("Avg",)), width=width)
        names = [line.split("  ")[0] for line in shown.split("\n\n")[1].splitlines()[2:]]
        assert len(names) == len({*names})
    shown = render(table)
    for name in ("sct (smoke)", "sct (paper)", "sbert@x (revision bbbbbbbb)", "ours (minilm)"):
        assert f"{name}  " in shown
    assert "chance is random." in shown
    assert len({row.id for row in table.rows}) == len(records)


def test_long_names_are_cut_to_a_number() -> None:
    from bench.report.names import shortened

    names = {"1": "sct[queue=1]", "2": "simcse[queue=1]", "3": "sct[queue=2] (local)", "4": "sct"}
    short, legend = shortened(names, 6)
    assert short == {"1": "sct[…1]", "2": "simcse[…1]", "3": "sct[…2]", "4": "sct"}
    assert legend == ["[…1] is [queue=1]", "[…2] is [queue=2] (local)"]
