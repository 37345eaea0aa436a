"""Where probes are fitted: on the run's GPU, by torch, and what records say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.api import make_settings
from bench.execution.settings import Settings
from tests.support.suites import WORDS, Bench

ROWS = 48
# Another device than the one that is taken for the CPU, on which torch computes all the same.
OTHER = "cpu:0"
TASKS = {
    "folds": 'kind = "classification"\n',
    "loop": 'kind = "classification"\nprobe = "torch"\n',
    "scores": 'kind = "relatedness"\nclasses = 5\n',
}


def write_suite(folder: Path, name: str, entry: str, convention: str = "senteval") -> Path:
    """A suite of one task, whose first words tell label and score."""
    rows = [
        {
            "text": f"{WORDS[i % 10]} {i % 7}",
            "sentence1": f"{WORDS[i % 10]} {i % 7}",
            "sentence2": f"{WORDS[i * 3 % 10]} thing",
            "label": "odd" if i % 10 % 2 else "even",
            "score": 1 + i * 3 % 10 * 4 / 9,
        }
        for i in range(ROWS)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = "".join(
        f'{part} = {{ file = "rows.jsonl" }}\n'
        for part in (("data",) if name in ("folds", "loop") else ("data", "train", "dev"))
    )
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ntitle = "x"\nconvention = "{convention}"\naverage = ["{name}"]\n'
        f'[[tasks]]\nname = "{name}"\n{entry}{parts}'
    )
    return path


def record(bench: Bench, suite: Path, output: str, method: str = "random") -> dict[str, Any]:
    code, _, err = bench("run", "-s", str(suite), "-m", method, "-o", output)
    assert code == 0, err
    (path,) = Path(output).rglob("*-seed0.json")
    read: dict[str, Any] = json.loads(path.read_text())
    return read


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes compute on another device than the CPU."""
    monkeypatch.setattr(Settings, "probe_device", property(lambda _: OTHER))


@pytest.mark.parametrize(
    ("device", "probes"),
    [("cpu", "cpu"), ("mps", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1")],
)
def test_only_gpus_with_float64_fit_probes(device: str, probes: str) -> None:
    assert replace(make_settings(profile="smoke"), device=device).probe_device == probes


@pytest.mark.parametrize("name", TASKS)
def test_scores_are_those_of_the_cpu_and_the_record_says_where(
    bench: Bench, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    suite = write_suite(tmp_path, name, TASKS[name])
    own = record(bench, suite, "own")
    assert "probes" not in own["compute"]
    request.getfixturevalue("elsewhere")
    other = record(bench, suite, "other")
    assert other["compute"] == {**own["compute"], "probes": OTHER}
    assert other["average"] == pytest.approx(own["average"], abs=1.01 / ROWS)
    # Where two values of a grid are almost as good, another one may be chosen.
    assert other["cell_fingerprint"] != own["cell_fingerprint"]
    assert other["model_fingerprint"] == own["model_fingerprint"]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("kind", ["classification", "relatedness"])
def test_only_methods_that_answer_by_a_probe_say_so(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    classes = "classes = 5\n" if kind == "relatedness" else ""
    entry = f'kind = "{kind}"\ntrack = "supervised"\n{classes}'
    suite = write_suite(tmp_path, "answers", entry)
    assert record(bench, suite, "probed")["compute"]["probes"] == OTHER
    if kind == "classification":
        assert "probes" not in record(bench, suite, "itself", "majority")["compute"]


@pytest.mark.usefixtures("elsewhere")
def test_fits_that_end_before_the_optimum_stay_on_the_cpu(bench: Bench, tmp_path: Path) -> None:
    entry = 'kind = "classification"\nsamples_per_label = 4\nexperiments = 2\n'
    suite = write_suite(tmp_path, "shots", entry, "mteb")
    suite.write_text(suite.read_text().replace('dev = { file = "rows.jsonl" }\n', ""))
    assert "probes" not in record(bench, suite, "runs")["compute"]


def test_tasks_without_probes_say_nothing_of_them(
    bench: Bench, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    suite = write_suite(tmp_path, "folds", 'kind = "sts"\n')
    own = record(bench, suite, "own")
    request.getfixturevalue("elsewhere")
    other = record(bench, suite, "other")
    assert "probes" not in other["compute"]
    assert other["cell_fingerprint"] == own["cell_fingerprint"]
