"""What a figure was measured with: versions, machine, memory and time."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.core.fingerprint import versions

RECORDED = (
    "datasets",
    "mteb",
    "numpy",
    "scikit-learn",
    "scipy",
    "sentence-bench",
    "sentence-transformers",
    "torch",
    "transformers",
)


def package_versions() -> dict[str, str]:
    """Versions of Python and of every package that touches a score."""
    return {"python": platform.python_version(), **versions(RECORDED)}


def machine(device: str) -> dict[str, str]:
    """Processor, cores and device."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "device": device,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - not a regular file
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def reset_peak_memory() -> bool:
    """Forget the largest resident memory so far; False where the system cannot (not Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


class PhaseMemory:
    """Largest resident memory of each of several phases; the first begins at once."""

    def __init__(self) -> None:
        self._peaks: dict[str, int] = {}
        self._told_apart = reset_peak_memory()

    def end(self, phase: str) -> None:
        """End a phase; the next one begins."""
        self._peaks[phase] = peak_memory_bytes()
        reset_peak_memory()

    @property
    def most(self) -> int:
        """That of all phases together, in bytes."""
        return max(self._peaks.values())

    @property
    def by_phase(self) -> dict[str, int] | None:
        """Bytes by phase, or None where the system does not tell phases apart."""
        return dict(self._peaks) if self._told_apart else None


def peak_memory_bytes() -> int:
    """Largest resident memory of this process since the last reset, else so far, in bytes."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        if line := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(line[1]) * 1024
    try:
        import resource
    except ImportError:
        # Windows; elsewhere this library does not know the largest so far.
        import psutil

        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def now() -> str:
    """Current time in UTC, ISO 8601; ``SOURCE_DATE_EPOCH`` replaces it where set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.isoformat(timespec="seconds")
