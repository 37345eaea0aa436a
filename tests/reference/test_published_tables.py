"""Published figures are well formed, and their averages are what the files say of them."""

import tomllib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bench.core.spec import parse_method_spec
from bench.suite import Suite, read_suite

FOLDER = Path(__file__).parents[2] / "suites" / "published"
FILES = sorted(FOLDER.glob("*.toml"))
TOLERANCE = Fraction(1, 100)
CONVENTIONS = {"simcse", "senteval", "mteb", "useb", "own"}
FILE_KEYS = {"paper", "arxiv", "tables"}
TABLE_REQUIRED = {"source", "convention", "metric", "tasks", "average", "rows"}
TABLE_KEYS = TABLE_REQUIRED | {"paper", "arxiv", "suite", "mean_of", "columns", "unit", "note"}
ROW_REQUIRED = {"method", "scores"}
ROW_KEYS = ROW_REQUIRED | {
    "spec",
    "base",
    "source",
    "spread",
    "printed_average",
    "average_spread",
    "average_disagrees",
    "note",
}

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file, parse_float=Decimal)


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for table in _read(path)["tables"]:
        for row in table["rows"]:
            yield table, row


def _mean(row: dict[str, Any]) -> Fraction:
    return sum(map(Fraction, row["scores"]), Fraction()) / len(row["scores"])


def _suite(name: str) -> Suite:
    suite = read_suite(name)
    assert isinstance(suite, Suite)
    return suite


def test_the_readme_lists_the_files() -> None:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert sorted(listed) == [path.name for path in FILES]
    assert len(FILES) >= 12


@every_file
def test_fields(path: Path) -> None:
    content = _read(path)
    assert content["paper"]
    assert content.keys() <= FILE_KEYS
    assert content["tables"]
    for table in content["tables"]:
        assert TABLE_REQUIRED <= table.keys() <= TABLE_KEYS, table["source"]
        assert table["source"]
        assert table["metric"]
        assert table["rows"]
        assert table["convention"] in CONVENTIONS
        assert table["average"] in {"mean", "tasks", "none"}
        assert table.get("unit", "percent") in {"percent", "fraction"}
        assert len(set(table["tasks"])) == len(table["tasks"])
        for row in table["rows"]:
            assert ROW_REQUIRED <= row.keys() <= ROW_KEYS, row
            assert row["method"]
            if "spec" in row:
                parse_method_spec(row["spec"])


@every_file
def test_scores(path: Path) -> None:
    for table, row in _rows(path):
        assert len(row["scores"]) == len(table["tasks"]), row
        assert len(row.get("spread", row["scores"])) == len(row["scores"]), row
        assert row["scores"] or "printed_average" in row, row
        bound = 1 if table.get("unit") == "fraction" else 100
        printed = [row["printed_average"]] if "printed_average" in row else []
        assert all(isinstance(score, Decimal) for score in [*row["scores"], *printed]), row
        assert all(-bound <= score <= bound for score in [*row["scores"], *printed]), row
        assert all(score >= 0 for score in row.get("spread", [])), row


@every_file
def test_averages_disagree_exactly_where_marked(path: Path) -> None:
    for table, row in _rows(path):
        assert ("printed_average" in row) == (table["average"] != "none"), row
        assert row.get("average_disagrees", True) is True, row
        checked = table["average"] == "mean" and row["scores"]
        far = checked and abs(_mean(row) - Fraction(row["printed_average"])) > TOLERANCE
        assert bool(far) == ("average_disagrees" in row), row
        assert not (checked and table.get("unit") == "fraction"), "the tolerance is for percent"


@every_file
def test_tasks_are_those_of_the_suite(path: Path) -> None:
    for table in _read(path)["tables"]:
        if "suite" in table:
            suite = _suite(table["suite"])
            assert set(table["tasks"]) <= {task.name for task in suite.tasks}, table["source"]
            assert table["convention"] == suite.convention, table["source"]
            assert "columns" not in table, table["source"]
        if "mean_of" in table:
            assert table["convention"] == _suite(table["mean_of"]).convention, table["source"]
            assert "columns" in table, table["source"]
        assert table["tasks"] or "suite" in table, table["source"]


def test_no_row_twice() -> None:
    seen = Counter(
        (
            table.get("paper", content["paper"]),
            row.get("source", table["source"]),
            table["convention"],
            table["metric"],
            tuple(sorted(table["tasks"])),
            table.get("suite"),
            row["method"],
            row.get("base"),
        )
        for content in map(_read, FILES)
        for table in content["tables"]
        for row in table["rows"]
    )
    assert [key for key, count in seen.items() if count > 1] == []


def test_the_readme_lists_the_disagreeing_rows() -> None:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| file | source | method | base | printed | mean of the scores |") + 2
    listed = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    marked = [
        [
            path.name,
            row.get("source", table["source"]),
            row["method"],
            row.get("base", ""),
            str(row["printed_average"]),
            f"{float(_mean(row)):.3f}",
        ]
        for path in FILES
        for table, row in _rows(path)
        if "average_disagrees" in row
    ]
    assert sorted(listed) == sorted(marked)
