"""``bench run --dry-run``: what would be done, without doing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.suites import Bench


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ("minilm-l2", "1 of 1 cell to run, 0 trainings, 1730 texts"),
        ("simcse", "2 of 2 cells to run, 1 training, 3460 texts"),
        ("simcse,truncate[dim=8,of=simcse]", "3 of 3 cells to run, 1 training, 3460 texts"),
        ("truncate[dim=8,of=simcse]", "2 of 2 cells to run, 1 training, 3460 texts"),
    ],
)
def test_what_is_shared_counts_once(
    bench: Bench, tmp_path: Path, methods: str, expected: str
) -> None:
    code, out, err = bench("run", "--dry-run", "--methods", methods)
    assert code == 0, err
    assert out.splitlines()[-1].startswith(expected)
    assert not list((tmp_path / "results").rglob("*.json"))


def test_a_method_that_learns_tasks_trains_for_each(
    bench: Bench, data_folder: Path, tmp_path: Path
) -> None:
    code, out, err = bench(
        *("run", "--dry-run", "--suite", "intent", "--track", "supervised"),
        *("--data", data_folder, "--methods", "ft", "--profile", "smoke"),
    )
    assert code == 0, err
    assert "1 of 1 cell to run, 6 trainings, 0 texts" in out
