"""Tables are made of records alone, the same text every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import DataError
from bench.record import (
    ContaminationEntry,
    EncodingEntry,
    GroupEntry,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
    pack_items,
    record_path,
    sha256,
    write_record,
)
from bench.report import phenomena
from bench.report.imported import ImportedModel, with_models
from bench.report.model import load_tables
from bench.report.text import render


def write(folder: Path, spec: str, average: float, **changes: Any) -> Path:
    """Write a record of a suite of two tasks."""
    seed = changes.pop("seed", 0)
    base = changes.pop("base", None)
    seen = changes.pop("seen", None)
    packed = pack_items({"average/replicates": average + np.linspace(-0.1, 0.1, 41)})
    entry = {"ci95": (0.1, 0.9), "metrics": {}, "items": 9, "data_sha256": "0"}
    record = Record(
        suite="small",
        convention=changes.pop("convention", "senteval"),
        method=MethodEntry(
            name=spec.partition("[")[0],
            spec=spec,
            title="x",
            kind="static",
            checkpoint=None,
            config={},
            trained=base is not None,
            base=base,
        ),
        profile="local",
        seed=seed,
        limit=changes.pop("limit", None),
        cell_fingerprint=f"{spec}{seed}",
        model_fingerprint=spec,
        dimension=8,
        parameters=None,
        tasks={
            "A": TaskEntry(
                kind="sts",
                metric="Spearman",
                mteb="STS12",
                main=average - 0.05,
                phenomena={"negation": GroupEntry(value=average, items=4)},
                contamination=seen,
                **entry,
            ),
            "B": TaskEntry(kind="reranking", metric="MAP", mteb=None, main=average + 0.05, **entry),
        },
        average=average,
        average_ci95=(average - 0.095, average + 0.095),
        average_of_rounded=average,
        averaged_tasks=("A", "B"),
        encoding=EncodingEntry(texts=9, distinct=9, encoded=9, tokens=None),
        timings=Timings(build=0, encode=0, score=0),
        peak_memory_bytes=0,
        training=None,
        versions={},
        machine={},
        created="2026-01-01T00:00:00Z",
        items_sha256=sha256(packed),
        **changes,
    )
    path = record_path(folder, "small", f"{spec}-{seed}")
    write_record(path, record, packed)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    seen = ContaminationEntry(texts=40, exact=1, normalised=2)
    return [
        write(tmp_path, "base", 0.5),
        write(tmp_path, "better", 0.6, base="base", seed=0, seen=seen),
        write(tmp_path, "better", 0.62, base="base", seed=1, seen=seen),
        write(tmp_path, "worse", 0.4, base="base"),
        write(tmp_path, "other", 0.55),
    ]


GOLDEN = """\
small: senteval convention, dim 8

Method    Base    Profile      Seeds       A      B    Avg     ±       95% CI
--------  ------  ---------  -------  ------  -----  -----  ----  -----------
better    base    local            2  56.00‡  66.00  61.00  1.41  51.50–70.50
base      base    –                1   45.00  55.00  50.00        40.50–59.50
worse ▼   base    local            1   35.00  45.00  40.00        30.50–49.50
other     –       –                1   50.00  60.00  55.00        45.50–64.50

Spearman (A), MAP (B) × 100; Avg is the mean of unrounded scores with its 95% bootstrap interval \
over items; ± is the standard deviation over seeds. ▼ below its untrained base. \
‡ training text holds up to 5.0% of the test texts."""


def test_the_table_of_some_records(paths: list[Path]) -> None:
    (table,) = load_tables(paths)
    assert render(table) == GOLDEN
    assert render(load_tables(reversed(paths))[0]) == GOLDEN


def test_columns_give_way_in_a_narrow_terminal(paths: list[Path]) -> None:
    (table,) = load_tables(paths)
    grid = render(table, width=66).split("\n\n")[1]
    assert max(map(len, grid.splitlines())) <= 66
    assert "Seeds" not in grid
    assert "95% CI" in grid


def test_markdown(paths: list[Path]) -> None:
    lines = render(load_tables(paths)[0], markdown=True).splitlines()
    assert lines[0] == "### small: senteval convention, dim 8"
    assert lines[2].startswith("| Method")
    assert lines[3].startswith("|:-----") or lines[3].startswith("|-----")


def test_conventions_never_share_a_table(tmp_path: Path) -> None:
    paths = [write(tmp_path, "a", 0.5), write(tmp_path, "b", 0.5, convention="mteb")]
    with pytest.raises(DataError, match="score small differently"):
        load_tables(paths)


def test_models_of_mteb_join_by_task(tmp_path: Path) -> None:
    (table,) = load_tables([write(tmp_path, "a", 0.5, convention="mteb")])
    known = ImportedModel("org/known", "1", {"STS12": 0.7})
    joined = with_models(table, [known, ImportedModel("org/unrelated", "1", {"X": 1.0})])
    assert [row.spec for row in joined.rows] == ["a", "org/known"]
    line = next(line for line in render(joined).splitlines() if "org/known" in line)
    assert line.split() == ["org/known", "†", "–", "70.00", "–", "–"]


def test_phenomena_are_rows_and_methods_columns(paths: list[Path]) -> None:
    from bench.record import read_record

    records = [read_record(path) for path in paths]
    text = phenomena.render("small", records)
    assert text is not None
    lines = [line.split() for line in text.splitlines()]
    assert ["A", "negation", "4", "50.0", "61.0", "40.0", "55.0"] in lines
    narrow = phenomena.render("small", records, width=60)
    assert narrow is not None
    assert narrow.count("negation") == 2


def test_an_empty_table_is_none(tmp_path: Path) -> None:
    assert load_tables([]) == []
    assert phenomena.render("small", []) is None
