"""What is installed is what is in the tree."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import bench
from bench.cli.main import main
from bench.core import registry
from bench.method import method_class
from bench.suite import load_suites, read_suite

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed() -> None:
    found = {str(p.parent.relative_to(ROOT)) for p in (ROOT / "bench").rglob("__init__.py")}
    found |= {
        f"bench/{p.parent.relative_to(ROOT)}" for p in (ROOT / "methods").rglob("__init__.py")
    }
    found |= {"bench/suites"}
    found |= {f"bench/suites/{name}" for name in ("claims", "embedded", "mini", "published")}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert set(listed) == {name.replace("/", ".") for name in found}


def test_version_is_told_once() -> None:
    assert bench.__version__ == PYPROJECT["project"]["version"]


@pytest.mark.parametrize("name", PYPROJECT["project"]["entry-points"]["bench.methods"])
def test_registered_methods_load_and_know_their_name(name: str) -> None:
    assert method_class(name).info.name == name


@pytest.mark.parametrize("name", PYPROJECT["project"]["entry-points"]["bench.suites"])
def test_registered_suites_load_and_know_their_name(name: str) -> None:
    assert read_suite(name).name == name
    assert load_suites(name)


@pytest.mark.parametrize(
    "call",
    [
        "main(['--help'])",
        "main(['list', 'methods'])",
        "main(['list', 'suites'])",
        f"main(['table', {str(ROOT / 'results' / 'baselines')!r}])",
        # What a run whose cells are all complete needs.
        "import bench.api, bench.execution.plan, bench.execution.runner, bench.report.text",
    ],
)
def test_light_verbs_import_nothing_heavy(call: str, tmp_path: Path) -> None:
    # Some figures are verified against their items with what scored them.
    allowed = {"scipy"} if "'table'" in call else {""}
    code = (
        f"import sys\nfrom bench.cli.main import main\n{call}\n"
        "names = {'torch', 'transformers', 'mteb', 'sentence_transformers', 'sklearn', 'pandas', "
        "'scipy'}\n"
        f"heavy = (names - {allowed!r}) & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    # Away from the checkout, whose bench would hide the installed one.
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_installed_plugin_adds_a_method_and_a_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "length-vectors" not in registry.names(registry.METHODS):
        pytest.skip("needs: pip install tests/plugin_package")
    assert registry.owner(registry.METHODS, "length-vectors") == "bench-plugin-example"
    started = time.perf_counter()
    code = main(
        ["run", "--suite", "plugin-sts", "--methods", "length-vectors", "-o", str(tmp_path)]
    )
    assert code == 0
    assert "length-vectors" in capsys.readouterr().out
    assert time.perf_counter() - started < 60


PUBLIC_FILE = """\
A cat sleeps.\tA cat is asleep.\t5
A cat sleeps.\tRain fell all over the northern hills that night.\t0
The door is open.\tNobody closed the door, which is a pity.\t3
Two men talk.\tTwo men are talking.\t5
He reads.\tShe wrote a long letter to the editor of the newspaper.\t1
It is late.\tIt is very late now.\t4
"""


@pytest.mark.usefixtures("own_cache")
def test_a_plugin_names_public_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "plugin-files" not in registry.names(registry.SUITES):
        pytest.skip("needs: pip install tests/plugin_package")
    file = tmp_path / "served" / "plugin" / "pairs.tsv"
    file.parent.mkdir(parents=True)
    file.write_text(PUBLIC_FILE)
    call = ["run", "--suite", "plugin-files", "--methods", "length-vectors", "-o", str(tmp_path)]
    assert main(call) == 4
    assert "run with a network: bench data fetch --suite plugin-files" in capsys.readouterr().err
    monkeypatch.setenv("BENCH_MIRROR", f"file://{tmp_path}/served")
    assert main(call) == 0
    assert "length-vectors" in capsys.readouterr().out
    file.unlink()
    assert main([*call, "--rerun", "all"]) == 0
