"""How a command ends where it cannot write, is ended by a signal, or meets a bug."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from bench.cli import main
from tests.support.suites import Bench, write_suite

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results/baselines/mini"


def _environment(folder: Path, **more: str) -> dict[str, str]:
    # Only the tests go on the path: the checkout's bench would hide the installed one.
    path = folder / "path"
    path.mkdir(exist_ok=True)
    if not (path / "tests").exists():
        (path / "tests").symlink_to(ROOT / "tests")
    return {
        **os.environ,
        "BENCH_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(path),
        "OMP_NUM_THREADS": "1",
        **more,
    }


def _shell(folder: Path, line: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    command = line.replace("bench ", f"{sys.executable} -m tests.support.stub_methods ")
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env=_environment(folder, **more),
        capture_output=True,
    )


@pytest.mark.parametrize("verb", [f"table {RECORDS}", "list methods", "--help", "table --help"])
@pytest.mark.parametrize(
    ("to", "code", "said"),
    [
        (">/dev/full", 2, "bench: stdout cannot be written: No space left on device"),
        (">&-", 2, "bench: stdout cannot be written: it is closed"),
        ("| head -1", 0, ""),
        ("| true", 0, ""),
        (">/dev/null 2>&-", 0, ""),
    ],
)
def test_output_that_nobody_can_or_wants_to_read(
    tmp_path: Path, verb: str, to: str, code: int, said: str
) -> None:
    found = _shell(tmp_path, f"bench {verb} {to}")
    assert found.returncode == code, found.stderr
    assert found.stderr.decode().startswith(said)
    assert len(found.stderr.splitlines()) == (1 if said else 0)


def test_a_verdict_is_that_of_the_gate_whatever_becomes_of_its_text(tmp_path: Path) -> None:
    for to in ("| true", ">/dev/full", ">&-"):
        found = _shell(
            tmp_path,
            f"bench table --write --leaderboards x {RECORDS} >/dev/null && "
            f"echo x >> x/mini.md && bench table --check --leaderboards x {RECORDS} {to}",
        )
        assert found.returncode == 1, (to, found.stderr)
        assert b"is stale" in found.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp437", "utf-8"])
def test_what_an_encoding_has_no_sign_for_is_replaced(tmp_path: Path, encoding: str) -> None:
    found = _shell(
        tmp_path, f"bench table {RECORDS}; bench list methods", PYTHONIOENCODING=encoding
    )
    assert (found.returncode, found.stderr) == (0, b"")
    text = found.stdout.decode(encoding)
    assert "minilm" in text
    assert ("–" in text) is (encoding in {"cp1252", "utf-8"})
    failed = _shell(tmp_path, "bench run --methods sïmcseα", PYTHONIOENCODING=encoding)
    assert failed.returncode == 2
    assert len(failed.stderr.splitlines()) == 1


def _stopped(folder: Path, number: int, *, hang_up_ignored: bool = False) -> tuple[int, str, str]:
    flag = folder / "flag"
    arguments = ["run", "--suite", write_suite(folder), "--batch-size", "5"]
    command = [sys.executable, "-m", "tests.support.stub_methods", *map(str, arguments)]
    command = ["nohup", *command] if hang_up_ignored else command
    with subprocess.Popen(
        [*command, "--methods", f"good,slow[flag={flag}]"],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever started the tests may have had it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        deadline = time.monotonic() + 120
        while not flag.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        if hang_up_ignored:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_signals_end_in_one_line_and_keep_what_is_done(
    tmp_path: Path, number: int, code: int, word: str
) -> None:
    found, out, err = _stopped(tmp_path, number)
    assert (found, out) == (code, "")
    last = err.splitlines()[-1]
    assert last == (
        f"bench: {word}; finished cells and checkpoints are kept: run the same command to go on"
    )
    assert "Traceback" not in err and "" not in err.splitlines()
    assert len([*tmp_path.glob("results/runs/small/good-*.json")]) == 1
    assert not [*(tmp_path / "cache").rglob("*.bench-*")]


@pytest.mark.parametrize(
    ("command", "of_cells"),
    [("table", False), ("claims", False), ("list methods", False), ("claims --run", True)],
)
def test_nothing_is_said_of_cells_where_none_are_made(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    of_cells: bool,
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Command, "invoke", interrupt)
    assert main.main(command.split()) == 130
    line = capsys.readouterr().err
    assert line.startswith("bench: interrupted")
    assert ("cells" in line) is of_cells


@pytest.mark.nightly
def test_whoever_has_hanging_up_ignored_is_not_hung_up_on(tmp_path: Path) -> None:
    assert _stopped(tmp_path, signal.SIGTERM, hang_up_ignored=True)[0] == 143


@pytest.mark.parametrize("verb", sorted(main._VERBS))
@pytest.mark.parametrize("error", [RuntimeError("the dog\nate it"), KeyError("x"), OSError()])
def test_a_bug_has_its_own_exit_code_at_every_verb(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(
        main._LazyGroup, "get_command", lambda *_: click.Command(verb, callback=fail)
    )
    code, out, err = bench(verb)
    assert (code, out) == (70, "")
    (line,) = err.splitlines()
    found = re.fullmatch(
        r"bench: this is a bug, please report it: (.*); the traceback is in (.*)", line
    )
    assert found is not None
    assert found[1].startswith(type(error).__name__) and "ate it" not in found[1]
    text = Path(found[2]).read_text()
    assert "Traceback" in text and "in fail" in text


def test_a_bug_without_room_for_its_traceback(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise RuntimeError("the dog ate it")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    monkeypatch.setattr(
        main._LazyGroup, "get_command", lambda *_: click.Command("list", callback=fail)
    )
    code, _, err = bench("list")
    assert code == 70 and "test_endings.py:" in err and len(err.splitlines()) == 1


def test_a_full_disk_outside_of_a_cell_is_no_bug(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        main._LazyGroup, "get_command", lambda *_: click.Command("list", callback=fail)
    )
    code, _, err = bench("list")
    assert (code, err) == (
        2,
        "bench: No space left on device; make room, then run the same command to go on\n",
    )


@pytest.mark.parametrize("cache", ["file/below", "dangling", "/proc/none", "x" * 300])
@pytest.mark.parametrize("verb", ["run --methods good --suite small.toml", "check good"])
def test_a_cache_that_cannot_be_made(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str, verb: str
) -> None:
    write_suite(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("/proc/none")
    monkeypatch.setenv("BENCH_CACHE", cache)
    code, _, err = bench(*verb.split())
    assert code == 2, err
    assert "set BENCH_CACHE to" in err and len(err.splitlines()) == 1


def test_without_a_home_there_is_a_cache_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BENCH_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home(*_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", no_home)
    assert bench("cache", "size")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "kilobytes",
    [
        pytest.param(2, marks=pytest.mark.nightly),
        20,
        pytest.param(60, marks=pytest.mark.nightly),
    ],
)
def test_a_disk_that_gets_full_in_a_training(tmp_path: Path, kilobytes: int) -> None:
    from tests.support.models import tiny_bert

    suite, base = write_suite(tmp_path), tiny_bert(tmp_path / "tiny")
    spec = f"sct[base={base},max_steps=3]"
    found = _shell(
        tmp_path,
        f"ulimit -f {kilobytes}; bench run --suite {suite} --profile smoke --methods '{spec}'",
    )
    assert found.returncode == 3, found.stderr
    last = found.stderr.decode().splitlines()[-1]
    assert "make room, then run the same command to go on" in last
    assert b"Traceback" not in found.stderr
