"""Locks over machines: a folder that two mounts show, whose file locks do not know each other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.core import files, locks
from bench.core.files import is_abandoned, remove_abandoned
from bench.core.locks import held, one_at_a_time

# Holds a lock until it is killed, on a machine of its own as far as the lease knows.
_HOLDER = """
import sys, time
from pathlib import Path
from bench.core import locks
locks.MACHINE = sys.argv[3]
locks._SECONDS_OF_LEASE = float(sys.argv[2])
with locks.held(Path(sys.argv[1])) as alone:
    print(alone, flush=True)
    time.sleep(60)
"""


def holder(path: Path, seconds: float, machine: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLDER, str(path), str(seconds), machine]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """One folder in two places, each with locks of its own, as two machines would have them."""
    if not shutil.which("bindfs") or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs bindfs and FUSE")
    real, one, other = (tmp_path / name for name in ("real", "one", "other"))
    for folder in (real, one, other):
        folder.mkdir()
    try:
        for folder in (one, other):
            mounted = subprocess.run(["bindfs", real, folder], capture_output=True, text=True)
            if mounted.returncode:
                pytest.skip(f"bindfs: {mounted.stderr.strip()}")
        yield one, other
    finally:
        for folder in (one, other):
            with suppress(OSError):
                subprocess.run(["umount", folder], capture_output=True, check=False)


def test_a_lock_of_another_machine_holds_and_ends_with_it(
    mounts: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_SECONDS_OF_LEASE", 2.0)
    one, other = mounts
    with holder(one / "model", 2.0, "elsewhere") as process:
        # Longer than a lease, which is kept alive.
        for _ in range(3):
            with held(other / "model") as alone:
                assert not alone
            time.sleep(1)
        process.send_signal(signal.SIGKILL)
    waited: list[bool] = []
    started = time.monotonic()
    with one_at_a_time(other / "model", lambda: waited.append(True)):
        # Not before the lease was over, and not for ever.
        assert waited == [True]
        assert time.monotonic() - started < 10
        with monkeypatch.context() as there:
            there.setattr(locks, "MACHINE", "elsewhere")
            with held(one / "model") as alone:
                assert not alone
    with held(one / "model") as alone:
        assert alone


def test_a_lock_ends_at_once_with_a_process_of_this_machine(tmp_path: Path) -> None:
    with holder(tmp_path / "model", 60.0, files.MACHINE) as process:
        with held(tmp_path / "model") as alone:
            assert not alone
        process.send_signal(signal.SIGKILL)
    with held(tmp_path / "model") as alone:
        assert alone


def test_threads_take_turns(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with one_at_a_time(tmp_path / "model", lambda: None):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.05)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_what_another_machine_works_on_is_kept_for_a_day(
    mounts: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = mounts
    path, handle = files._reserve(one, "model", folder=True)
    monkeypatch.setattr(files, "MACHINE", "0000")
    seen = other / path.name
    try:
        # Its lock is not known here, and would say that nobody holds it.
        assert not is_abandoned(seen)
        day = time.time() - 25 * 3600
        os.utime(seen, (day, day))
        assert is_abandoned(seen)
        assert remove_abandoned([seen]) == 1
    finally:
        os.close(handle)
