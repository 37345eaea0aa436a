"""The Python interface of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.core.errors import UsageError
from tests.support import stub_methods
from tests.support.suites import write_suite


def test_methods_may_be_one_text(tmp_path: Path) -> None:
    stub_methods.register()
    suite = str(write_suite(tmp_path))
    result = bench.run(suite, "good2,good[count=2]", output=tmp_path / "out")
    assert [one.method.spec for one in result.records()] == ["good2", "good[count=2]"]
    for wrong, told in [
        ({"limt": 20}, "did you mean 'limit'"),
        ({"profil": "paper"}, "did you mean 'profile'"),
        ({"rerun": "al"}, "unknown rerun 'al'"),
        ({"limit": 0}, "limit 0: give 2 or more"),
        ({"seeds": 0}, "seeds 0: give a whole number, 1 or more"),
        ({"batch_size": 0}, "batch_size 0: give 1 or more"),
    ]:
        with pytest.raises(UsageError, match=told):
            bench.run(suite, "good", output=tmp_path / "out", **wrong)
    with pytest.raises(UsageError, match="no methods are named"):
        bench.run(suite, [], output=tmp_path / "out")
