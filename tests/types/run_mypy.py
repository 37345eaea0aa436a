"""Type-check the package as it is installed, after proving that an error in methods/ is found.

methods/ is installed as bench.methods. In the checkout mypy sees a folder `bench` without it, so
the installed layout is put together in a temporary folder first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _mypy(planted: str = "") -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "bench", root / "bench")
        shutil.copytree(ROOT / "methods", root / "bench" / "methods")
        shutil.copytree(ROOT / "suites", root / "bench" / "suites")
        shutil.copy(ROOT / "pyproject.toml", root)
        with (root / "bench" / "methods" / "random.py").open("a") as adapter:
            adapter.write(planted)
        command = [sys.executable, "-m", "mypy", "--strict", "bench"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def main() -> int:
    """Return 0 if the tree is clean and a planted error is found."""
    result = _mypy()
    print(result.stdout + result.stderr)
    if result.returncode:
        return result.returncode
    if "bench/methods/random.py" not in _mypy('\nPLANTED: int = "no"\n').stdout:
        print("mypy did not report the error planted in methods/random.py")
        return 1
    print("the error planted in methods/random.py is reported")
    return 0


if __name__ == "__main__":
    sys.exit(main())
