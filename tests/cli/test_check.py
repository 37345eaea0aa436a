"""``bench check`` tells what a method keeps of the contract, whatever the method does."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from bench.core import registry
from bench.method import Method, MethodInfo
from tests.support.suites import Bench


class WithoutBuild(Method):
    """A method that is not written to the end."""

    info = MethodInfo(name="unwritten", title="x", kind="static")


def test_a_method_that_keeps_the_contract(bench: Bench) -> None:
    code, out, err = bench("check", "good")
    assert (code, "FAIL" in out) == (0, False), err
    assert "ok   good: encoding twice gives the same bytes" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nan", "it builds and encodes: CellError: the encoder returned"),
        ("shape", "it builds and encodes: CellError: the encoder returned"),
        ("crash", "it builds and encodes: RuntimeError"),
    ],
)
def test_methods_that_break_it(bench: Bench, name: str, message: str) -> None:
    code, out, err = bench("check", f"{name},good")
    assert code == 3
    assert f"FAIL {name}: {message}" in out
    assert "ok   good: different texts differ" in out
    assert "Traceback" not in err


def test_a_class_without_build(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("unwritten", f"{__name__}:WithoutBuild", registry.METHODS)
    monkeypatch.setitem(registry._entries(registry.METHODS), "unwritten", [entry])
    for arguments in (("check", "unwritten"), ("run", "--methods", "unwritten,random")):
        code, _, err = bench(*arguments)
        assert code == 2
        assert "test_check:WithoutBuild has no build" in err
