"""What a run gives back, and what records on disk say, as objects of Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench.api.displayed import GateResult, as_html
from bench.api.results import RunResult
from bench.core.errors import DataError, UsageError
from bench.records.files import read_record
from tests.support import stub_methods
from tests.support.suites import write_suite


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunResult:
    monkeypatch.chdir(tmp_path)
    stub_methods.register()
    return bench.run(str(write_suite(tmp_path)), "good2,good[count=2]", output="out")


def test_the_functions_are_told(tmp_path: Path) -> None:
    assert {"run", "table", "compare", "gate", "claims", "load_records"} <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'cmpare'"):
        bench.cmpare  # noqa: B018 - it is to raise


def test_a_frame_has_every_figure_of_the_records(result: RunResult) -> None:
    frame = result.to_frame()
    assert list(frame.columns[:8]) == [
        "suite",
        "spec",
        "profile",
        "seed",
        "task",
        "main",
        "ci_low",
        "ci_high",
    ]
    record = read_record(result.paths[0])
    entry, row = record.tasks["pairs"], frame.iloc[0]
    assert row["main"] == entry.main
    assert (row["ci_low"], row["ci_high"]) == entry.ci95
    for name, value in entry.metrics.items():
        assert row[f"metric.{name}"] == value
    assert row["average"] == record.average
    assert row["encode_seconds"] == record.timings.encode
    assert row["cell_fingerprint"] == record.cell_fingerprint
    assert frame.equals(bench.load_records("out"))


def test_results_print_as_text_and_show_as_tables(result: RunResult) -> None:
    table = bench.table("out", columns=["Avg"], digits=1)
    comparison = result.compare("good2", "good[count=2]")
    gate = result.gate("out")
    for shown in (result, table, comparison, gate, bench.claims(papers=["simcse"])):
        assert str(shown) == repr(shown)
        assert "<table>" in shown._repr_html_()
        assert len(shown.to_frame())
    assert str(result) == str(bench.table("out"))
    assert str(table).count("pairs") == 0


def test_names_do_nothing_in_a_notebook(tmp_path: Path) -> None:
    result = bench.run(
        str(write_suite(tmp_path)),
        {"<script>alert(1)</script>": lambda texts: [[len(text), 1.0] for text in texts]},
        output=tmp_path / "out",
    )
    assert "alert(1)" in result._repr_html_()
    assert "<script>" not in result._repr_html_()
    assert "<b>" not in as_html("a <b>word</b>")


def test_comparisons_are_those_of_the_command_line(result: RunResult) -> None:
    own = result.compare("good2", "good[count=2]").to_frame()
    read = bench.compare("good2", "good[count=2]", records="out").to_frame()
    assert own.equals(read)
    assert own["task"].to_list() == ["pairs", "Avg"]
    with pytest.raises(UsageError, match="name two methods"):
        result.compare("good2")
    with pytest.raises(DataError, match="no records of sct"):
        result.compare("sct", "good2")


def test_a_gate_is_true_where_all_passes(result: RunResult, tmp_path: Path) -> None:
    assert result.gate(result)
    suite = str(tmp_path / "small.toml")
    good = {"mine": lambda texts: [[text.count("a"), len(text)] for text in texts]}
    bad = {"mine": lambda texts: [[-text.count("a") * len(text), 1.0] for text in texts]}
    bench.run(suite, good, output="good")
    now = bench.run(suite, bad, output="bad")
    gate = bench.gate("bad", baseline="good", fail_on="avg:100")
    assert gate
    assert [check.now for check in gate.checks] == [now.records()[0].average]
    assert not GateResult(replace(gate.report, checks=[replace(gate.checks[0], failed=True)]))


def test_tables_are_parts_as_of_the_command_line(result: RunResult) -> None:
    assert bench.table("out", methods=["good2"]).to_frame()["spec"].to_list() == ["good2"]
    with pytest.raises(UsageError, match="no column 'STS99'"):
        bench.table("out", columns=["STS99"])
    with pytest.raises(UsageError, match="top 0: give 1 or more"):
        bench.table("out", top=0)
    with pytest.raises(DataError, match="of suite sts7"):
        bench.table("out", suite="sts7")


def test_claims_come_with_the_package() -> None:
    claims = bench.claims(papers=["sct"])
    frame = claims.to_frame()
    assert set(frame["paper"]) == {claims.answered[0][0].paper}
    assert str(len(frame)) in claims.counts()


def test_a_page_is_written(result: RunResult, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    path = result.report(tmp_path / "page.html")
    assert "good2" in path.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        result.report(tmp_path)
