"""Other packages called bench: told in one line, with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.namesakes import mixed_line, namesakes

ROOT = Path(__file__).parents[2]


def make_distribution(folder: Path, name: str, *, listed_in: str = "top_level.txt") -> None:
    """Install a distribution that has a package bench, as a wheel of it would be."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if listed_in == "top_level.txt":
        (info / listed_in).write_text("bench\n")
    else:
        (info / "RECORD").write_text("bench/__init__.py,,\nbench/other.py,,\n")
    (folder / "bench").mkdir(exist_ok=True)
    (folder / "bench" / "__init__.py").write_text("")


@pytest.mark.parametrize("listed_in", ["top_level.txt", "RECORD"])
def test_files_of_two_packages_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed_in: str
) -> None:
    make_distribution(tmp_path, "frappe-like", listed_in=listed_in)
    monkeypatch.syspath_prepend(tmp_path)
    assert namesakes(tmp_path / "bench") == ["frappe-like 1.0"]
    line = mixed_line(tmp_path / "bench") or ""
    assert "\n" not in line
    assert "holds files of frappe-like 1.0 too" in line
    assert "pip uninstall frappe-like, then pip install --force-reinstall" in line
    # In a folder of its own it takes nothing from this one.
    assert mixed_line(tmp_path / "elsewhere" / "bench") is None


def test_this_one_alone() -> None:
    import bench

    assert mixed_line(Path(bench.__file__).parent) is None


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n"
        "import sentence_bench; sentence_bench.entry()"
    )
    command = [sys.executable, "-P", "-c", code, "--version"]
    return subprocess.run(command, capture_output=True, text=True)


def test_another_package_in_its_place(tmp_path: Path) -> None:
    make_distribution(tmp_path, "frappe-like")
    found = run(tmp_path)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'bench' / '__init__.py'} is the package bench of something else" in (
        found.stderr
    )
    assert "pip install --force-reinstall --no-deps sentence-bench" in found.stderr


def test_a_single_module_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text("x = 1\n")
    found = run(tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)


def test_the_second_command_is_the_first(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("bench, version ")
