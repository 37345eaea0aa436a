"""``bench list``."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from bench.core import registry
from tests.support.suites import Bench


def test_every_method_and_suite_has_a_row(bench: Bench) -> None:
    for what, group in (("methods", registry.METHODS), ("suites", registry.SUITES)):
        code, out, err = bench("list", what)
        assert (code, err) == (0, "")
        assert {line.split()[0] for line in out.splitlines()[2:]} == set(registry.names(group))
        assert "cannot be loaded" not in out


def test_a_broken_method_does_not_hide_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("broken", "no_such_module:Broken", registry.METHODS)
    monkeypatch.setitem(registry._entries(registry.METHODS), "broken", [entry])
    code, out, _ = bench("list", "methods")
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("broken ")]
    assert "cannot be loaded: No module named 'no_such_module'" in row
    assert any(line.startswith("simcse ") for line in out.splitlines())


@pytest.mark.parametrize("what", ["methods", "suites", "data"])
def test_lists_are_wrapped_between_words(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    wide = bench("list", what)[1]
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    narrow = bench("list", what)[1]
    assert max(map(len, narrow.splitlines())) <= 120
    # No word is lost or broken.
    assert {*wide.replace("-", " ").split()} <= {*narrow.replace("-", " ").split()}
