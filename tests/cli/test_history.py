"""``bench history``: a method's scores over the commits of a repository."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.records.files import find_records, read_record
from tests.support.records import write_edited
from tests.support.suites import Bench
from tests.verdicts.test_gate import baseline, run

__all__ = ["baseline"]
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
COMMITS, HARMED = 5, 3


def git(*arguments: str, day: int = 1) -> str:
    date = f"2026-01-{day:02} 12:00:00 +0000"
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "x"), ("EMAIL", "x@example.org"), ("DATE", date))
    }
    done = subprocess.run(
        ["git", *arguments], env={**os.environ, **identity}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_at(bench: Bench, day: int, noise: float) -> str:
    """Commit a noise of the method, run it, and return the commit."""
    Path("noise.txt").write_text(f"{noise} 0")
    git("add", "noise.txt")
    git("commit", "--allow-empty", "-qm", f"noise {noise}", day=day)
    run(bench, noise, f"history/{day}")
    return git("rev-parse", "HEAD")


@pytest.fixture
def commits(bench: Bench, baseline: Path) -> list[str]:
    """Commits of a repository, of which the third harms the method for good."""
    git("init", "-q")
    return [
        run_at(bench, day, 0.0 if day < HARMED else 2.0 + day / 1000)
        for day in range(1, COMMITS + 1)
    ]


def test_the_commit_that_harmed_is_shown(bench: Bench, commits: list[str]) -> None:
    code, out, err = bench("history", "history", "--fail-on", "avg:0.5")
    assert (code, err) == (0, "")
    title, grid, verdict, _ = out.split("\n\n")[:4]
    assert title == "words: words, Avg, bound 0.50"
    rows = grid.splitlines()[2:]
    assert [row.split()[:2] for row in rows] == [
        [str(place), commit[:8]] for place, commit in enumerate(commits, 1)
    ]
    assert [("FAILED" in row) for row in rows] == [place == HARMED - 1 for place in range(COMMITS)]
    assert verdict.startswith(f"Failed at {HARMED} ({commits[HARMED - 1][:8]}): -")
    # The score of the third falls below the bound of the second.
    assert all(row.index("●") > row.index("┊") for row in rows[1:2])
    assert rows[HARMED - 1].index("●") < rows[HARMED - 1].index("┊")


def test_histories_for_programs(bench: Bench, commits: list[str]) -> None:
    where = ("history", "history", "--format")
    points = json.loads(bench(*where, "json")[1])
    assert [point["commit"] for point in points] == commits
    assert [point["failed"] for point in points].index(True) == HARMED - 1
    lines = list(csv.DictReader(io.StringIO(bench(*where, "csv")[1])))
    assert [float(line["score"]) for line in lines] == [point["score"] for point in points]
    (last,) = json.loads(bench(*where, "github-action-benchmark")[1])
    assert last["value"] == pytest.approx(100 * points[-1]["score"], abs=1e-4)
    assert {type(last[key]) for key in ("name", "unit", "range", "extra")} == {str}
    assert commits[-1] in last["extra"]
    assert "| FAILED" not in (page := bench(*where, "markdown")[1])
    assert "| **failed** |" in page
    code, _, err = bench("history", "history", "--fail-on", "STS99:1")
    assert (code, "names no task" in err) == (2, True)
    code, _, err = bench("history", "history", "--methods", "other")
    assert (code, "no record is of what --suite and --methods ask for" in err) == (2, True)


def test_a_tree_that_differs_is_told(bench: Bench, commits: list[str]) -> None:
    Path("noise.txt").write_text("3.0 0")
    run(bench, 3.0, "history/dirty")
    (path,) = find_records([Path("history/dirty")])
    known = read_record(path).commit
    assert known is not None
    assert (known.commit, known.dirty) == (commits[-1], True)
    assert f"{commits[-1][:8]}+" in bench("history", "history")[1]


def test_records_without_a_commit_are_read_and_left_out(bench: Bench, commits: list[str]) -> None:
    (path,) = find_records([Path("history/1")])
    content = json.loads(path.read_text())
    del content["commit"]
    write_edited(path, content)
    assert read_record(path).commit is None
    code, out, err = bench("history", "history")
    assert (code, err) == (0, "bench: 1 records have no commit and are left out\n")
    assert commits[0][:8] not in out
    code, _, err = bench("history", "history/1")
    assert (code, "no records with a commit" in err) == (4, True)


def test_a_page_shows_all_commits_and_the_table_of_the_last(
    bench: Bench, commits: list[str]
) -> None:
    pytest.importorskip("altair", reason="needs the extra 'report'")
    code, _, err = bench("report", "history", "-o", "page.html", "--plot", "pictures")
    assert (code, err) == (0, "")
    page = Path("page.html").read_text(encoding="utf-8")
    points = json.loads(bench("history", "history", "--format", "json")[1])
    assert f"Failed at {HARMED} ({commits[HARMED - 1][:8]})" in page
    assert all(commit[:8] in page for commit in commits)
    assert f"over {COMMITS} commits, from {100 * points[0]['score']:.2f}" in page
    assert bench("history", "history", "--plot", "own.svg")[0] == 0
    assert "words, Avg" in Path("own.svg").read_text(encoding="utf-8")
    assert Path("pictures/words-history.svg").is_file()
    last = json.loads(bench("table", f"history/{COMMITS}", "--format", "json")[1])
    assert f"{100 * last[0]['rows'][0]['average']:.2f}" in page


def test_a_page_of_one_commit_has_no_history(bench: Bench, commits: list[str]) -> None:
    pytest.importorskip("altair", reason="needs the extra 'report'")
    assert bench("report", "history/1", "-o", "page.html")[0] == 0
    assert "No commit failed" not in Path("page.html").read_text(encoding="utf-8")
