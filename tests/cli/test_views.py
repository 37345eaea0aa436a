"""``bench table --view``: geometry, curves and ceilings of runs, and how views are declared."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from bench.cli import table
from bench.records.entries import Record
from bench.report import views
from tests.support.suites import Bench


@pytest.fixture
def records(bench: Bench, suite: Path) -> Path:
    """Records of a method, whole and cut."""
    variants = '["truncate[dim=4]", "truncate[fraction=0.5]", "random-dims[dim=4]"]'
    suite.write_text(f"variants = {variants}\n{suite.read_text()}")
    code, out, err = bench("run", "--suite", suite, "--methods", "good", "--output", "out")
    assert code == 0, err
    assert "truncate[fraction=0.5,of=good]" in out
    return Path("out")


def test_geometry(bench: Bench, records: Path) -> None:
    code, out, _ = bench("table", records, "--view", "geometry", "--format", "markdown")
    assert code == 0
    assert out.startswith("### small by geometry")
    assert out.count("| `") == 4
    assert " IsoScore " in out


def test_curve(bench: Bench, records: Path) -> None:
    code, out, _ = bench("table", records, "--view", "curve", "--format", "markdown")
    assert code == 0
    assert "`good`, 26 dimensions" in out
    lines = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("|")]
    assert lines[2:] == ["26", "13", "4"]
    assert bench("table", records, "--view", "curve", "--format", "csv")[0] == 2


def test_ceiling(bench: Bench, records: Path) -> None:
    code, out, err = bench("table", records, "--view", "ceiling", "--format", "markdown")
    assert (code, err) == (0, "")
    assert out.startswith("### small by ceiling")
    # Thirty pairs of six grades, five each, halved.
    assert [cell.strip() for cell in out.splitlines()[4].split("|")[1:4]] == ["pairs", "30", "6"]
    assert "| 87.83 |" in " ".join(out.splitlines()[4].split())
    assert out.count("| `") == 4


def test_plot(bench: Bench, records: Path) -> None:
    code, _, err = bench("table", records, "--view", "ceiling", "--plot", "x.svg")
    assert (code, "--view geometry or curve" in err) == (2, True)
    code, _, err = bench("table", records, "--view", "curve", "--plot", "x.pdf")
    assert (code, ".svg or .png" in err) == (2, True)
    code, _, err = bench("table", records, "--view", "curve", "--suite", "no", "--plot", "x.svg")
    assert (code, "no cuts" in err) == (4, True)
    pytest.importorskip("altair", reason="needs the extra 'plot'")
    code, out, _ = bench("table", records, "--view", "curve", "--plot", "x.svg")
    assert (code, "26 dimensions" in out) == (0, True)
    assert Path("x.svg").read_text().startswith("<svg")
    assert bench("table", records, "--suite", "small", "--plot", "scores.svg")[0] == 0
    assert ">pairs<" in Path("scores.svg").read_text()


@pytest.mark.parametrize("view", [view.name for view in views.VIEWS if view.drawings])
def test_who_draws_nothing_needs_no_library_for_it(
    view: str, bench: Bench, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("bench.report.charts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    code, _, err = bench("table", records, "--view", view)
    assert code in {0, 4}, err
    code, _, err = bench("table", records, "--view", view, "--plot", "x.svg")
    assert (code, "needs altair: pip install" in err) == (2, True)


RUNS = {
    "grid": "scores of cut models to show; run e.g. "
    "'bench run --suite sts7 --methods matryoshka-2d'",
    "curve": "'bench run --suite redundancy --methods minilm'",
    "dev": "'bench run --suite sts-mini --methods sup-simcse'",
    "diagnostics": "'bench run --suite pseudo-label --methods hierarchical-ensemble'",
    "phenomena": "'bench run --suite mini'",
}


@pytest.mark.parametrize("view", RUNS)
def test_a_view_of_nothing_says_what_to_run(view: str, bench: Bench, suite: Path) -> None:
    assert bench("run", "--suite", suite, "--methods", "good", "--output", "out")[0] == 0
    code, out, err = bench("table", "out", "--view", view)
    assert (code, out) == (4, "")
    assert err.startswith("bench: no record has ")
    assert RUNS[view] in err
    assert "found" not in err
    code, _, err = bench("table", "out", "--view", view, "--suite", "other")
    assert (code, err) == (4, "bench: no records of suite other found to show, only of small\n")
    Path("empty").mkdir()
    code, _, err = bench("table", "empty", "--view", view)
    assert (code, err) == (4, "bench: no records found to show; 'bench run' writes them\n")


def test_what_views_name_to_run_makes_them() -> None:
    # Suites and methods by these names exist; what they leave is tested with them.
    from bench.core.spec import parse_method_spec
    from bench.method import make_method
    from bench.suite import load_suite

    for view in views.VIEWS:
        words = view.command.split()
        assert load_suite(words[1])
        for text in words[3:4] if "--methods" in words else []:
            spec = parse_method_spec(text)
            assert make_method(spec, "local")
    assert make_method(parse_method_spec("matryoshka-2d"), "local").grid


TOY = """\
from bench.report.views.page import heading, shown_code

def render(suite, records, *, style="text", width=None):
    names = [shown_code(record.method.spec, style) for record in records if record.seed == 0]
    return heading(f"{suite} by names: {', '.join(names)}", style)
"""


def test_a_view_is_one_file_and_one_declaration(
    bench: Bench, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_view.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    toy = views.View("names", "what is there", "a name", "--suite mini", module="toy_view")
    with monkeypatch.context() as declared:
        declared.setattr(views, "VIEWS", [*views.VIEWS, toy])
        importlib.reload(table)
        assert "what is there (names)" in " ".join(bench("table", "--help")[1].split())
        code, out, err = bench("table", records, "--view", "names", "--suite", "small")
        assert (code, "small by names: good" in out) == (0, True), err
        out = bench("table", records, "--view", "names", "--format", "markdown")[1]
        assert out.startswith("### small by names: ")
        assert bench("table", records, "--view", "names", "--plot", "x.svg")[0] == 2
    importlib.reload(table)
    assert bench("table", records, "--view", "names")[0] == 2


@pytest.mark.parametrize("view", views.VIEWS, ids=lambda view: view.name)
def test_every_view_renders_by_the_one_signature(view: views.View) -> None:
    def items(record: Record) -> dict[str, NDArray[Any]]:
        raise AssertionError("there is no record")

    asked = inspect.signature(views.Render.__call__).parameters
    render = view.render(items)
    bound = {"items"} if view.reads_items else set()
    assert [name for name in inspect.signature(render).parameters if name not in bound] == [*asked][
        1:
    ]
    assert render("small", []) is None
