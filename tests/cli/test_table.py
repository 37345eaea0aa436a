"""``bench table``: leaderboards are made of records alone, and checked against them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.records import write_edited
from tests.support.suites import Bench

ROOT = Path(__file__).parents[2]


@pytest.fixture
def baselines(bench: Bench, suite: Path) -> Path:
    """Records of two methods where committed ones are kept."""
    output = Path("results/baselines")
    assert bench("run", "--suite", suite, "--methods", "good,random", "--output", output)[0] == 0
    return output


@pytest.mark.usefixtures("baselines")
def test_leaderboards_are_written_and_checked(bench: Bench) -> None:
    path = Path("results/leaderboards/small.md")
    code, _, err = bench("table", "--check")
    assert code == 1
    assert err == f"bench: {path} is stale; run 'bench table --write'\n"
    code, out, _ = bench("table", "--write")
    assert (code, out) == (0, f"{path}\n")
    text = path.read_text()
    assert "bench run --suite small --profile local --seeds 1 --methods " in text
    assert bench("table", "--check")[0] == 0
    path.write_text(text.replace("`good`", "`best`"))
    assert bench("table", "--check")[0] == 1


def test_the_command_in_a_leaderboard_makes_its_records(bench: Bench, baselines: Path) -> None:
    bench("table", "--write")
    text = Path("results/leaderboards/small.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("    bench run"))
    command = line.replace("--suite small", "--suite small.toml").split()[1:]
    code, _, err = bench(*command, "--output", baselines)
    assert code == 0
    assert "encode" not in err


@pytest.mark.usefixtures("baselines")
def test_a_changed_record_makes_a_leaderboard_stale(bench: Bench, baselines: Path) -> None:
    bench("table", "--write")
    path = next(baselines.rglob("random-*.json"))
    record = json.loads(path.read_bytes())
    record["machine"]["processor"] = "another"
    write_edited(path, record)
    assert bench("table", "--check")[0] == 1


@pytest.mark.usefixtures("baselines")
def test_formats(bench: Bench) -> None:
    where = ("table", "results/baselines", "--format")
    assert bench(*where, "csv")[1].startswith("suite,convention,")
    assert json.loads(bench(*where, "json")[1])[0]["suite"] == "small"
    assert r"\begin{tabular}" in bench(*where, "latex")[1]
    rows = list(csv.DictReader(io.StringIO(bench(*where, "csv")[1])))
    told = json.loads(bench(*where, "json")[1])[0]["rows"]
    for row, entry in zip(rows, told, strict=True):
        assert [row[key] for key in ("id", "profile", "fingerprint")] == [
            *(entry["id"], "local", entry["fingerprint"])
        ]
        assert len(row["fingerprint"]) == 32
    assert bench(*where, "json", "--suite", "other")[0] == 4
    assert bench(*where, "latex", "--view", "phenomena")[0] == 2


@pytest.mark.usefixtures("baselines")
def test_a_leaderboard_is_whole_or_not_written(bench: Bench) -> None:
    for more in (("--format", "csv"), ("--suite", "small"), ("--view", "phenomena")):
        code, _, err = bench("table", "--write", *more)
        assert code == 2
        assert "drop the other options" in err
    assert not Path("results/leaderboards").exists()


def test_a_suite_cannot_lead_out_of_the_folder(bench: Bench, baselines: Path) -> None:
    for path in baselines.rglob("*-seed0.json"):
        record = json.loads(path.read_bytes()) | {"suite": "../../small"}
        write_edited(path, record)
    code, _, err = bench("table", "--write")
    assert code == 4
    assert "cannot be the name of a file" in err


@pytest.mark.parametrize("verb", ["table", "claims"])
def test_committed_pages_are_those_of_the_committed_records(verb: str) -> None:
    # The script, as python -c would import the checkout's bench in place of the installed one.
    command = [Path(sys.executable).parent / "bench", verb, "--check"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


def test_an_untrained_method_of_two_profiles_is_one_row(bench: Bench, suite: Path) -> None:
    for profile in ("smoke", "local"):
        code, _, err = bench("run", "--suite", suite, "--methods", "good", "--profile", profile)
        assert code == 0, err
    out = bench("table")[1]
    assert out.count("good") == 1
    code, out, err = bench("compare", "good", "good")
    assert code == 0, err
    assert bench("compare", "good", "good", "--profile", "local")[0] == 0


def test_rows_and_columns_are_chosen(bench: Bench, baselines: Path) -> None:
    asked = ("--methods", "good", "--columns", "avg,pairs", "--digits", "1")
    code, out, _ = bench("table", baselines, *asked)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("1 of 2 rows")
    assert lines[2].split() == ["Method", "Avg", "pairs"]
    assert bench("table", baselines, "--top", "1")[1].splitlines()[0].endswith("1 of 2 rows")
    assert bench("table", baselines, "--sort", "Method")[0] == 0
    for wrong, message in (
        (("--columns", "Rang"), "no column 'Rang'; did you mean 'Rank'"),
        (("--sort", "nothing"), "no column 'nothing'; there are "),
        (("--methods", "best"), "no row is called that"),
        (("--methods", "god"), "no row is called that; did you mean 'good'"),
        (("--base", "x"), "choose none"),
        (("--format", "csv", "--digits", "1"), "leave out --columns and --digits"),
        (("--view", "geometry", "--top", "1"), "--view geometry shows all rows"),
        (("--check", "--top", "1"), "drop the other options"),
    ):
        code, _, err = bench("table", baselines, *wrong)
        assert (code, message in err) == (2, True), err


def test_a_terminal_gets_more_than_letters(
    bench: Bench, baselines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr("bench.cli.pages.on_terminal", lambda: True)
    monkeypatch.setattr("bench.cli.pages.show", lambda page, paged: asked.append((page, paged)))
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert bench("table", baselines)[0] == 0
    monkeypatch.setenv("NO_COLOR", "1")
    assert bench("table", baselines)[0] == 0
    (coloured, paged), (plain, _) = asked
    assert paged
    assert "\x1b[1;32m" in coloured
    assert "\x1b[1m" in plain
    assert "\x1b[1;32m" not in plain


@pytest.mark.parametrize(("lines", "pages"), [(24, 0), (22, 1)])
def test_what_is_longer_than_the_screen_goes_through_the_pager(
    lines: int, pages: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.cli import terminal

    def size(fallback: tuple[int, int] = (80, 24)) -> os.terminal_size:
        return os.terminal_size((80, lines))

    told: list[str] = []
    monkeypatch.setattr("click.echo_via_pager", lambda text, color: told.append(text))
    monkeypatch.setattr("shutil.get_terminal_size", size)
    terminal.show("\n".join("x" * 23), paged=True)
    assert len(told) == pages
    assert len(capsys.readouterr().out.splitlines()) == 23 * (1 - pages)
