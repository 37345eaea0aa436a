"""``bench table --view geometry`` and ``--view curve``, from a run with variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small import Bench


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


def test_plot(bench: Bench, records: Path) -> None:
    code, _, err = bench("table", records, "--plot", "x.svg")
    assert (code, "--view curve" in err) == (2, True)
    code, _, err = bench("table", records, "--view", "curve", "--plot", "x.pdf")
    assert (code, ".svg or .png" in err) == (2, True)
    code, _, err = bench("table", records, "--view", "curve", "--suite", "no", "--plot", "x.svg")
    assert (code, "no cuts" in err) == (4, True)
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    code, out, _ = bench("table", records, "--view", "curve", "--plot", "x.svg")
    assert (code, "26 dimensions" in out) == (0, True)
    assert Path("x.svg").read_text().startswith("<?xml")
