"""What shells complete, and how fast: no model library is loaded for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from bench.cli.main import cli
from tests.support.suites import Bench


def complete(folder: Path, line: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = line.split(" ")
    environment = {
        **os.environ,
        "_BENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": line.rstrip(),
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "from bench.cli.main import entry\nentry()"
    command = [sys.executable, *more, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bench cl", {"claims"}),
        ("bench data fe", {"fetch"}),
        ("bench run --me", {"--methods"}),
        ("bench run -m sct", {"sct", "sct-distill"}),
        ("bench run -m minilm,tf", {"minilm,tfidf"}),
        ("bench table --suite sts7", {"sts7", "sts7-mteb"}),
        ("bench run -s mini --tasks ST", {"STS"}),
        ("bench run -s sts7 --tasks SI", {"SICK-R"}),
        ("bench run --profile s", {"smoke"}),
        ("bench run --backend on", {"onnx"}),
        ("bench run --executor sl", {"slurm"}),
        ("bench show nli/", {"nli/snli", "nli/mnli"}),
        ("bench check tfi", {"tfidf"}),
        ("bench compare tfi", {"tfidf"}),
        ("bench nonsense x", set()),
        ("bench run -s none --tasks S", set()),
    ],
)
def test_words(tmp_path: Path, line: str, expected: set[str]) -> None:
    found = complete(tmp_path, line)
    assert found.stderr == ""
    words = {entry.split(",", 1)[1] for entry in found.stdout.splitlines() if entry}
    assert expected <= words
    if not line.startswith("bench show"):
        assert words == expected


def test_files(tmp_path: Path) -> None:
    assert complete(tmp_path, "bench run -m ./my").stdout == "file,./my\n"


@pytest.mark.parametrize(
    "line", ["bench ta", "bench run -m s", "bench show s", "bench data fetch s"]
)
def test_nothing_heavy_is_imported(tmp_path: Path, line: str) -> None:
    found = complete(tmp_path, line, "-X", "importtime")
    imported = {entry.rpartition("|")[2].strip() for entry in found.stderr.splitlines()}
    assert "bench.cli.main" in imported
    assert not imported & {"torch", "transformers", "mteb", "pandas", "sklearn", "numpy"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_for_both_commands(bench: Bench, shell: str) -> None:
    code, out, _ = bench("completion", shell)
    assert code == 0
    assert "_BENCH_COMPLETE" in out
    assert out.count("sentence-bench") >= 1
    source = get_completion_class(shell)
    assert source is not None
    # A shell gets it as it is, whatever else is escaped.
    assert source(cli, {}, "bench", "_BENCH_COMPLETE").source() in out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=out, text=True, check=True)
    assert bench("completion", "tcsh")[0] == 2
