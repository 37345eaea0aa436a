"""``bench compare``: right verdicts, and no comparison of what is unlike."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.support.saved_models import SHAPES, save
from tests.support.suites import Bench, write_suite


@pytest.fixture
def runs(bench: Bench, suite: Path) -> None:
    """Letter counts, the same again, and random vectors on the small suite."""
    assert bench("run", "--suite", suite, "--methods", "good,good2,random")[0] == 0


@pytest.mark.usefixtures("runs")
def test_a_run_with_itself_differs_by_nothing(bench: Bench) -> None:
    code, out, _ = bench("compare", "good", "good")
    assert code == 0
    for name in ("pairs", "Avg"):
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert "+0.00  +0.00 to +0.00  1.0000      1.0000  no difference shown" in line


@pytest.mark.usefixtures("runs")
def test_sides_can_be_exchanged(bench: Bench) -> None:
    def average(a: str, b: str) -> list[str]:
        out = bench("compare", a, b)[1]
        return next(line.split() for line in out.splitlines() if line.startswith("Avg"))

    one, other = average("good", "random"), average("random", "good")
    assert one[1:3] == other[2:0:-1]
    assert float(one[3]) == -float(other[3])
    assert one[7:9] == other[7:9]


@pytest.mark.usefixtures("runs")
def test_items_come_with_their_texts(bench: Bench) -> None:
    suite = Path("small.toml")
    bench("run", "--suite", "sts-mini", "--methods", "good,random")
    out = bench("compare", "good", "random", "--suite", "sts-mini", "--items", "3")[1]
    changed = out[out.index("The 3 items") :].splitlines()[4:7]
    assert all("STS-mini" in line and " | " in line and "score" in line for line in changed)
    assert suite.is_file()


@pytest.mark.usefixtures("runs")
def test_two_records(bench: Bench) -> None:
    one, other = (next(Path("results/runs").rglob(f"{name}-*.json")) for name in ("good", "random"))
    code, out, _ = bench("compare", one, other)
    assert code == 0
    assert out.splitlines()[2:4] == ["A: good", "B: random"]
    assert bench("compare", "rows.jsonl", other)[0] == 4


@pytest.mark.usefixtures("runs")
def test_the_order_of_options_does_not_matter(bench: Bench, suite: Path) -> None:
    assert bench("run", "--suite", suite, "--methods", "good[flag=a,count=1]")[0] == 0
    code, out, _ = bench("compare", "good[flag=a,count=1]", "good")
    assert code == 0
    assert "A: good[count=1,flag=a]\n" in out


def test_folders_of_two_commits(bench: Bench, suite: Path, tmp_path: Path) -> None:
    for folder, method in (("old", "good"), ("new", "random")):
        bench("run", "--suite", suite, "--methods", method, "--output", tmp_path / folder)
    code, out, _ = bench("compare", tmp_path / "old", tmp_path / "new")
    assert code == 0
    assert "A: good\n" in out
    assert "B: random\n" in out


@pytest.mark.usefixtures("runs")
def test_unlike_runs_are_refused(bench: Bench, suite: Path, tmp_path: Path) -> None:
    bench("run", "--suite", suite, "--methods", "good", "--limit", "20", "--output", "part")
    code, out, err = bench("compare", "good", tmp_path / "part")
    assert (code, out) == (2, "")
    assert "their limit differ" in err
    other = tmp_path / "other"
    other.mkdir()
    changed = write_suite(other)
    rows = (other / "rows.jsonl").read_text().replace("things", "stones")
    (other / "rows.jsonl").write_text(rows)
    changed.write_text(changed.read_text().split(", sha256")[0] + " }\n")
    assert bench("run", "--suite", changed, "--methods", "good", "--output", "rows")[0] == 0
    code, _, err = bench("compare", "good", tmp_path / "rows")
    assert code == 2
    assert "their rows differ" in err


@pytest.mark.usefixtures("runs")
def test_names_that_are_nothing(bench: Bench) -> None:
    code, _, err = bench("compare", "good", "minilm")
    assert code == 4
    assert "no records of minilm" in err
    code, _, err = bench("compare", "godo", "random")
    assert code == 4
    assert "no records of godo; did you mean 'good'" in err
    code, _, err = bench("compare", "results", "good")
    assert code == 2
    assert "matches several methods on small" in err


def test_a_folder_of_a_model_is_a_method(bench: Bench, suite: Path, tmp_path: Path) -> None:
    folder = save(SHAPES["prompts"], tmp_path / "made").rename(tmp_path / "card")
    assert bench("run", "--suite", suite, "--methods", f"good,{folder}")[0] == 0
    code, out, _ = bench("compare", folder, "good")
    assert code == 0
    assert f"sbert@{folder}" in out


def test_one_training_is_a_model_and_no_method(bench: Bench) -> None:
    folder = Path(__file__).parents[2] / "results/baselines/mini"
    code, out, _ = bench("compare", "simcse", "minilm-l2", "--runs", folder)
    assert code == 0
    assert "A: simcse (smoke), seed 0\nB: minilm-l2\n" in out
    assert "Each method has one training" in " ".join(out.split())
    _, out, _ = bench("compare", "minilm", "minilm-l2", "--runs", folder)
    assert "Each method has one training" not in out


@pytest.mark.usefixtures("runs")
def test_items_of_a_suite_of_ones_own(bench: Bench) -> None:
    code, _, err = bench("compare", "good", "random", "--items", "2")
    assert code == 2
    assert "--items needs the rows of small, which is not registered; name its file" in err
    code, out, err = bench("compare", "good", "random", "--items", "2", "--suite", "small.toml")
    assert (code, "The 2 items that differ most" in out) == (0, True), err


MINI = Path(__file__).parents[2] / "results/baselines/mini"


def test_several_methods_against_one(bench: Bench) -> None:
    names = ("simcse", "minilm", "minilm-l2")
    code, out, _ = bench("compare", *names, "--runs", MINI)
    assert code == 0
    sides = "A: simcse (smoke), seed 0\nB: minilm\nC: minilm-l2\n"
    assert out.startswith(f"mini\n\n{sides}")
    averages = out[out.index("Avg of") :].split("\n\n")[0].splitlines()
    for place, letter in enumerate("AB"):
        alone = bench("compare", names[place], "minilm-l2", "--runs", MINI)[1]
        (line,) = (line for line in alone.splitlines() if line.startswith("Avg "))
        assert averages[2 + place].split()[1:8] == line.split()[1:8]
        assert averages[2 + place].split()[0] == letter
    assert averages[3].endswith("B is better")
    assert "Holm's correction is over the tasks, not over the methods." in " ".join(out.split())
    assert bench("compare", "simcse", "--runs", MINI)[0] == 2


def test_which_test_served_which_task(bench: Bench) -> None:
    out = " ".join(bench("compare", "minilm", "tfidf", "--runs", MINI)[1].split())
    for served in (
        "paired bootstrap, percentile interval (STS, Avg)",
        "McNemar's exact test, BCa interval (Intent, NLI)",
        "permutation test, BCa interval (Reranking)",
    ):
        assert served in out


def test_comparisons_for_programs_and_pages(bench: Bench) -> None:
    where = ("compare", "minilm", "tfidf", "--runs", MINI, "--format")
    lines = json.loads(bench(*where, "json")[1])
    assert [line["task"] for line in lines] == ["STS", "Intent", "Reranking", "NLI", "Avg"]
    assert lines[0]["delta"] == pytest.approx(lines[0]["score_a"] - lines[0]["score_b"])
    assert lines[-1]["better"] == "a"
    (first, *_) = csv.DictReader(io.StringIO(bench(*where, "csv")[1]))
    assert float(first["p"]) == lines[0]["p"]
    assert "| STS       |" in bench(*where, "markdown")[1]
    code, _, err = bench(*where, "json", "--items", "2")
    assert (code, "--items comes as text or markdown" in err) == (2, True)


def test_items_tell_what_both_answered(bench: Bench) -> None:
    out = bench("compare", "minilm", "minilm-l2", "--runs", MINI, "--items", "500")[1]
    lines = out[out.index("items that differ most") :].splitlines()[4:]
    told = [re.split("  +", line.strip()) for line in lines if line]
    intents = [line for line in told if line[1] == "Intent" and line[0].endswith("100.0")]
    assert len(intents) > 20
    for change, _, a, b, text in intents:
        gold = text.rpartition("label ")[2]
        # Right is whom the change speaks for, and the other is wrong.
        assert ((a == gold), (b == gold)) == ((True, False) if change[0] == "+" else (False, True))
    (ranked, *_) = (line for line in told if line[1] == "Reranking")
    assert ranked[2].startswith("first at ")


def test_differences_are_drawn(bench: Bench, suite: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra 'plot'")
    assert bench("run", "--suite", suite, "--methods", "good,random")[0] == 0
    assert bench("compare", "good", "random", "--plot", "x.svg")[0] == 0
    assert "good less random" in Path("x.svg").read_text(encoding="utf-8")
    code, _, err = bench("compare", "good", "random", "--plot", "x.pdf")
    assert (code, ".svg or .png" in err) == (2, True)


def test_a_label_names_a_side(bench: Bench, suite: Path) -> None:
    methods = "good[label=ours],random"
    assert bench("run", "--suite", suite, "--methods", methods)[0] == 0
    code, out, _ = bench("compare", "ours", "random")
    assert (code, "A: ours (good)\n" in out) == (0, True)
    # Another label changes the record, and runs nothing.
    code, _, err = bench("run", "--suite", suite, "--methods", "good[label=theirs]")
    assert (code, "distinct" in err) == (0, False)
    assert bench("compare", "theirs", "good")[0] == 0
    assert bench("compare", "ours", "random")[0] == 4
    assert "theirs" in bench("table")[1]
    assert bench("run", "--suite", suite, "--methods", f"good[label={'x' * 81}]")[0] == 2
    code, _, err = bench("run", "--suite", suite, "--methods", "good[label=a],good[label=b]")
    assert (code, "good is asked for twice, with a and b" in err) == (2, True)
