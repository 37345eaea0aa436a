"""Whitened features of pairs: what they are fitted on, and what the probe sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB

from bench.encoding.maps import Floats
from bench.methods import whitening
from bench.methods.random import RandomEncoder
from bench.records.files import find_records, read_record
from bench.tasks.classification import pair_features
from bench.tasks.probes import protocols
from bench.transforms import covariance
from bench.transforms.covariance import fit_whitening
from tests.support.suites import Bench

KINDS = {
    "classification": ("a", "b"),
    "nli": ("premise", "hypothesis"),
    "relatedness": ("sentence1", "sentence2"),
}
FEATURES = {
    "classification": "absdiff_product",
    "nli": "concat_absdiff_product",
    "relatedness": "absdiff_product",
}
Row = dict[str, Any]


def write_rows(part: str, columns: Sequence[str], n: int) -> list[Row]:
    rows = [
        {**{column: f"{part} {column} {i}" for column in columns}, "label": i % 2, "score": i % 5}
        for i in range(n)
    ]
    Path(f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def write_suite(kind: str, parts: Sequence[str], *options: str) -> None:
    texts = 'texts = ["a", "b"]\nfeatures = "absdiff_product"\n' * (kind == "classification")
    own = "".join(f'{part} = {{ file = "{part}.jsonl" }}\n' for part in parts)
    Path("own.toml").write_text(
        'name = "own"\ntitle = "Own rows"\nconvention = "senteval"\naverage = ["T"]\n'
        f'[[tasks]]\nname = "T"\nkind = "{kind}"\n{texts}'
        + "\n".join(options)
        + f'\ndata = {{ file = "test.jsonl" }}\n{own}'
    )
    Path("corpus.txt").write_text("\n".join(f"text {i} of the corpus" for i in range(50)))


def features_of(rows: Sequence[Row], kind: str) -> NDArray[np.float32]:
    encoder = RandomEncoder()
    u, v = (encoder.encode([row[column] for row in rows]) for column in KINDS[kind])
    return pair_features(u, v, FEATURES[kind])


@pytest.fixture
def fitted_on(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """Rows of every fit."""
    found: list[Floats] = []

    def spy(vectors: Floats, **options: Any) -> covariance.Fitted:
        found.append(vectors)
        return fit_whitening(vectors, **options)

    monkeypatch.setattr(whitening, "fit_whitening", spy)
    # One processor, so that folds are fitted in their order.
    monkeypatch.setattr(protocols.os, "sched_getaffinity", lambda _: {0}, raising=False)
    return found


def run(bench: Bench, options: str) -> tuple[Any, str]:
    spec = f"whitening[pairs=features,{options}corpus=corpus.txt,of=random]"
    code, _, err = bench("run", "--suite", "own.toml", "--methods", spec)
    assert code == 0, err
    (path,) = find_records([Path("results/runs")])
    return read_record(path), err


def same_rows(one: NDArray[Any], other: NDArray[Any]) -> None:
    """Equal but for the order of their rows, which tasks sort."""
    first, second = (rows[np.lexsort(rows.T)] for rows in (one, other))
    np.testing.assert_allclose(first, second, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fit", ["train", "test"])
def test_they_are_fitted_on_the_features_of_the_same_rows(
    bench: Bench, fitted_on: list[Floats], kind: str, fit: str
) -> None:
    names = ("train", "dev") if kind == "relatedness" else ("train",)
    parts = {part: write_rows(part, KINDS[kind], 150) for part in ("test", *names)}
    write_suite(kind, names)
    record, err = run(bench, f"fit={fit},")
    rows = parts["train"] if fit == "train" else [row for part in parts.values() for row in part]
    (found,) = fitted_on
    same_rows(found, features_of(rows, kind))
    (entry,) = record.tasks["T"].fits
    width = 128 if kind == "nli" else 64
    assert (entry.source, entry.vectors, entry.dimension) == (fit, len(rows), width)
    assert f"fitted on {len(rows)} feature vectors of pairs, " in err


def test_the_probe_sees_whitened_features(bench: Bench) -> None:
    train, test = (write_rows(part, KINDS["nli"], 200) for part in ("train", "test"))
    write_suite("nli", ("train",), 'probe = "nb"')
    record, _ = run(bench, "kind=zca,")
    x, held = (features_of(rows, "nli") for rows in (train, test))
    white = fit_whitening(x.astype(np.float64), kind="zca", dim=None, ridge=0.0).map
    model = GaussianNB().fit(white(x), [row["label"] for row in train])
    expected = model.score(white(held), [row["label"] for row in test])
    assert record.tasks["T"].main == pytest.approx(expected, abs=1e-9)
    assert 0.3 < expected < 0.7


def test_each_fold_has_its_own(bench: Bench, fitted_on: list[Floats]) -> None:
    # Rows of one length, so that their order stays.
    rows = write_rows("test", KINDS["classification"], 180)
    write_suite("classification", (), "folds = 3", 'probe = "nb"')
    record, err = run(bench, "kind=cholesky-cov,")
    order = sorted(range(len(rows)), key=lambda i: rows[i]["label"])
    rows = [rows[i] for i in order]
    x, y = features_of(rows, "classification"), np.array([row["label"] for row in rows])
    right = []
    splits = [*StratifiedKFold(3, shuffle=True, random_state=1111).split(x, y)]
    for train, test in splits:
        white = fit_whitening(
            x[train].astype(np.float64), kind="cholesky-cov", dim=None, ridge=0.0
        ).map
        model = GaussianNB().fit(white(x[train]).astype(np.float32), y[train])
        right.append(model.score(white(x[test]).astype(np.float32), y[test]))
    assert record.tasks["T"].main == pytest.approx(np.mean(right), abs=1e-9)
    # One for the record, and one in each fold.
    assert [len(found) for found in fitted_on] == [120] * 4
    for (train, _), found in zip(splits, fitted_on[1:], strict=True):
        same_rows(found, x[train])
    assert "120 feature vectors of pairs, training texts of each fold, here the first" in err


def test_rows_of_one_text_are_whitened_as_ever(bench: Bench, fitted_on: list[Floats]) -> None:
    write_rows("test", ("text",), 90)
    Path("own.toml").write_text(
        'name = "own"\ntitle = "x"\nconvention = "senteval"\naverage = ["T"]\n'
        '[[tasks]]\nname = "T"\nkind = "classification"\nfolds = 2\n'
        'data = { file = "test.jsonl" }\n'
    )
    Path("corpus.txt").write_text("\n".join(f"text {i} of the corpus" for i in range(50)))
    scores = []
    for options in ("pairs=features,", ""):
        spec = f"whitening[{options}corpus=corpus.txt,of=random]"
        folder = f"out{len(scores)}"
        command = ("run", "--suite", "own.toml", "--methods", spec, "--output", folder)
        assert bench(*command)[0] == 0
        (path,) = find_records([Path(folder)])
        scores.append(read_record(path).items_sha256)
    assert scores[0] == scores[1]
    assert {found.shape[1] for found in fitted_on} == {32}


def test_the_setting_of_the_authors(bench: Bench, fitted_on: list[Floats]) -> None:
    rows = write_rows("test", KINDS["classification"], 60)
    write_suite("classification", (), "folds = 2")
    record, _ = run(bench, "fit=test,shrinkage=se+,kind=zca,")
    (found,) = fitted_on
    same_rows(found, features_of(rows, "classification"))
    # Of rank 59, but no direction is dropped.
    assert record.tasks["T"].fits[0].rank == 64


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("truncate[dim=4,of=whitening[pairs=features]]", "put pairs=features outside of all"),
        (
            "truncate[dim=4,of=truncate[dim=9,of=whitening[pairs=features]]]",
            "put pairs=features outside of all",
        ),
        ("whitening[pairs=features,of=whitening]", "which is fitted to each task too"),
    ],
)
def test_what_cannot_be_nested(bench: Bench, spec: str, told: str) -> None:
    write_rows("test", ("sentence1", "sentence2"), 20)
    write_suite("sts", ())
    code, _, err = bench("run", "--suite", "own.toml", "--methods", spec)
    assert code == 2
    assert told in err
