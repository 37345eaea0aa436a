"""The gate of pull requests fails where it should, and says why in either case."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / "results/baselines/mini"


def gate_step() -> dict[str, Any]:
    workflow = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text(encoding="utf-8"))
    (step,) = (one for one in workflow["jobs"]["gate"]["steps"] if one.get("name") == "gate")
    return step


def pass_off(method: str, other: str, folder: Path) -> None:
    """Give the record of one method the scores of another."""
    (target,), (source,) = (list(folder.rglob(f"{name}-smoke-*.json")) for name in (method, other))
    record = json.loads(source.read_text())
    record["method"] = json.loads(target.read_text())["method"]
    # What it was written with would tell that it is another one's.
    record.pop("record_sha256", None)
    target.write_text(json.dumps(record))
    shutil.copy(source.with_suffix(".items.safetensors"), target.with_suffix(".items.safetensors"))


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(("regressed", "head"), [(False, "12 checks passed"), (True, "2 of 12 ")])
def test_the_gate_of_pull_requests(tmp_path: Path, regressed: bool, head: str) -> None:
    for name in ("results/baselines/mini", "results/runs"):
        shutil.copytree(BASELINE, tmp_path / name)
    if regressed:
        pass_off("minilm", "tfidf", tmp_path / "results/runs")
    summary = tmp_path / "summary.md"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    step = gate_step()
    assert step["shell"] == "bash"
    # How the runner calls bash where a step names it.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == int(regressed), done.stderr
    assert f"### Gate: {head}" in summary.read_text()
    assert summary.read_text() == done.stdout
