"""Type-check bench and methods, after proving that an error in methods/ would be found."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _mypy(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "bench", "methods"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def _finds_planted_error() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("bench", "methods"):
            shutil.copytree(ROOT / name, root / name)
        shutil.copy(ROOT / "pyproject.toml", root)
        adapter = root / "methods" / "random.py"
        adapter.write_text(adapter.read_text() + '\nPLANTED: int = "no"\n')
        line = len(adapter.read_text().splitlines())
        return f"methods/random.py:{line}: error" in _mypy(root).stdout


def main() -> int:
    """Return 0 if the tree is clean and the planted error is found."""
    result = _mypy(ROOT)
    print(result.stdout + result.stderr)
    if result.returncode:
        return result.returncode
    if not _finds_planted_error():
        print("mypy did not report the planted error in methods/random.py")
        return 1
    print("the planted error in methods/random.py is reported")
    return 0


if __name__ == "__main__":
    sys.exit(main())
