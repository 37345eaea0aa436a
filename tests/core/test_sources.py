"""Whose code makes a method's vectors: all that its adapter runs, and nobody keeps a list."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.core.fingerprint import source_fingerprint
from bench.core.registry import METHODS, names
from bench.core.sources import imported
from bench.core.spec import parse_method_spec
from bench.method import MethodInfo, method_class, resolve
from bench.models import build
from bench.models.build import code_modules, model_fingerprint
from tests.support.stub_methods import Stub

MADE_FOR_METHODS = ("bench.methods.", "bench.training.", "bench.transforms.")
# Imports each adapter anew, and says which modules of ours came with it.
REALLY = """
import importlib, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    for loaded in [one for one in sys.modules if one.partition(".")[0] == "bench"]:
        del sys.modules[loaded]
    importlib.import_module(name)
    found[name] = [one for one in sys.modules if one.startswith("bench.")]
print(json.dumps(found))
"""


def test_all_that_an_import_statement_runs_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "planted"
    (package / "deep").mkdir(parents=True)
    contents = {
        "__init__.py": "",
        "start.py": (
            "from typing import TYPE_CHECKING\nimport json\nfrom planted import top\n"
            "from planted.names import NAME\nfrom . import beside\nfrom .deep.below import x\n"
            "if TYPE_CHECKING:\n    from planted import typing_only\nelse:\n"
            "    import planted.running\n\ndef f():\n    import planted.lazy\n"
        ),
        "top.py": "from planted.second import y",
        "second.py": "from planted import start",
        "deep/__init__.py": "",
        "deep/below.py": "from .. import above\nx = 1",
        **{f"{name}.py": "" for name in ("names", "beside", "typing_only", "running", "lazy")},
        **{f"{name}.py": "" for name in ("above", "unused")},
    }
    for name, content in contents.items():
        (package / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    names = "above beside deep.below lazy names running second top"
    expected = ("planted", *(f"planted.{name}" for name in names.split()))
    assert imported("planted.start", ("planted",)) == expected
    assert imported("planted.start", ("planted.deep",)) == ("planted.deep.below",)
    assert "planted" not in sys.modules


def test_a_module_that_does_not_exist_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bench.no_such", "nowhere.at_all", "bench.core.errors.UsageError"):
        with pytest.raises(ModuleNotFoundError, match=f"no source of a module '{name}'"):
            source_fingerprint(name)
    info = MethodInfo(name="good", title="x", kind="static", sources=("bench.renamed",))
    monkeypatch.setattr(Stub, "info", info)
    method = resolve(Stub, parse_method_spec("good"), "smoke")
    with pytest.raises(UsageError, match=r"method 'good': .*'bench.renamed'; correct its sources"):
        code_modules(method)


def test_no_adapter_runs_code_that_its_fingerprint_does_not_know(tmp_path: Path) -> None:
    methods = {name: object.__new__(method_class(name)) for name in names(METHODS)}
    modules = {name: type(method).__module__ for name, method in methods.items()}
    ours = sorted(module for module in modules.values() if module.startswith("bench."))
    # Away from the checkout only the installed package can answer.
    done = subprocess.run(
        [sys.executable, "-c", REALLY, json.dumps(ours)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    really = json.loads(done.stdout)
    assert len(ours) > 25
    for name, method in methods.items():
        known = code_modules(method)
        assert len(known) == len(set(known))
        for module in really.get(modules[name], []):
            # The framework itself runs some other parts, for all methods.
            part = module.startswith(MADE_FOR_METHODS)
            package = hasattr(sys.modules.get(module), "__path__")
            assert not part or package or module in known, f"{name} runs {module}"


@pytest.mark.parametrize("changed", ["template.py", "lora.py", "sct.py", "checkpoints.py"])
def test_a_change_of_what_an_adapter_runs_makes_another_model(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.api import make_settings

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    settings = make_settings(profile="smoke")
    corpus = tmp_path / "pairs.tsv"
    corpus.write_text("a one\ta two\n" * 9)
    method = resolve(
        method_class("sct"), parse_method_spec(f"sct[base=random,corpus={corpus}]"), "smoke"
    )

    def identity() -> str:
        source_fingerprint.cache_clear()
        return model_fingerprint(method, settings.data, settings.models, 0)

    before = identity()
    assert identity() == before
    real = build.source_fingerprint
    monkeypatch.setattr(
        build,
        "source_fingerprint",
        lambda module: "new" if module.endswith(changed[:-3]) else real(module),
    )
    assert identity() != before
