"""The action that gates pull requests fails where it should, and says why in either case."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / "results/baselines/mini"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}
# A command line of GitHub that keeps comments in a file.
GH = """#!{python}
import json, sys, pathlib
place = pathlib.Path("comments.json")
comments = json.loads(place.read_text()) if place.exists() else []
method = sys.argv[sys.argv.index("--method") + 1] if "--method" in sys.argv else "GET"
if method == "GET":
    mark = "<!-- sentence-bench: gate -->"
    print("\\n".join(str(one["id"]) for one in comments if one["body"].startswith(mark)))
    sys.exit()
body = pathlib.Path(sys.argv[-1].removeprefix("body=@")).read_text()
path = next(part for part in sys.argv if part.startswith("repos/"))
if method == "POST":
    comments.append({{"id": 7 + len(comments), "body": body}})
else:
    (old,) = [one for one in comments if path.endswith("/" + str(one["id"]))]
    old["body"] = body
place.write_text(json.dumps(comments))
"""

needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


def pass_off(method: str, other: str, folder: Path) -> None:
    """Give the record of one method the scores of another."""
    (target,), (source,) = (list(folder.rglob(f"{name}-smoke-*.json")) for name in (method, other))
    record = json.loads(source.read_text())
    record["method"] = json.loads(target.read_text())["method"]
    # What it was written with would tell that it is another one's.
    record.pop("record_sha256", None)
    target.write_text(json.dumps(record))
    shutil.copy(source.with_suffix(".items.safetensors"), target.with_suffix(".items.safetensors"))


class Runner:
    """Runs the steps of the action as a runner does, each a script with its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        for name in ("programs", "temp"):
            (folder / name).mkdir()
        self.program("gh", GH.format(python=sys.executable))

    def program(self, name: str, text: str) -> None:
        """Put a program before all others."""
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def step(self, name: str, **values: str) -> subprocess.CompletedProcess[str]:
        """Run a step, with values in place of its expressions."""
        step: Mapping[str, Any] = STEPS[name]
        assert step["shell"] == "bash"
        path = [str(self.programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {
            **os.environ,
            **dict.fromkeys(step.get("env", {}), ""),
            **values,
            "PATH": os.pathsep.join(path),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_OUTPUT": str(self.folder / "outputs"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
        }
        # How the runner calls bash where a step names it.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )

    def file(self, name: str) -> str:
        """What the action wrote into its folder."""
        return (self.folder / "temp/sentence-bench" / name).read_text(encoding="utf-8")

    def gate(self) -> subprocess.CompletedProcess[str]:
        """Run the step that judges, as the workflow of this project does."""
        workflow = (ROOT / ".github/workflows/gate.yml").read_text(encoding="utf-8")
        (step,) = (
            step for step in yaml.safe_load(workflow)["jobs"]["gate"]["steps"] if "with" in step
        )
        bounds = step["with"]["fail-on"]
        return self.step("gate", OUTPUT="results/runs", BASELINE="results/base", BOUNDS=bounds)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    for name in ("results/base", "results/runs"):
        shutil.copytree(BASELINE, tmp_path / name)
    return Runner(tmp_path)


@pytest.mark.nightly
@needs_bash
def test_a_pull_request_that_regressed(runner: Runner) -> None:
    pass_off("minilm", "tfidf", runner.folder / "results/runs")
    done = runner.gate()
    assert done.returncode == 0, done.stderr
    summary = (runner.folder / "summary.md").read_text()
    assert summary.startswith("### Gate: 2 of 12 checks failed\n\n`results/runs` against ")
    assert (runner.folder / "outputs").read_text() == "passed=false\n"
    annotations = [line for line in done.stdout.splitlines() if line.startswith("::")]
    form = re.compile(r"::(error|warning|notice) title=[^:,]+::.+")
    assert all(form.fullmatch(line) for line in annotations)
    assert [line.split()[0] for line in annotations] == ["::error", "::error", "::notice"]
    assert "::error title=Gate%3A minilm on mini::STS is 38.33, 64.50 in the" in done.stdout
    root = ElementTree.fromstring(runner.file("gate.xml"))
    (suite,) = root.findall("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("12", "2")
    failed = [case for case in suite.findall("testcase") if case.find("failure") is not None]
    assert [case.get("classname") for case in failed] == ["mini: minilm"] * 2
    assert runner.step("verdict", PASSED="false").returncode == 1


@pytest.mark.nightly
@needs_bash
def test_a_comment_is_updated_and_not_repeated(runner: Runner) -> None:
    where = {"REPOSITORY": "some/repository", "NUMBER": "12", "GH_TOKEN": "x"}
    (runner.folder / "comments.json").write_text('[{"id": 3, "body": "Nice."}]')
    assert runner.gate().returncode == 0
    assert runner.step("comment", **where).returncode == 0
    pass_off("minilm", "tfidf", runner.folder / "results/runs")
    assert runner.gate().returncode == 0
    assert runner.step("comment", **where).returncode == 0
    other, mine = json.loads((runner.folder / "comments.json").read_text())
    assert other["body"] == "Nice."
    assert "### Gate: 2 of 12 checks failed" in mine["body"]


@needs_bash
def test_what_cannot_be_judged_fails_at_once(runner: Runner) -> None:
    shutil.rmtree(runner.folder / "results/runs")
    assert runner.gate().returncode == 4
    assert not (runner.folder / "outputs").exists()
    assert runner.step("verdict", PASSED="").returncode == 1


@needs_bash
def test_what_users_give_is_no_part_of_a_script(runner: Runner) -> None:
    runner.program("bench", '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    evil = "sct[a=$(touch evil)]; touch evil"
    done = runner.step("run", SUITE="a b", METHODS=evil, SEEDS="1", PROFILE="", OUTPUT="o")
    assert done.stdout.splitlines()[1:] == [
        *("--seeds", "1", "--output", "o", "--suite", "a b", "--methods", evil)
    ]
    assert not (runner.folder / "evil").exists()
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


@pytest.mark.nightly
@needs_bash
def test_the_report_holds_table_and_records(runner: Runner) -> None:
    done = runner.step("report", OUTPUT="results/runs")
    assert done.returncode == 0, done.stderr
    assert runner.file("table.md").startswith("### mini: senteval convention")
    assert len(list((runner.folder / "temp/sentence-bench/records").glob("*.json"))) == 6
