"""What a run reports while it goes on, and what it says of its time at the end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.cli.spent import time_spent
from bench.core import bar as progress
from bench.core.bar import Bar, in_words
from bench.core.words import duration
from bench.execution.runner import Outcome
from bench.records.entries import Timings
from tests.support import stub_methods
from tests.support.records import make_record
from tests.support.suites import Bench


@pytest.mark.parametrize(
    ("label", "total", "said"),
    [
        ("encode", 4100, "encode: 4,100 texts"),
        ("train simcse", 60, "train simcse: 60 steps"),
        ("score STS", 1, "score STS"),
        ("score the grid", 12, "score the grid: 12 cuts"),
        ("jobs", 3, "jobs: 3 jobs"),
        ("verify", 7, "verify: 7 data sets"),
        ("download, 0 of 106 files, MB", 29, "download, 0 of 106 files, 29 MB"),
    ],
)
def test_units_in_words(label: str, total: int, said: str) -> None:
    assert in_words(label, total) == said


def drawn(monkeypatch: pytest.MonkeyPatch) -> tuple[Bar, Console]:
    """A bar, and a terminal that it is drawn on."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda **_: screen)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    return Bar(), screen


def shown(bar: Bar) -> list[str]:
    page = Console(file=io.StringIO(), width=100)
    page.print(bar._progress)
    return page.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_bar_over_the_cells_and_none_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    bar, _ = drawn(monkeypatch)
    cells = bar.lane("cells")
    cells.start("", 5)
    cells.advance(2)
    bar.start("score STS", 1)
    first, second = shown(bar)
    assert first.startswith("cells ") and "2/5" in first
    assert second.startswith("score STS ") and "0/1" not in second
    bar.start("encode", 4100)
    bar.advance(256)
    assert "256/4,100" in shown(bar)[1]
    cells.end()
    assert len(shown(bar)) == 1


def test_the_overall_bar_moves_with_each_cell(suite: Path, tmp_path: Path) -> None:
    import bench

    told: list[tuple[str, int]] = []

    class Lane:
        def start(self, label: str, total: int) -> None:
            told.append(("of", total))

        def advance(self, done: int, label: str | None = None) -> None:
            told.append(("done", done))

        def note(self, message: str) -> None: ...

        def end(self) -> None:
            told.append(("end", 0))

    class Sink(Lane):
        def start(self, label: str, total: int) -> None: ...

        def advance(self, done: int, label: str | None = None) -> None: ...

        def lane(self, title: str) -> Lane:
            assert title == "cells"
            return Lane()

    stub_methods.register()
    methods = ["good", "good[count=1]", "good2"]
    bench.run(str(suite), methods, output=tmp_path / "out", progress=Sink())
    assert told == [("of", 3), ("done", 1), ("done", 2), ("done", 3), ("end", 0)]


SCORES = {"S1": 0.5}


def test_what_took_the_time() -> None:
    slow = make_record("slow", SCORES, timings=Timings(build=3700, encode=65, score=0.2))
    quick = make_record("quick", SCORES, timings=Timings(build=2, encode=1.4, score=30))
    paths = [Path("a"), Path("b"), Path("c")]
    outcome = Outcome(stored=[*zip(paths, [slow, quick, slow], strict=True)], fresh=paths[:2])
    assert time_spent(outcome) == (
        "63 minutes of computing: building models 62 minutes (slow 62 minutes, quick 2 seconds), "
        "encoding 66 seconds, scoring 30 seconds"
    )
    assert time_spent(Outcome(stored=outcome.stored)) is None


def test_durations() -> None:
    told = [duration(seconds) for seconds in (0.3, 1, 95, 600, 7300)]
    assert told == ["less than a second", "1 second", "95 seconds", "10 minutes", "2.0 hours"]


def test_a_run_says_what_took_the_time_once(bench: Bench, suite: Path) -> None:
    command = ("run", "-s", suite, "-m", "good,random")
    _, _, err = bench(*command)
    assert err.splitlines()[-1].startswith("bench: ")
    assert "of computing" in err.splitlines()[-1]
    assert bench(*command)[2] == ""


@pytest.mark.parametrize("jobs", [(), ("--jobs", "2")])
def test_a_failed_cell_names_its_traceback(
    bench: Bench, suite: Path, tmp_path: Path, jobs: tuple[str, ...]
) -> None:
    (tmp_path / "bad.py").write_text(
        "from bench.method import Method, MethodInfo\nclass Bad(Method):\n"
        f"    info = MethodInfo(name='bad{len(jobs)}', title='x', kind='static', requires=())\n"
        "    def build(self, ctx):\n        raise RuntimeError('the dog ate it')\n"
    )
    code, _, err = bench("run", "-s", suite, "-m", "bad.py:Bad", "-o", "out", *jobs)
    assert code == 3
    (kept,) = (tmp_path / "out").rglob("*.failed")
    named = kept.relative_to(tmp_path)
    line = err.splitlines()[-1]
    assert "RuntimeError: the dog ate it" in line
    assert line.endswith(f"its traceback is in {named}")
    assert "the dog ate it" in kept.read_text()
    # What the user can fix has no traceback to look at.
    assert "traceback" not in bench("run", "-s", suite, "-m", "nan", "-o", "out")[2]
