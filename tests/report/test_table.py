"""Tables are made of records alone, the same text every time."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from bench.core.errors import DataError
from bench.core.escape import one_line
from bench.records.entries import ContaminationEntry, GroupEntry, Timings
from bench.report.export import to_csv, to_json
from bench.report.imported import ImportedModel, with_models
from bench.report.selection import TableSelection, select_rows
from bench.report.table import load_tables
from bench.report.text import render
from bench.report.views import phenomena
from bench.stats.bootstrap import percentile_interval
from tests.support.records import edit, items_of, record_of, task_of, write_in


def write(folder: Path, spec: str, average: float, **changes: Any) -> Path:
    """Write a record of a suite of two tasks, the first of another name where one is given."""
    first = changes.pop("first", "A")
    base = changes.pop("base", None)
    of_first = {
        "metric": "Spearman",
        "mteb": "STS12",
        "phenomena": {"negation": GroupEntry(value=average, items=4)},
        "contamination": changes.pop("seen", None),
        "in_domain": changes.pop("in_domain", False),
    }
    given = changes.pop("replicates", average + np.linspace(-0.1, 0.1, 41))
    replicates = {first: given - 0.05, "B": given + 0.05}
    entry = {
        name: {"items": 9, "ci95": percentile_interval(one)} for name, one in replicates.items()
    }
    tasks = {
        first: task_of("sts", average - 0.05, **entry[first], **of_first),
        "B": task_of("reranking", average + 0.05, metric="MAP", **entry["B"]),
    }
    items = items_of(tasks, replicates)
    record = record_of(
        spec,
        tasks,
        items=items,
        method={"trained": base is not None, "base": base},
        **{"average_ci95": percentile_interval(items["average/replicates"])} | changes,
    )
    return write_in(folder, f"{spec}-{record.seed}", record, items)


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
small: senteval convention, profile local, dim 8

Rank  Method   Seeds        A       B     Avg     ±       95% CI
----  -------  -----  -------  ------  ------  ----  -----------
base base
   1  better       2  56.00¹‡  66.00¹  61.00¹  1.41  51.50–70.50
   1  base         1  45.00²   55.00²  50.00²        40.50–59.50
   3  worse ▼      1  35.00    45.00   40.00         30.50–49.50
without a base
   1  other        1  50.00    60.00   55.00         45.50–64.50

Spearman (A), MAP (B) × 100; Avg is the mean of unrounded scores with its 95% bootstrap interval \
over items; ± is the standard deviation over seeds. Rank is 1 + the number of rows of the same \
base whose average is significantly better (paired over items and seeds, false discovery rate 5%). \
▼ below its untrained base. ‡ training text holds up to 5.0% of the test texts. ¹ best and ² \
second best of a base."""


def test_the_table_of_some_records(paths: list[Path]) -> None:
    (table,) = load_tables(paths)
    assert render(table) == GOLDEN
    assert render(load_tables(reversed(paths))[0]) == GOLDEN


COSTS: dict[str, Any] = {
    "parameters": 15_615_360,
    "timings": Timings(build=60, encode=0.5, score=0.1),
    "training": {"seconds": 1234.4},
    "peak_memory_bytes": 812_000_000,
}


def test_costs_and_figures_of_the_field(tmp_path: Path) -> None:
    write(tmp_path, "trained", 0.6, base="minilm", **COSTS)
    write(tmp_path, "random", 0.5)
    (table,) = load_tables(sorted(tmp_path.rglob("*[0-9].json")))
    grid = render(table).split("\n\n")[1].splitlines()
    assert grid[0].split("95% CI")[1].split() == ["Train", "s", "Texts/s", "Memory"]
    assert grid[3].split()[-4:] == ["1,234", "18", "812", "MB"]
    assert "15.6M" in grid[3]
    assert grid[5].endswith("40.50–59.50")


def test_columns_give_way_in_a_narrow_terminal(tmp_path: Path, paths: list[Path]) -> None:
    write(tmp_path, "costly", 0.3, **COSTS)
    (table,) = load_tables([*paths, *tmp_path.rglob("costly*[0-9].json")])
    assert "Memory" in render(table).split("\n\n")[1]
    for width in (90, 80, 55, 45):
        _, *grids, _ = render(table, width=width).split("\n\n")
        assert max(len(line) for grid in grids for line in grid.splitlines()) <= width
        assert "Memory" not in grids[0]
        assert "95% CI" in grids[0]
        if width <= 55:
            assert grids[1].split()[:3] == ["Method", "A", "B"]


def test_markdown(paths: list[Path]) -> None:
    lines = render(load_tables(paths)[0], style="markdown").splitlines()
    assert lines[0] == "### small: senteval convention, profile local, dim 8"
    assert lines[2].startswith("|   Rank | Method")
    assert "| **base base**" in lines[4]
    assert lines[5].startswith("|      1 | `better`")
    assert "**56.00**‡" in lines[5]
    assert " *45.00* " in lines[6]
    assert lines[-1].endswith("**Best** and *second best* of a base.")


def test_names_cannot_break_out_of_their_cell(tmp_path: Path) -> None:
    evil = "a|b*c*\n\n# <img src=x onerror=y>`\x1b[31m"
    path = write(tmp_path, "plain", 0.5, first=f"A{evil}")
    edit(path, '"spec": "plain"', f'"spec": {json.dumps(evil)}')
    (table,) = load_tables([path])
    for style, parts in (("text", 3), ("latex", 1), ("markdown", 3)):
        rendered = render(table, style=style)
        assert "\x1b" not in rendered
        assert len(rendered.split("\n\n")) == parts
    tokens = MarkdownIt("commonmark").enable("table").parse(rendered)
    kinds = [token.type for token in tokens]
    assert (kinds.count("table_open"), kinds.count("th_open")) == (1, kinds.count("td_open"))
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} == {"text", "code_inline"}
    (name,) = (child.content for child in inline if child.type == "code_inline")
    assert name == one_line(evil)


def test_ranks_are_shared_by_what_differs_by_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(scale=0.02, size=1000) for name in "abc"}
    found = [
        write(tmp_path, name, average, replicates=average + noise[name])
        for name, average in (("a", 0.60), ("b", 0.59), ("c", 0.40))
    ]
    (table,) = load_tables(found)
    assert [(row.spec, row.rank) for row in table.rows] == [("a", 1), ("b", 1), ("c", 3)]


def test_too_many_rows_of_a_base_are_not_ranked(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (table,) = load_tables(paths)
    rows = [replace(table.rows[0], rank=None, base="x")] * 1001
    assert "no ranks among more than 1,000 rows of one base" not in render(table)
    for crowd, there in ((rows, True), (rows[1:], False)):
        told = one_line(render(replace(table, rows=(*table.rows, *crowd))))
        assert ("There are no ranks among more than 1,000 rows of one base." in told) is there
    monkeypatch.setattr("bench.verdicts.rank.MOST", 1)
    few = [write(tmp_path, name, 0.5) for name in "ab"]
    assert {row.rank for row in load_tables(few)[0].rows} == {None}


def test_rows_of_another_limit_are_not_ranked(tmp_path: Path) -> None:
    (table,) = load_tables([write(tmp_path, "a", 0.6), write(tmp_path, "b", 0.5, limit=10)])
    assert [(row.spec, row.rank) for row in table.rows] == [("a", 1), ("b", None)]


def test_a_partial_row_takes_no_rank_from_the_others(tmp_path: Path) -> None:
    partial = write(tmp_path, "a", 0.4, limit=10)
    whole = [write(tmp_path, "b", 0.6), write(tmp_path, "c", 0.5)]
    (table,) = load_tables([partial, *whole])
    assert [(row.spec, row.rank) for row in table.rows] == [("b", 1), ("c", 2), ("a", None)]


def test_a_row_on_other_data_is_marked(tmp_path: Path) -> None:
    found = [write(tmp_path, spec, 0.5) for spec in "abc"]
    edit(found[0], '"data_sha256": "', '"data_sha256": "f')
    (table,) = load_tables(found)
    assert {row.spec for row in table.rows if row.other_rows} == {"a"}
    text = render(table)
    assert "a ≠" in text
    assert "≠ scored on other rows than most here; run all again." in text
    assert r"a$^{\neq}$" in render(table, style="latex")


def test_a_row_with_too_few_items_is_not_ranked(tmp_path: Path) -> None:
    few = write(tmp_path, "a", 0.6, replicates=np.where(np.arange(1000) % 9, 0.6, np.nan))
    (table,) = load_tables([few, write(tmp_path, "b", 0.5)])
    assert [(row.spec, row.rank) for row in table.rows] == [("a", None), ("b", 1)]
    assert "60.00" in render(table)


def test_seeds_on_other_rows_are_refused(tmp_path: Path) -> None:
    found = [write(tmp_path, "a", 0.5, seed=seed) for seed in (0, 1)]
    edit(found[1], '"data_sha256": "', '"data_sha256": "f')
    with pytest.raises(DataError, match="seeds 0 and 1 of a on small differ in settings, base or"):
        load_tables(found)


def test_in_domain_tasks_are_marked(tmp_path: Path) -> None:
    path = write(tmp_path, "a", 0.5, base="b", in_domain=True)
    text = render(load_tables([path])[0])
    assert "45.00°" in text
    assert "° trained on other rows of the same data set." in text

    averages = render(load_tables([path])[0], selection=TableSelection(columns=("Avg",)))
    assert "°" not in averages


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_an_untrained_base_counts_at_any_profile(tmp_path: Path, profile: str) -> None:
    paths = [write(tmp_path, "base", 0.5, profile=profile), write(tmp_path, "a", 0.4, base="base")]
    assert "a ▼" in render(load_tables(paths)[0])


def test_of_bases_at_several_profiles_that_of_the_row_counts(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "a", 0.5, base="base"),
        write(tmp_path / "other", "base", 0.9, profile="smoke", cell_fingerprint="other"),
        write(tmp_path / "same", "base", 0.4, profile="local"),
    ]
    assert "▼" not in render(load_tables(paths)[0])


def test_marks_of_some_rows_are_said_to_be_of_these(paths: list[Path]) -> None:
    (table,) = load_tables(paths)
    part = select_rows(table, TableSelection(methods=("worse", "base", "other")))
    assert render(part).endswith("¹ best and ² second best of a base among these rows.")


def test_the_same_cell_twice_is_refused(tmp_path: Path) -> None:
    found = [write(tmp_path / name, "a", 0.5) for name in ("one", "other")]
    with pytest.raises(DataError, match=r"a \(seed 0\) on small is both in .*has it once"):
        load_tables(found)


def test_published_figures_stand_beside_measured_ones(tmp_path: Path) -> None:
    known = ["STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R"]
    replicates = {name: np.linspace(0.4, 0.6, 41) for name in known}
    interval = percentile_interval(replicates["STS12"])
    tasks = {name: task_of("sts", 0.5, items=9, ci95=interval) for name in known}
    items = items_of(tasks, replicates)
    record = record_of("minilm", tasks, items=items, suite="sts7-mteb", average_ci95=interval)
    path = write_in(tmp_path, "minilm", record, items)
    (table,) = load_tables([path])
    published = table.rows[0].published
    assert published is not None
    assert published.tasks["STS12"] == pytest.approx(0.723690)
    text = render(table)
    assert "78.94" in text
    assert "Published: minilm from MTEB's committed results" in text


def test_for_programs(paths: list[Path]) -> None:
    tables = load_tables(paths)
    (found,) = json.loads(to_json(tables))
    assert found["rows"][0]["spec"] == "better"
    assert [row["base"] for row in found["rows"]] == ["base", "base", "base", None]
    assert found["rows"][0]["scores"] == pytest.approx({"A": 0.56, "B": 0.66})
    lines = list(csv.DictReader(io.StringIO(to_csv(tables))))
    assert [line["spec"] for line in lines] == ["better", "base", "worse", "other"]
    assert float(lines[0]["scores.A"]) == found["rows"][0]["scores"]["A"]
    assert float(lines[0]["ci95.low"]) == found["rows"][0]["ci95"]["low"]


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
    from bench.records.files import read_record

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
