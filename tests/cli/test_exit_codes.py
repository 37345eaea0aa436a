"""The table of exit codes in the documentation, a command for each."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.cli.ending import end_by_signals
from tests.support import stub_methods
from tests.support.suites import Bench, write_suite

ROOT = Path(__file__).parents[2]
RUN = ("run", "--suite", "small.toml", "--methods")


def _promised() -> dict[int, str]:
    page = (ROOT / "docs/exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| (.+) \|$", page, re.MULTILINE)
    return {int(code): meaning for codes, meaning in rows for code in codes.split(",")}


def _fine(bench: Bench) -> int:
    return bench(*RUN, "good")[0]


def _perfect(self: object, texts: Sequence[str], *, role: object = None) -> NDArray[np.float32]:
    """Vectors whose similarities are the gold scores of the small suite."""
    scores = [int(re.findall(r"\d+", text)[0]) % 6 if text[0] == "a" else 5 for text in texts]
    angles = np.arccos(np.array(scores) / 5)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def _failed_gate(bench: Bench) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stub_methods._Letters, "encode", _perfect)
        bench(*RUN, "good", "--output", "old")
    bench("cache", "clear", "--yes")
    bench(*RUN, "good", "--output", "new")
    return bench("gate", "new", "--baseline", "old")[0]


def _stale(bench: Bench) -> int:
    bench(*RUN, "good", "--output", "old")
    return bench("table", "old", "--check", "--leaderboards", "none")[0]


def _unknown(bench: Bench) -> int:
    return bench(*RUN, "goood")[0]


def _failed_cell(bench: Bench) -> int:
    return bench(*RUN, "good,crash")[0]


def _missing_data(bench: Bench) -> int:
    return bench("run", "--suite", "sts7", "--methods", "good", "--offline")[0]


def _bug(bench: Bench) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.core.registry.names", lambda kind: 1 / 0)
        patch.setattr("tempfile.tempdir", str(Path.cwd()))
        return bench("list", "methods")[0]


def _not_judged(bench: Bench) -> int:
    return bench("gate", "--baseline", "none", "--bisect")[0]


def _by(number: signal.Signals) -> Callable[[Bench], int]:
    def ended(bench: Bench) -> int:
        before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
        end_by_signals()
        flag = Path("flag")

        def send() -> None:
            while not flag.exists():
                time.sleep(0.02)
            os.kill(os.getpid(), number)

        threading.Thread(target=send, daemon=True).start()
        try:
            return bench(*RUN, f"good,slow[flag={flag}]", "--batch-size", "5")[0]
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    return ended


COMMANDS: list[tuple[int, Callable[[Bench], int]]] = [
    (0, _fine),
    (1, _failed_gate),
    (1, _stale),
    (2, _unknown),
    (3, _failed_cell),
    (4, _missing_data),
    (70, _bug),
    (125, _not_judged),
    (129, _by(signal.SIGHUP)),
    (130, _by(signal.SIGINT)),
    (143, _by(signal.SIGTERM)),
]


def test_every_documented_code_has_a_command_here() -> None:
    assert {code for code, _ in COMMANDS} == set(_promised())


def _apart(code: int, command: Callable[[Bench], int]) -> Any:
    """Signals end the process that runs the tests, unless nothing else runs in it."""
    marks = [pytest.mark.nightly] if code in (129, 130, 143) else []
    return pytest.param(code, command, marks=marks)


@pytest.mark.parametrize(("code", "command"), [_apart(*one) for one in COMMANDS])
def test_commands_end_with_the_documented_code(
    bench: Bench, tmp_path: Path, code: int, command: Callable[[Bench], int]
) -> None:
    write_suite(tmp_path)
    assert command(bench) == code


def test_rows_that_are_promised_come_out(bench: Bench, tmp_path: Path) -> None:
    write_suite(tmp_path)
    code, out, _ = bench(*RUN, "good,crash,good2")
    assert code == 3
    assert [name for name in ("good", "good2", "crash") if re.search(rf"\b{name}\b", out)] == [
        "good",
        "good2",
    ]
    base = tmp_path / "results/runs/small"
    assert len(list(base.glob("*-seed0.json"))) == 2
    assert len(list(base.glob("*.failed"))) == 1
