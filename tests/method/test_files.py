"""Methods in files of Python: what they are called, what they are, and what is wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS, names
from bench.core.spec import parse_method_spec
from bench.method import make_method, method_class
from bench.method.files import MethodFile, method_files, with_files
from bench.models.build import code_modules
from tests.support.suites import Bench

METHOD = """
import numpy as np

from {helper} import count
from bench.method import Method, MethodConfig, MethodInfo


class {cls}(Method):
    info = MethodInfo(name="{name}", title="Letter counts", kind="static", requires=())

    class Config(MethodConfig):
        letters: str = "abcdefghijklmnopqrstuvwxyz"

    def build(self, ctx):
        return Counter(self.config.letters)


class Counter:
    def __init__(self, letters):
        self.letters = letters

    def encode(self, texts, *, role=None):
        return np.array([count(text, self.letters) for text in texts], np.float32)
"""
HELPER = """
def count(text, letters):
    return [text.lower().count(letter) + {more} for letter in letters]
"""


def write(
    folder: Path, name: str, *, cls: str = "Mine", file: str = "mine.py", more: float = 0.1
) -> Path:
    """Write a method and what it imports beside it, of a name that no other test has."""
    folder.mkdir(parents=True, exist_ok=True)
    helper = f"helper_of_{name.replace('-', '_')}"
    (folder / f"{helper}.py").write_text(HELPER.format(more=more))
    path = folder / file
    path.write_text(METHOD.format(cls=cls, name=name, helper=helper))
    return path


def test_a_class_goes_by_the_name_in_its_info(tmp_path: Path) -> None:
    path = write(tmp_path, "named-so")
    assert with_files(f"{path}:Mine") == "named-so"
    assert with_files(f" {path}:Mine[letters=abc,label=x]") == "named-so[letters=abc,label=x]"
    assert with_files(str(path)) == "named-so"
    assert with_files(f"{path}[letters=abc]") == "named-so[letters=abc]"
    assert "named-so" in names(METHODS)
    assert method_class("named-so").info.title == "Letter counts"


def test_wherever_a_spec_is_expected(tmp_path: Path) -> None:
    path = write(tmp_path, "nested-so")
    nested = f"truncate[dim=4,of=pca-dims[dim=8,of={path}:Mine[letters=abc]]]"
    assert with_files(nested) == "truncate[dim=4,of=pca-dims[dim=8,of=nested-so[letters=abc]]]"
    assert with_files(f"hierarchical-ensemble[models=(tfidf,{path}:Mine)]") == (
        "hierarchical-ensemble[models=(tfidf,nested-so)]"
    )
    # A value that only ends like a file is left alone.
    assert with_files("simcse[corpus=./notes.py]") == "simcse[corpus=./notes.py]"
    assert with_files("sbert@./folder.py") == "sbert@./folder.py"


def fingerprint_of(code: str) -> str:
    lines = (
        "import sys\nfrom bench.core.spec import parse_method_spec\n"
        "from bench.method import make_method\n"
        "from bench.method.files import with_files\n"
        "from bench.models.build import model_fingerprint\n"
        f"spec = parse_method_spec(with_files({code!r}))\n"
        "method = make_method(spec, 'local')\n"
        "print(model_fingerprint(method, None, None, 0))\n"
    )
    command = [sys.executable, "-P", "-c", lines]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_it_is_follows_from_its_code_alone(tmp_path: Path) -> None:
    here = fingerprint_of(f"{write(tmp_path / 'here', 'same-code')}:Mine")
    there = fingerprint_of(f"{write(tmp_path / 'there' / 'deep', 'same-code')}:Mine")
    other = fingerprint_of(f"{write(tmp_path / 'other', 'same-code', more=0.2)}:Mine")
    assert here == there
    # The file itself is the same there, and what it imports is not.
    assert other != here


def test_the_code_beside_it_is_part_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, "beside-it")
    (tmp_path / "unrelated_so.py").write_text("x = 1\n")
    spec = parse_method_spec(with_files(f"{path}:Mine"))
    modules = code_modules(make_method(spec, "local"))
    assert "helper_of_beside_it" in modules
    assert "unrelated_so" not in modules
    told = next(file for file in method_files() if file.path == str(path))
    assert sorted(told.contents) == ["helper_of_beside_it.py", "mine.py"]


def test_a_file_that_has_changed_is_loaded_again(tmp_path: Path) -> None:
    path = write(tmp_path, "changed-so")
    with_files(f"{path}:Mine")
    path.write_text(path.read_text().replace("Letter counts", "Other counts"))
    assert with_files(f"{path}:Mine") == "changed-so"
    assert method_class("changed-so").info.title == "Other counts"
    assert [file.path for file in method_files()].count(str(path)) == 1
    (tmp_path / "helper_of_changed_so.py").write_text(HELPER.format(more=3))
    with pytest.raises(UsageError, match=r"helper_of_changed_so\.py has changed since"):
        with_files(f"{path}:Mine")


def test_another_machine_gets_a_copy(tmp_path: Path) -> None:
    path = write(tmp_path, "sent-so")
    with_files(f"{path}:Mine")
    dumped = next(file for file in method_files() if file.path == str(path)).dump()
    gone = json.loads(json.dumps(dumped)) | {"path": str(tmp_path / "not-here" / "mine.py")}
    code = (
        "import json, sys\nfrom bench.method.files import MethodFile\n"
        "from bench.method import method_class\n"
        "MethodFile.load(json.loads(sys.argv[1])).register()\n"
        "print(method_class('sent-so').info.title)\n"
    )
    command = [sys.executable, "-P", "-c", code, json.dumps(gone)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("Letter counts\n", "")
    assert MethodFile.load(dumped).cls == "Mine"


BROKEN = {
    "syntax": ("x = 1\ndef f(:\n", r"broken\.py:2: SyntaxError: "),
    "import": ("import os\n\nimport no_such_module_here\n", r":3: ModuleNotFoundError: No module"),
    "raises": ("def f():\n    raise ValueError('no')\nf()\n", r":2: ValueError: no"),
    "exits": ("import sys\nsys.exit(3)\n", r":2: SystemExit: 3"),
    "none": ("class Mine:\n    pass\n", r"Mine is no subclass of bench\.method\.Method; it has no"),
    "bare": (
        "from bench.method import Method\nclass Mine(Method):\n    pass\n",
        r"Mine has no info = MethodInfo",
    ),
    "spaced": (
        "from bench.method import Method, MethodInfo\nclass Mine(Method):\n"
        "    info = MethodInfo(name='my own', title='x', kind='static')\n",
        r"Mine has no info = MethodInfo\(\.\.\.\) with a name of letters",
    ),
    "taken": (
        "from bench.method import Method, MethodInfo\nclass Mine(Method):\n"
        "    info = MethodInfo(name='minilm', title='x', kind='static')\n",
        r"'minilm' is the name of a method of sentence-bench too; change info\.name",
    ),
    "unkind": (
        "from bench.method import Method, MethodInfo\nclass Mine(Method):\n"
        "    info = MethodInfo(name='mine-so', title='x', kind='statc')\n",
        r"broken\.py:3: UsageError: method 'mine-so': kind 'statc' is none of static, contrastive",
    ),
    "latin": ("# \xe4\n", r"broken\.py"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_method(tmp_path: Path, what: str) -> None:
    text, said = BROKEN[what]
    path = tmp_path / "broken.py"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said) as raised:
        with_files(f"{path}:Mine")
    assert "\n" not in str(raised.value)


def test_which_classes_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "which-so")
    with pytest.raises(UsageError, match=r"has no class 'Mien'; did you mean 'Mine'\?"):
        with_files(f"{path}:Mien")
    with pytest.raises(UsageError, match="has no class 'Zebra'; it has Mine"):
        with_files(f"{path}:Zebra")
    with pytest.raises(UsageError, match="there is no such file"):
        with_files(f"{tmp_path}/none.py:Mine")
    two = path.read_text() + "\nclass Other(Mine):\n    pass\n"
    path.write_text(two)
    with pytest.raises(UsageError, match=r"name its class.*it has Mine, Other"):
        with_files(str(path))


def test_two_files_of_one_name(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "twice-so")
    second = write(tmp_path / "b", "twice-so", file="second.py")
    with_files(f"{first}:Mine")
    (tmp_path / "b" / "helper_of_twice_so.py").rename(tmp_path / "b" / "other_of_twice_so.py")
    second.write_text(second.read_text().replace("helper_of", "other_of"))
    with pytest.raises(UsageError, match=r"'twice-so' is the name of a method of .*a/mine\.py"):
        with_files(f"{second}:Mine")


def test_what_is_beside_it_and_elsewhere_too(tmp_path: Path) -> None:
    path = write(tmp_path, "clash-so")
    path.write_text("import tabulate\n" + path.read_text())
    (tmp_path / "tabulate.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="imports tabulate, which is beside it and at"):
        with_files(f"{path}:Mine")


def test_it_runs_is_checked_and_shown(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "methods", "runs-so")
    spec = "methods/mine.py:Mine"
    code, out, err = bench("run", "-s", "mini", "--tasks", "STS", "-m", spec, "-o", "out")
    assert code == 0, err
    assert "runs-so" in out
    assert "mine.py" not in out
    (record,) = (tmp_path / "out").rglob("*.json")
    assert json.loads(record.read_bytes())["method"]["spec"] == "runs-so"
    assert str(tmp_path) not in record.read_text()
    assert bench("check", spec)[0] == 0
    shown = bench("show", spec)[1]
    assert "runs-so (method)" in shown
    assert "mine.py:Mine" in shown.split("For example")[1]
    assert "runs-so" in bench("table", "out", "-m", spec)[1]
    (repeated,) = (tmp_path / "out").glob("run-*.toml")
    assert f'methods = ["{spec}"]' in repeated.read_text()


def test_it_runs_in_other_processes(bench: Bench, tmp_path: Path) -> None:
    spec = f"{write(tmp_path, 'elsewhere-so')}:Mine"
    nested = f"{spec},truncate[dim=4,of={spec}]"
    code, _, err = bench("run", "-s", "mini[STS]", "-m", nested, "-o", "out", "--jobs", "2")
    assert code == 0, err
    records = [json.loads(path.read_bytes()) for path in (tmp_path / "out").rglob("*.json")]
    assert sorted(record["method"]["spec"] for record in records) == [
        "elsewhere-so",
        "truncate[dim=4,of=elsewhere-so]",
    ]
    code, _, err = bench("run", "-s", "mini[STS]", "-m", nested, "-o", "out")
    assert (code, err) == (0, "")


@pytest.mark.nightly
def test_it_trains_in_several_processes(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from dataclasses import replace\nfrom bench.methods.simcse import SimCSE\n"
        "class Own(SimCSE):\n    info = replace(SimCSE.info, name='own-simcse')\n"
    )
    spec = "own.py:Own[max_steps=2]"
    code, out, err = bench("run", "-s", "mini[STS]", "-m", spec, "--processes", "2")
    assert code == 0, err
    assert "own-simcse" in out
    assert "trains in one process" not in err
