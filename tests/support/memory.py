"""Memory of a process that a script has started."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from pathlib import Path
from typing import Any

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def watched(run: subprocess.Popen[Any]) -> int:
    """Wait for a process; its largest resident memory in kilobytes."""
    # Runs forget their own peak at every phase, so that it has to be asked for all the time.
    peak = 0
    while run.poll() is None:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{run.pid}/status").read_text(encoding="ascii")
            peak = max([peak, *map(int, _PEAK.findall(status))])
        time.sleep(0.02)
    return peak
