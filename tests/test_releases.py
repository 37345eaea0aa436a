"""Nothing is published but what was built, checked and tried before, and by no key."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}


def scripts(job: dict[str, Any]) -> list[str]:
    return [step.get("run", "") for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_unless_a_job_says_more(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        # What comes from outside is never part of a script.
        assert not [script for script in scripts(job) if "${{" in script]


def test_both_files_are_tried_before_the_upload() -> None:
    jobs = WORKFLOWS["release"]["jobs"]
    assert jobs["publish"]["needs"] == "build"
    order = "\n".join(scripts(jobs["build"]))
    steps = ("python -m build", "twine check --strict dist/*", "/dist/*", '/bench" run')
    places = [order.index(step) for step in steps]
    assert places == sorted(places)
    uploaded = [
        step for step in jobs["build"]["steps"] if "upload-artifact" in step.get("uses", "")
    ]
    taken = [step for step in jobs["publish"]["steps"] if "download-artifact" in step["uses"]]
    assert uploaded[0]["with"] == taken[0]["with"] == {"name": "dist", "path": "dist"}


def test_the_package_has_the_addresses_of_the_repository_that_publishes_it(tmp_path: Path) -> None:
    (script,) = (one for one in scripts(WORKFLOWS["release"]["jobs"]["build"]) if "urls" in one)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    known = {"GITHUB_SERVER_URL": "https://example.org", "GITHUB_REPOSITORY": "ours/bench"}
    environment = {**os.environ, **known}
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "sentence-bench"
    assert project["urls"]["Source"] == "https://example.org/ours/bench"
    assert project["urls"]["Issues"] == "https://example.org/ours/bench/issues"


def test_only_the_upload_may_name_itself_and_there_is_no_key() -> None:
    jobs = WORKFLOWS["release"]["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "permissions" not in jobs["build"]
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")


def test_the_newest_versions_get_the_first_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^    (pip install .+ && bench run)$", readme, re.MULTILINE)
    assert first.replace("-c constraints.txt", "--upgrade") in scripts(
        WORKFLOWS["newest"]["jobs"]["newest"]
    )


def test_the_documentation_is_built_strictly_by_all_that_build_it() -> None:
    assert "mkdocs build --strict" in scripts(WORKFLOWS["ci"]["jobs"]["docs"])
    assert "commands = mkdocs build --strict" in (ROOT / "tox.ini").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")))
def test_an_issue_form_asks_for_what_is_needed(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    for field in form["body"]:
        assert field["type"] in {"input", "textarea", "checkboxes"}
        assert field["attributes"]["label"]
