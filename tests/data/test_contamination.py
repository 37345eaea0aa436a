"""Overlap of training text and test sets."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.data.contamination import TrainingText, normalise
from bench.records.files import find_records, read_record
from tests.support.suites import Bench, write_suite


def test_exact_and_normalised_are_counted_apart() -> None:
    seen = TrainingText(["The cat sat.", "A dog!", "..."])
    found = seen.overlap(["The cat sat.", "a  dog", "a bird", "?!", "a bird"])
    assert (found.texts, found.exact, found.normalised) == (4, 1, 2)


@given(st.lists(st.text()), st.lists(st.text()))
def test_bounds(train: list[str], test: list[str]) -> None:
    found = TrainingText(train).overlap(test)
    assert 0 <= found.exact <= found.texts == len(set(test))
    assert found.exact == len(set(train) & set(test))
    assert found.normalised <= found.texts


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_the_record_says_what_training_saw(bench: Bench, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    corpus = tmp_path / "corpus.txt"
    shared = "the apple and the apple 0"
    sentences = [shared, *(f"sentence number {i} of some text" for i in range(40))]
    corpus.write_text("".join(f"{text}\n" for text in sentences))
    spec = f"tfidf[corpus={corpus},dim=4]"
    code, out, err = bench("run", "--suite", suite, "--methods", f"{spec},good")
    assert code == 0, err
    records = [read_record(path) for path in find_records([tmp_path / "results"])]
    found = {r.method.name: r.tasks["pairs"].contamination for r in records}
    assert found["good"] is None
    entry = found["tfidf"]
    assert entry is not None
    assert (entry.exact, entry.normalised) == (1, 1)
    assert "‡ training text holds up to" in out


def test_tasks_of_the_data_sets_that_training_drew_on(
    bench: Bench, tmp_path: Path, data_folder: Path
) -> None:
    suite = tmp_path / "two.toml"
    suite.write_text(
        'name = "two"\ntitle = "x"\nconvention = "mteb"\naverage = ["Quora", "STS-B"]\n'
        '[[tasks]]\nname = "Quora"\nkind = "pair_classification"\n'
        'data = "paraphrase/quora:dev#test"\n'
        '[[tasks]]\nname = "STS-B"\nkind = "sts"\ndata = "sts/stsb:test"\n'
    )
    methods = "tfidf[corpus=paraphrase,dim=4],random"
    command = ("--suite", suite, "--methods", methods, "--limit", "500", "--data", data_folder)
    code, out, err = bench("run", *command)
    assert code == 0, err
    records = [read_record(path) for path in find_records([tmp_path / "results"])]
    found = {
        (record.method.name, task): entry.in_domain
        for record in records
        for task, entry in record.tasks.items()
    }
    assert {key for key, marked in found.items() if marked} == {("tfidf", "Quora")}
    assert "° trained on other rows of the same data set." in out
