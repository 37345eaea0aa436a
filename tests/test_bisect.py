"""The documented script for git bisect finds the commit that broke a method."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.suites import WORDS, Bench

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="needs git")

PAGE = Path(__file__).parents[1] / "docs/how-to/gate.md"

METHOD = f"""
import numpy as np
from bench.method import Method, MethodInfo
from mine.words import words


class Mine(Method):
    info = MethodInfo(name="mine", title="Counts of words", kind="static", requires=("numpy",))

    def build(self, ctx):
        return Counts()


class Counts:
    def encode(self, texts, *, role=None):
        rows = [[words(text).count(word) for word in {WORDS}] for text in texts]
        return np.array(rows, dtype=np.float32) + np.float32(0.01)
"""
# In a module that MethodInfo.sources does not name, so that no fingerprint knows of its changes.
GOOD = "def words(text):\n    return text.split()\n"
HALF = "def words(text):\n    return text.split()[::2]\n"
BROKEN = "def words(text)\n"
# An entry point beside the code, as an editable installation would make it.
PACKAGE = {
    "mine/__init__.py": "",
    "mine/method.py": METHOD,
    "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n",
    "mine-1.0.dist-info/entry_points.txt": "[bench.methods]\nmine = mine.method:Mine\n",
}
# Between the first commit and the last of seven, git visits the middle one first.
COMMITS = 7
MIDDLE = 3
PLANTED = 5


@dataclass(frozen=True)
class Scratch:
    """A repository beside a suite, and what a shell in it needs to know."""

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, number: int, words: str) -> None:
        (self.folder / "mine/words.py").write_text(words)
        (self.folder / "notes.txt").write_text(f"commit {number}\n")
        self.call("git", "add", ".")
        self.call("git", "commit", "--quiet", "--message", f"commit {number}")
        self.call("git", "tag", f"c{number}")


def make_scratch(folder: Path) -> Scratch:
    """An empty repository that holds the package, away from any configuration of git."""
    write_suite(folder)
    repository = folder / "repository"
    for name, content in PACKAGE.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(content)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(repository),
        "BENCH_CACHE": str(folder / "cache"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "Nobody", f"GIT_{who}_EMAIL": "nobody@example.org"}
    scratch = Scratch(repository, environment)
    scratch.call("git", "init", "--quiet")
    return scratch


def write_suite(folder: Path) -> None:
    """Write 200 pairs that share words by their score."""
    rng = np.random.default_rng(0)
    lines = ["sentence1\tsentence2\tscore"]
    for _ in range(200):
        shared = int(rng.integers(0, 5))
        words = list(rng.permutation(WORDS))
        one, other = " ".join(words[:5]), " ".join(words[5 - shared : 10 - shared])
        lines.append(f"{one}\t{other}\t{shared + rng.normal() / 2:.3f}")
    (folder / "rows.tsv").write_text("\n".join(lines) + "\n")
    (folder / "words.toml").write_text(
        'name = "words"\ntitle = "Shared words"\nconvention = "simcse"\naverage = ["pairs"]\n'
        '[[tasks]]\nname = "pairs"\nkind = "sts"\ndata = { file = "rows.tsv" }\n'
    )


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of records before the regression, and one of records after it."""
    folder = tmp_path_factory.mktemp("records")
    scratch = make_scratch(folder)
    command = ("bench", "run", "--suite", "../words.toml", "--methods", "mine", "--output")
    for number, (name, words) in enumerate({"before": GOOD, "after": HALF}.items()):
        scratch.commit(number, words)
        # A cache of its own, as the fingerprints are the same.
        scratch.environment["BENCH_CACHE"] = str(folder / "cache" / name)
        scratch.call(*command, folder / name)
    return folder


def documented_script(baseline: Path) -> str:
    """The script of the page, with the suite of this test and a baseline."""
    found = re.search(r"git bisect run sh -c '([^']+)'", PAGE.read_text(encoding="utf-8"))
    assert found
    script = found[1].replace("--suite mini", "--suite ../words.toml")
    return script.replace("--baseline base", f"--baseline '{baseline}'")


@pytest.mark.nightly
@needs_git
def test_bisect_finds_the_planted_commit(records: Path, tmp_path: Path) -> None:
    scratch = make_scratch(tmp_path)
    for number in range(COMMITS):
        words = HALF if number >= PLANTED else GOOD
        scratch.commit(number, BROKEN if number == MIDDLE else words)
    scratch.call("git", "bisect", "start", f"c{COMMITS - 1}", "c0")
    scratch.call("git", "bisect", "run", "sh", "-c", documented_script(records / "before"))
    log = scratch.call("git", "bisect", "log")
    steps = re.findall(r"^# (.+): \[\w+\] commit (\d)$", log, re.MULTILINE)
    assert steps[:2] == [("bad", str(COMMITS - 1)), ("good", "0")]
    assert steps[2] == ("skip", str(MIDDLE))
    assert steps[-1] == ("first bad commit", str(PLANTED))


@pytest.mark.nightly
@needs_git
def test_exit_codes_of_a_bisection(bench: Bench, records: Path, tmp_path: Path) -> None:
    empty, nowhere = tmp_path / "empty", tmp_path / "nowhere"
    empty.mkdir()
    for now, expected in (("before", 0), ("after", 1), (empty, 125), (nowhere, 125)):
        code, _, _ = bench("gate", records / now, "--baseline", records / "before", "--bisect")
        assert code == expected, now


def test_a_crash_is_no_verdict(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyError("average")

    monkeypatch.setattr("bench.report.gate.check_runs", crash)
    code, _, err = bench("gate", tmp_path, "--baseline", tmp_path, "--bisect")
    assert code == 125
    assert "cannot be judged: KeyError" in err
    assert bench("gate", tmp_path, "--baseline", tmp_path)[0] == 70
