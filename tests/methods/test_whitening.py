"""The five whitenings as a method: what they are fitted on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.api import make_settings
from bench.core.spec import parse_method_spec
from bench.encoding.maps import Floats
from bench.method import resolve
from bench.methods import whitening
from bench.methods.random import RandomEncoder
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from bench.tasks.probes import protocols
from bench.tasks.probes.mapped import MappedProbe
from bench.transforms import covariance
from bench.transforms.covariance import WhiteningKind, fit_whitening
from tests.support.suites import Bench

KINDS: tuple[WhiteningKind, ...] = get_args(WhiteningKind)


# What is fitted on what: every text has a vector of its own, so that a vector tells its text.

LABELS = ("sad", "glad")


class Spy:
    """Texts of the vectors of every fit."""

    def __init__(self) -> None:
        self.fits: list[list[str]] = []
        self._known: dict[bytes, str] = {}

    def learn(self, texts: list[str]) -> None:
        vectors = RandomEncoder().encode(texts)
        self._known |= {v.tobytes(): text for v, text in zip(vectors, texts, strict=True)}

    def texts(self, vectors: NDArray[Any]) -> list[str]:
        return [self._known[one.tobytes()] for one in vectors.astype(np.float32)]

    def __call__(self, vectors: Floats, **options: Any) -> covariance.Fitted:
        self.fits.append(self.texts(vectors))
        return fit_whitening(vectors, **options)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    found = Spy()
    monkeypatch.setattr(whitening, "fit_whitening", found)
    # One processor, so that folds are fitted in this process.
    monkeypatch.setattr(protocols.os, "sched_getaffinity", lambda _: {0}, raising=False)
    return found


def write_rows(name: str, columns: tuple[str, ...], n: int) -> list[str]:
    """Write labelled rows to a file of that name, and return their texts."""
    rows = [{column: f"{name} {column} {i}" for column in columns} for i in range(n)]
    labelled = [{**row, "label": LABELS[i % 2], "score": i % 5} for i, row in enumerate(rows)]
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    return [text for row in rows for text in row.values()]


def write_suite(kind: str, options: str = "", parts: tuple[str, ...] = ()) -> None:
    own = "".join(f'{part} = {{ file = "{part}.jsonl" }}\n' for part in parts)
    Path("own.toml").write_text(
        'name = "own"\ntitle = "Own rows"\nconvention = "senteval"\naverage = ["one"]\n'
        f'[[tasks]]\nname = "one"\nkind = "{kind}"\n{options}'
        f'data = {{ file = "test.jsonl" }}\n{own}'
    )


def write_corpus() -> list[str]:
    texts = [f"text {i} of the corpus" for i in range(50)]
    Path("corpus.txt").write_text("\n".join(texts))
    return texts


def run(bench: Bench, options: str) -> tuple[Record, str]:
    spec = f"whitening[{options}corpus=corpus.txt,of=random]"
    code, _, err = bench("run", "--suite", "own.toml", "--methods", spec)
    assert code == 0, err
    (path,) = find_records([Path("results/runs")])
    return read_record(path), err


PAIR = 'texts = ["a", "b"]\nfeatures = "absdiff_product"\n'


@pytest.mark.parametrize(
    ("kind", "columns", "options"),
    [
        ("classification", ("text",), "folds = 2\n"),
        ("classification", ("a", "b"), f"folds = 2\n{PAIR}"),
        ("nli", ("premise", "hypothesis"), "folds = 2\n"),
    ],
)
def test_a_training_part_is_fitted_on_alone(
    bench: Bench, spy: Spy, kind: str, columns: tuple[str, ...], options: str
) -> None:
    write_corpus()
    train, test = (write_rows(part, columns, 60) for part in ("train", "test"))
    spy.learn(train + test)
    write_suite(kind, options, ("train",))
    record, err = run(bench, "")
    assert [sorted(fitted) for fitted in spy.fits] == [sorted(train)]
    (entry,) = record.tasks["one"].fits
    assert (entry.source, entry.vectors, entry.rank) == ("train", len(train), 32)
    told = f"one: whitening fitted on {len(train)} vectors, training texts of the task; rank 32"
    assert told in err


def test_relatedness_is_fitted_on_its_training_part(bench: Bench, spy: Spy) -> None:
    write_corpus()
    columns = ("sentence1", "sentence2")
    parts = {part: write_rows(part, columns, 40) for part in ("train", "dev", "test")}
    spy.learn([text for texts in parts.values() for text in texts])
    write_suite("relatedness", "", ("train", "dev"))
    run(bench, "")
    assert [sorted(fitted) for fitted in spy.fits] == [sorted(parts["train"])]


@pytest.fixture
def folds(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str], set[str]]]:
    """What each call of the probe trains on and predicts, checked against what was fitted."""
    calls: list[tuple[str, set[str], set[str]]] = []

    def texts(x: NDArray[Any], n: int) -> set[str]:
        return {text for part in np.split(x, n, axis=1) for text in spy.texts(part)}

    def watched(name: str, place: int) -> Callable[..., Any]:
        original = getattr(MappedProbe, name)

        def call(self: MappedProbe, *arguments: Any) -> Any:
            before = len(spy.fits)
            found = original(self, *arguments)
            other = arguments[place].x if name == "path" else arguments[place]
            train = texts(arguments[0].x, self.texts)
            assert [set(fitted) for fitted in spy.fits[before:]] == [train]
            calls.append((name, train, texts(other, self.texts)))
            return found

        return call

    monkeypatch.setattr(MappedProbe, "path", watched("path", 1))
    monkeypatch.setattr(MappedProbe, "predict", watched("predict", 3))
    return calls


@pytest.mark.parametrize(
    ("columns", "options"), [(("text",), "folds = 3\n"), (("a", "b"), f"folds = 3\n{PAIR}")]
)
def test_without_a_training_part_each_fold_is_fitted_on_its_training_rows(
    bench: Bench,
    spy: Spy,
    folds: list[tuple[str, set[str], set[str]]],
    columns: tuple[str, ...],
    options: str,
) -> None:
    write_corpus()
    test = write_rows("test", columns, 60)
    spy.learn(test)
    write_suite("classification", options)
    record, err = run(bench, "")
    assert [name for name, _, _ in folds] == 9 * ["path"] + 3 * ["predict"]
    for outer, (_, train, held_out) in enumerate(folds[9:]):
        inner = folds[3 * outer : 3 * outer + 3]
        assert not train & held_out
        assert train | held_out == set(test)
        for _, fitted, checked in inner:
            assert not fitted & checked
            assert fitted | checked == train
    (entry,) = record.tasks["one"].fits
    assert (entry.source, entry.vectors) == ("folds", len(columns) * 40)
    assert set(spy.fits[0]) == folds[9][1]
    assert f"{len(columns) * 40} vectors, training texts of each fold, here the first" in err


def test_where_nothing_is_trained_on_it_is_fitted_on_the_corpus(bench: Bench, spy: Spy) -> None:
    corpus = write_corpus()
    test = write_rows("test", ("sentence1", "sentence2"), 30)
    spy.learn(corpus + test)
    write_suite("sts")
    record, err = run(bench, "")
    assert [sorted(fitted) for fitted in spy.fits] == [sorted(corpus)]
    assert record.tasks["one"].fits[0].source == "corpus"
    assert "whitening fitted on 50 vectors, text of the corpus" in err


@pytest.mark.parametrize(
    ("kind", "columns", "options", "parts"),
    [
        ("sts", ("sentence1", "sentence2"), "", ()),
        ("classification", ("text",), "folds = 2\n", ()),
        ("classification", ("text",), "folds = 2\n", ("train",)),
    ],
)
def test_fit_test_takes_all_texts_of_the_task(
    bench: Bench, spy: Spy, kind: str, columns: tuple[str, ...], options: str, parts: Any
) -> None:
    texts = [text for part in ("test", *parts) for text in write_rows(part, columns, 40)]
    spy.learn(texts)
    write_corpus()
    write_suite(kind, options, parts)
    record, err = run(bench, "fit=test,")
    assert [sorted(fitted) for fitted in spy.fits] == [sorted(texts)]
    assert record.tasks["one"].fits[0].source == "test"
    assert "all texts of the task, the scored ones too" in err
    assert record.tasks["one"].contamination is None


def test_fit_corpus_is_fitted_once_for_all_tasks(bench: Bench, spy: Spy) -> None:
    corpus = write_corpus()
    train, test = (write_rows(part, ("text",), 40) for part in ("train", "test"))
    spy.learn(corpus + train + test)
    write_suite("classification", "folds = 2\n", ("train",))
    record, err = run(bench, "fit=corpus,")
    assert [sorted(fitted) for fitted in spy.fits] == [sorted(corpus)]
    assert record.tasks["one"].fits[0].source == "corpus"
    assert re.search("^  whitening fitted on 50 vectors", err, re.MULTILINE)


def test_folds_in_other_processes_give_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus()
    write_rows("test", ("text",), 40)
    write_suite("classification", "folds = 2\n")
    found = []
    for processors in (1, 2):
        monkeypatch.setattr(
            protocols.os, "sched_getaffinity", lambda _, n=processors: set(range(n)), raising=False
        )
        code, _, err = bench(
            "run",
            "--suite",
            "own.toml",
            "--methods",
            "whitening[corpus=corpus.txt,of=random]",
            "--output",
            f"out{processors}",
        )
        assert code == 0, err
        (path,) = find_records([Path(f"out{processors}")])
        found.append(read_record(path))
    assert found[0].items_sha256 == found[1].items_sha256


def test_too_few_rows_for_a_map(bench: Bench) -> None:
    write_corpus()
    write_rows("test", ("text",), 40)
    write_suite("classification", "folds = 2\n")
    spec = "whitening[kind=cholesky,corpus=corpus.txt,of=random]"
    code, _, err = bench("run", "--suite", "own.toml", "--methods", spec)
    assert code == 3
    told = "task one: whitening[kind=cholesky] needs vectors of full rank, and the 20 that it is"
    assert told in err
    assert "set ridge" in err
    assert "Traceback" not in err


def test_the_kinds_come_to_the_same_scores(bench: Bench) -> None:
    write_corpus()
    write_rows("test", ("sentence1", "sentence2"), 40)
    write_suite("sts")
    specs = ",".join(f"whitening[kind={kind},corpus=corpus.txt,of=random]" for kind in KINDS)
    code, _, err = bench("run", "--suite", "own.toml", "--methods", specs)
    assert code == 0, err
    averages = [read_record(path).average for path in find_records([Path("results/runs")])]
    assert averages == pytest.approx([averages[0]] * len(KINDS), abs=1e-6)


def test_corpora_of_the_profiles() -> None:
    found = {
        profile: resolve(whitening.Whitening, parse_method_spec("whitening"), profile).config
        for profile in ("smoke", "local", "paper")
    }
    assert {name: config.corpus for name, config in found.items()} == {
        "smoke": "pydoc",
        "local": "triplets",
        "paper": "nli",
    }


def test_every_text_of_the_local_corpus(data_folder: Path) -> None:
    method = resolve(whitening.Whitening, parse_method_spec("whitening"), "local")
    data = make_settings(profile="local", data=data_folder).data
    texts = method.corpus_texts(data)
    assert len(texts) == len(set(texts))
    assert 7000 < len(texts) <= 9000
    assert set(method.training_texts(data)) == set(texts)
