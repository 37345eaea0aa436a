"""A run asks each question once, and notices where an answer does not hold any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import EXIT_DATA
from bench.data import corpora
from bench.execution import runner, suites
from bench.models import access
from bench.records import files
from tests.support.suites import Bench, write_suite


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter[str]]:
    """How often each question was asked, by question and what it was about."""
    counts: dict[str, Counter[str]] = {}

    def count(module: Any, name: str, about: Callable[..., str | None]) -> None:
        asked, real = counts.setdefault(name, Counter()), getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            answer = real(*arguments, **options)
            subject = about(*arguments)
            if subject is not None:
                asked[subject] += 1
            return answer

        monkeypatch.setattr(module, name, counted)

    count(suites, "task_sha256", lambda suite, task, data: task.name)
    count(access, "model_fingerprint", _of_the_run)
    count(corpora, "_rows_of", lambda name, data: name)
    # Every reader takes it from here.
    count(files, "read_regular", lambda path, limit: path.name if path.suffix == ".json" else None)
    made = counts["Models"] = Counter()
    real = access.Models.__init__

    def init(self: Any, runtime: Any, seed: int = 0) -> None:
        if type(runtime.data).__name__ == "DataAccess":
            made["made"] += 1
        real(self, runtime, seed)

    monkeypatch.setattr(access.Models, "__init__", init)
    return counts


def _of_the_run(method: Any, data: Any, models: Any, *rest: Any) -> str | None:
    """Name of a method, unless it is planned only for what it would need."""
    return method.info.name if type(data).__name__ == "DataAccess" else None


def test_two_methods_on_four_tasks(
    bench: Bench, asked: dict[str, Counter[str]], tmp_path: Path
) -> None:
    code, _, err = bench("run", "--suite", "mini", "--methods", "random,tfidf[corpus=pydoc]")
    assert code == 0, err
    tasks = ["Intent", "NLI", "Reranking", "STS"]
    assert asked["task_sha256"] == dict.fromkeys(tasks, 1)
    assert asked["Models"] == {"made": 1}
    assert asked["model_fingerprint"] == {"random": 1, "tfidf": 1}
    assert asked["_rows_of"] == {"pydoc": 1}
    records = [path.name for path in tmp_path.glob("results/runs/mini/*.json")]
    assert len(records) == 2
    assert asked["read_regular"] == dict.fromkeys(records, 1)


def test_cells_that_are_complete_are_read_once(
    bench: Bench, asked: dict[str, Counter[str]], tmp_path: Path
) -> None:
    suite = write_suite(tmp_path)
    _, first, _ = bench("run", "--suite", suite, "--methods", "random")
    for counter in asked.values():
        counter.clear()
    _, again, _ = bench("run", "--suite", suite, "--methods", "random")
    assert again == first
    assert [*asked["read_regular"].values()] == [1]
    assert asked["_rows_of"] == {}


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("rows.jsonl", "remove_leftovers"),
        ("corpus.txt", "remove_leftovers"),
        ("corpus.txt", "_run_cell"),
    ],
)
def test_files_that_change_after_they_were_identified_end_what_reads_them(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    suite = write_suite(tmp_path)
    text = suite.read_text().split("data =")[0] + 'data = { file = "rows.jsonl" }\n'
    suite.write_text(text)
    (tmp_path / "corpus.txt").write_text("A text to learn from.\nAnother text.\n")
    began = getattr(runner, step)

    def change(*arguments: Any) -> None:
        path = tmp_path / name
        path.write_bytes(path.read_bytes().replace(b"a", b"u"))
        began(*arguments)

    monkeypatch.setattr(runner, step, change)
    # The first to notice must not make the second trust what the file holds now.
    methods = "tfidf[corpus=corpus.txt],tfidf[corpus=corpus.txt,dim=3]"
    code, _, err = bench("run", "--suite", suite, "--methods", methods)
    assert code == EXIT_DATA
    message = f"{tmp_path / name} has changed since the run began; run the same command again"
    assert err.count(f"bench: tfidf[corpus=corpus.txt] (seed 0) on small: {message}") == 1
    assert err.count(f"bench: tfidf[corpus=corpus.txt,dim=3] (seed 0) on small: {message}") == 1


def test_a_file_that_is_replaced_by_its_like_has_not_changed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, rows = write_suite(tmp_path), tmp_path / "rows.jsonl"
    began = runner.remove_leftovers

    def replace(*arguments: Any) -> None:
        content = rows.read_bytes()
        rows.unlink()
        rows.write_bytes(content)
        began(*arguments)

    monkeypatch.setattr(runner, "remove_leftovers", replace)
    code, _, err = bench("run", "--suite", suite, "--methods", "random")
    assert code == 0, err
