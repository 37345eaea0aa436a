"""Where the system lacks what others have, everything can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.cli.main import _VERBS

CODE = """
import importlib, os, signal, sys

for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGKILL"):
    delattr(signal, name)
for name in ("O_NOFOLLOW", "O_NONBLOCK", "sched_getaffinity", "killpg"):
    delattr(os, name)
import bench

for name in {names}:
    importlib.import_module(name)
"""


def without(names: list[str], code: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-W", "ignore", "-c", CODE.format(names=names) + code]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_verb() -> None:
    names = [f"bench.cli.{verb}" for verb in _VERBS]
    more = ["bench.api", "bench.execution.environment", "bench.jobs.executor"]
    found = without([*names, *more])
    assert (found.returncode, found.stderr) == (0, "")


def test_memory_and_files(tmp_path: Path) -> None:
    found = without(
        [],
        "from pathlib import Path\n"
        "from bench.core.files import remove_abandoned, write_atomic\n"
        "from bench.execution import environment\n"
        f"path = Path({str(tmp_path)!r}) / 'a.txt'\n"
        "write_atomic(path, b'x')\n"
        "remove_abandoned([path])\n"
        "environment.Path = lambda name: Path('/none')\n"
        # The library itself, on this system, imports what is taken away here.
        "import types\n"
        "told = types.SimpleNamespace(peak_wset=7_000_000, rss=5)\n"
        "process = types.SimpleNamespace(memory_info=lambda: told)\n"
        "sys.modules['psutil'] = types.SimpleNamespace(Process=lambda: process)\n"
        "print(path.is_file(), environment.peak_memory_bytes())\n",
    )
    assert (found.stdout, found.stderr) == ("True 7000000\n", "")
