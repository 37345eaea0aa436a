"""The gate fails on what is worse beyond its bound and beyond noise, and on nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.verdicts.gate import parse_bounds
from tests.support.records import write_edited
from tests.support.stub_methods import Stub
from tests.support.suites import WORDS, Bench


class Words:
    """Bags of words, with as much noise as a file says: what a commit could break."""

    def __init__(self, noise: float, seed: int) -> None:
        self._noise, self._seed = noise, seed

    def encode(self, texts, *, role=None):
        def vector(text: str) -> np.ndarray:
            rng = np.random.default_rng([self._seed, *text.encode()])
            counts = [text.split().count(word) for word in WORDS]
            return np.array(counts) + self._noise * rng.normal(size=len(WORDS)) + 0.01

        return np.stack([vector(text) for text in texts]).astype(np.float32)


class WordsMethod(Stub):
    """Reads its noise from a file beside the records."""

    def inputs(self, data, models):
        return {"noise": Path("noise.txt").read_text()}

    def build(self, ctx):
        noise, seed = Path("noise.txt").read_text().split()
        return Words(float(noise), int(seed))


@pytest.fixture
def baseline(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of 200 pairs that share words by their score, and the records of no noise."""
    from importlib.metadata import EntryPoint

    from bench.core import registry

    entries = registry._entries(registry.METHODS)
    monkeypatch.setitem(
        entries, "words", [EntryPoint("words", f"{__name__}:WordsMethod", registry.METHODS)]
    )
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        shared = int(rng.integers(0, 5))
        words = list(rng.permutation(WORDS))
        one, other = " ".join(words[:5]), " ".join(words[5 - shared : 10 - shared])
        lines.append(f"{one}\t{other}\t{shared + rng.normal() / 2:.3f}")
    rows = "sentence1\tsentence2\tscore\n" + "\n".join(lines) + "\n"
    (tmp_path / "rows.tsv").write_text(rows)
    (tmp_path / "words.toml").write_text(
        'name = "words"\ntitle = "x"\nconvention = "simcse"\naverage = ["pairs"]\n[[tasks]]\n'
        'name = "pairs"\nkind = "sts"\ndata = { file = "rows.tsv" }\n'
    )
    run(bench, 0.0, "base")
    return tmp_path / "base"


def run(bench: Bench, noise: float, output: str, seed: int = 0) -> None:
    Path("noise.txt").write_text(f"{noise} {seed}")
    code, _, err = bench("run", "--suite", "words.toml", "--methods", "words", "--output", output)
    assert code == 0, err


def test_identical_runs_pass(bench: Bench, baseline: Path) -> None:
    run(bench, 0.0, "now")
    code, out, _ = bench("gate", "now", "--baseline", baseline)
    assert code == 0
    assert out.startswith("Gate: 1 checks passed\nnow against ")


def test_a_drop_inside_noise_passes(bench: Bench, baseline: Path) -> None:
    run(bench, 0.5, "one", seed=1)
    run(bench, 0.5, "other", seed=2)
    found = []
    # One of the two is a drop.
    for now, then in (("one", "other"), ("other", "one")):
        code, out, _ = bench("gate", now, "--baseline", then, "--fail-on", "avg:0,pairs:0")
        assert code == 0
        assert "2 checks passed" in out
        found.append(" -" in out.split("Gate\n")[1].split("---  ------")[-1])
    assert any(found)


def test_a_planted_regression_fails(bench: Bench, baseline: Path) -> None:
    run(bench, 1.0, "now")
    code, out, _ = bench("gate", "now", "--baseline", baseline, "--fail-on", "pairs:0.5")
    assert code == 1
    assert "1 of 1 checks failed" in out
    assert "FAILED" in out
    code, _, _ = bench("gate", "now", "--baseline", baseline, "--fail-on", "avg:99")
    assert code == 0


def test_an_untrained_method_is_the_same_at_any_profile(bench: Bench, baseline: Path) -> None:
    arguments = ("--suite", "words.toml", "--methods", "words", "--output")
    for output in ("now", baseline):
        assert bench("run", *arguments, output, "--profile", "smoke")[0] == 0
    # The baseline has it at two profiles, and it is judged once.
    code, out, err = bench("gate", "now", "--baseline", baseline)
    assert (code, "1 checks passed" in out) == (0, True), err
    assert bench("report", "--diff", baseline, "now", "-o", "diff.html")[0] == 0
    assert "only in" not in Path("diff.html").read_text()


def test_run_and_gate_in_one(bench: Bench, baseline: Path) -> None:
    for noise, expected in (("0.0", 0), ("1.0", 1)):
        Path("noise.txt").write_text(f"{noise} 0")
        arguments = ("--suite", "words.toml", "--methods", "words", "--output", "now")
        code, out, _ = bench("run", *arguments, "--baseline", baseline, "--fail-on", "avg:1")
        assert code == expected
        assert out.index("words: simcse convention") < out.index("\nGate: ")


def test_bounds_of_no_task_are_refused_before_the_run(bench: Bench, baseline: Path) -> None:
    arguments = ("--suite", "words.toml", "--methods", "words", "--output", "now")
    code, _, err = bench("run", *arguments, "--baseline", baseline, "--fail-on", "STS99:1")
    assert code == 2
    assert "STS99: the baseline has no such task; it has avg, time, pairs" in err
    assert not Path("now").exists()


def test_what_cannot_be_judged(bench: Bench, baseline: Path) -> None:
    code, _, err = bench("gate", "now", "--baseline", baseline)
    assert code == 4
    Path("now").mkdir()
    code, _, err = bench("gate", "now", "--baseline", baseline)
    assert code == 2
    assert "nothing was run; bench run --suite words" in err
    code, _, err = bench("gate", "now", "--baseline", baseline, "--bisect")
    assert code == 125
    assert err.startswith("bench: cannot be judged: words on words")
    run(bench, 0.0, "now")
    code, _, err = bench("gate", "now", "--baseline", baseline, "--fail-on", "pears:1")
    assert code == 2
    assert err == ("bench: --fail-on pears: the baseline has no such task; did you mean 'pairs'?\n")
    rows = Path("rows.tsv").read_text()
    Path("rows.tsv").write_text(rows.replace("apple", "plum"))
    run(bench, 0.0, "now")
    code, _, err = bench("gate", "now", "--baseline", baseline)
    assert code == 2
    assert "their rows differ" in err


def retime(folder: Path, factor: float, **machine: str) -> None:
    for path in folder.rglob("*-seed0.json"):
        record = json.loads(path.read_bytes())
        record["timings"]["encode"] *= factor
        record["machine"] |= machine
        write_edited(path, record)


def test_times(bench: Bench, baseline: Path) -> None:
    shutil.copytree(baseline, "now")
    command = ("gate", "now", "--baseline", baseline, "--fail-on")
    for factor, code in ((1.2, 0), (1.2, 1)):
        retime(Path("now"), factor)
        found, out, _ = bench(*command, "avg:0,time:25")
        assert found == code
        assert " ms " in out
    found, out, err = bench(*command, "avg:0")
    assert (found, " ms " in out) == (0, False)
    assert "encoding a text took 1.4 times as long" in err
    retime(Path("now"), 1, processor="another")
    found, out, err = bench(*command, "avg:0,time:25")
    assert (found, " ms " in out) == (0, False)
    assert "is not judged: the machines differ" in err


def test_a_run_is_judged_for_what_it_ran(bench: Bench, baseline: Path) -> None:
    arguments = ("run", "--suite", "words.toml", "--output")
    assert bench(*arguments, baseline, "--methods", "random")[0] == 0
    code, out, err = bench(*arguments, "now", "--methods", "words", "--baseline", baseline)
    assert (code, "1 checks passed" in out) == (0, True)
    assert "random on words (local) was not run and is not judged" in err
    code, _, err = bench(*arguments, "now", "--methods", "words[count=1]", "--baseline", baseline)
    assert code == 2
    assert "nothing of the baseline was run" in err


@pytest.mark.parametrize("text", ["", "avg", "avg:", "avg:-1", "avg:x", ":1", "avg:nan"])
def test_bounds_of_another_form(text: str) -> None:
    with pytest.raises(UsageError, match="expected TASK:POINTS"):
        parse_bounds(text)


def test_bounds() -> None:
    assert parse_bounds("avg:0.3, STS12:0.5,time:25") == {
        "Avg": 0.003,
        "STS12": 0.005,
        "time": 0.25,
    }


def test_a_cell_that_is_there_twice_is_not_averaged(bench: Bench, baseline: Path) -> None:
    run(bench, 5.0, "now")
    code, _, err = bench("gate", "now", "base", "--baseline", baseline)
    assert code == 4
    assert "words (seed 0) on words is both in" in err


def test_a_damaged_baseline_is_not_left_out(bench: Bench, baseline: Path) -> None:
    run(bench, 5.0, "now")
    (record,) = baseline.rglob("*seed0.json")
    record.write_text(record.read_text()[:200])
    code, _, err = bench("gate", "now", "--baseline", baseline)
    assert code == 4
    assert f"{record}: not a record" in err


def test_items_of_another_run_are_refused(bench: Bench, baseline: Path) -> None:
    run(bench, 5.0, "now")
    (items,) = Path("now").rglob("*.safetensors")
    shutil.copy(next(baseline.rglob("*.safetensors")), items)
    code, _, err = bench("gate", "now", "--baseline", baseline)
    assert code == 4
    assert "not the items of" in err


def test_a_cell_whose_last_run_failed_is_not_judged(bench: Bench, baseline: Path) -> None:
    run(bench, 0.0, "now")
    (record,) = Path("now").rglob("*seed0.json")
    record.with_suffix(".failed.json").write_text("{}")
    assert bench("gate", "now", "--baseline", baseline)[0] == 2
    code, _, err = bench("gate", "now", "--baseline", baseline, "--bisect")
    assert code == 125
    assert "is older than the last run of its cell, which failed" in err


def test_what_judges_nothing_does_not_pass(bench: Bench, baseline: Path) -> None:
    run(bench, 0.0, "now")
    (record,) = Path("now").rglob("*seed0.json")
    content = json.loads(record.read_text())
    content["machine"]["processor"] = "another"
    write_edited(record, content)
    code, _, err = bench("gate", "now", "--baseline", baseline, "--fail-on", "time:25")
    assert code == 2
    assert "nothing could be judged" in err
