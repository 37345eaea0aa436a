"""A run as a file: read, overruled, and left behind by every run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import bench as package
from tests.support.suites import Bench


def left(folder: Path) -> list[Path]:
    return sorted(folder.glob("run-*.toml"))


def test_a_run_leaves_a_file_that_repeats_it(bench: Bench, suite: Path, tmp_path: Path) -> None:
    asked = ("-s", suite, "-m", "good[count=2,label=mine]", "-m", "random", "--limit", "20")
    code, table, _ = bench("run", *asked, "-o", "out", "--seeds", "2", "--batch-size", "7")
    assert code == 0
    (file,) = left(tmp_path / "out")
    assert tomllib.loads(file.read_text()) == {
        "suite": [str(suite)],
        "methods": ["good[count=2,label=mine]", "random"],
        "seeds": 2,
        "profile": "local",
        "output": "out",
        "limit": 20,
        "batch-size": 7,
    }
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    code, again, err = bench("run", file)
    assert (code, again, err) == (0, table, "")
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before


def test_another_run_leaves_another_file(bench: Bench, suite: Path, tmp_path: Path) -> None:
    for methods in ("good", "random", "good"):
        assert bench("run", "-s", suite, "-m", methods, "-o", "out")[0] == 0
    assert len(left(tmp_path / "out")) == 2
    assert bench("run", "-s", suite, "-m", "good2", "-o", "dry", "--dry-run")[0] == 0
    assert left(tmp_path / "dry") == []


def test_the_call_from_python_leaves_the_same_file(
    bench: Bench, suite: Path, tmp_path: Path
) -> None:
    assert bench("run", "-s", suite, "-m", "good", "-o", "out")[0] == 0
    package.run(str(suite), "good", output="out")
    assert len(left(tmp_path / "out")) == 1
    package.run(str(suite), {"my, own": "good"}, output="named")
    (file,) = left(tmp_path / "named")
    assert tomllib.loads(file.read_text())["methods"] == ['good[label="my, own"]']


def test_the_command_line_wins(bench: Bench, suite: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'suite = "{suite}"\nmethods = ["good", "random"]\nseeds = 3\nprofile = "smoke"\n'
        'offline = true\noutput = "out"\n'
    )
    assert bench("run", file, "--seeds", "1", "-m", "good2")[0] == 0
    (kept,) = left(tmp_path / "out")
    content = tomllib.loads(kept.read_text())
    assert (content["methods"], content["seeds"], content["profile"]) == (["good2"], 1, "smoke")


def test_part_of_a_suite_in_a_file(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "part.toml"
    file.write_text('suite = ["mini"]\ntasks = ["STS", "NLI"]\nmethods = "random"\n')
    code, out, _ = bench("run", file)
    assert code == 0
    assert out.startswith("mini[STS,NLI]: senteval convention, part of mini, dim 32, seeds 1\n")
    (kept,) = left(tmp_path / "results/runs")
    assert tomllib.loads(kept.read_text())["suite"] == ["mini[STS,NLI]"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sede = 3\n", "r.toml: unknown key 'sede'; did you mean 'seeds'"),
        ("dry-run = true\n", "r.toml: unknown key 'dry-run'"),
        ("seeds = 0\n", "r.toml: key 'seeds': 0 is not in the range"),
        ("seeds = [1, 2]\n", "r.toml: key 'seeds': [1, 2] is not a whole number"),
        ("seeds = true\n", "r.toml: key 'seeds': True is not a whole number"),
        ("methods = [1.5]\n", "r.toml: key 'methods': 1.5 is not a text or a list"),
        ('backend = "tf"\n', "r.toml: key 'backend': 'tf' is not one of"),
        ("offline = 1\n", "r.toml: key 'offline': 1 is not true or false"),
        ("seeds = \n", "r.toml: not valid TOML"),
        ('name = "x"\nconvention = "mteb"\n', "r.toml is a suite, not a run: bench run --suite"),
    ],
)
def test_a_file_that_is_no_run(bench: Bench, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    code, out, err = bench("run", "r.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_options_that_do_nothing_alone_are_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('fail-on = "avg:1"\n')
    asked = ("run", "-m", "random", "--limit", "20")
    for arguments, told in [
        ((*asked, "--fail-on", "avg:1"), "--fail-on avg:1 judges nothing without --baseline"),
        (("run", "r.toml"), "--fail-on avg:1 judges nothing without --baseline"),
        ((*asked, "--format", "jsonl"), "--format jsonl is of --dry-run"),
    ]:
        code, out, err = bench(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err
    (tmp_path / "empty").mkdir()
    code, out, err = bench(*asked, "--baseline", "empty")
    assert (code, out) == (2, "")
    assert "empty holds no records" in err


def test_what_is_no_file(bench: Bench) -> None:
    for named in ("mini", "none.toml"):
        code, _, err = bench("run", named)
        assert code == 2
        assert err.startswith(f"bench: {named}: no such file; a run is a file that ends in .toml")


def test_one_experiment_by_three_ways(bench: Bench, tmp_path: Path) -> None:
    assert bench("run", "-m", "random", "-o", "a")[0] == 0
    assert bench("run", "--suite", "mini", "-m", "random", "-o", "b")[0] == 0
    package.run("mini", ["random"], output="c")
    records = [
        sorted(path.relative_to(tmp_path / folder) for path in (tmp_path / folder).rglob("*.json"))
        for folder in "abc"
    ]
    assert records[0] == records[1] == records[2]
    assert "-smoke-" in records[0][0].name
    code, _, err = bench("run", "-s", "mini", "-s", "sts7", "-m", "random")
    assert (code, "choose one: --profile NAME" in err) == (2, True)


def test_a_baseline_of_other_suites_is_refused_before_the_run(bench: Bench, suite: Path) -> None:
    assert bench("run", "-s", suite, "-m", "good", "-o", "base")[0] == 0
    code, out, err = bench("run", "-s", "mini[STS]", "-m", "good", "--baseline", "base")
    assert (code, out) == (2, "")
    assert err == "bench: base has records of small, and none of mini[STS]\n"
