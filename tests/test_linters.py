"""The linters before a commit, those of tox and those of continuous integration are the same."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def hooks() -> list[dict[str, object]]:
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = content["repos"]
    assert repository["repo"] == "local"
    return list(repository["hooks"])


def of_tox() -> list[str]:
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    return [
        command
        for environment in ("testenv:lint", "testenv:types")
        for command in tox[environment]["commands"].strip().splitlines()
    ]


def test_hooks_run_what_tox_runs() -> None:
    assert [hook["entry"] for hook in hooks()] == of_tox()


def test_continuous_integration_runs_the_same() -> None:
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    first = lines.index(of_tox()[0])
    assert lines[first : first + len(of_tox())] == of_tox()


def test_hooks_fetch_nothing_and_look_at_the_whole_tree() -> None:
    for hook in hooks():
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)
