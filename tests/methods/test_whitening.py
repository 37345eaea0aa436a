"""The five whitenings: what they are, and on what they are fitted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.api import make_settings
from bench.errors import CellError, UsageError
from bench.method import resolve
from bench.methods import whitening
from bench.methods.random import RandomEncoder
from bench.metrics.isotropy import isoscore
from bench.probes import protocols
from bench.probes.mapped import MappedProbe
from bench.record import Record, find_records, read_record
from bench.spec import parse_method_spec
from bench.transforms import covariance
from bench.transforms.covariance import Kind, fit_whitening
from bench.transforms.maps import Floats
from tests.small import Bench

KINDS: tuple[Kind, ...] = get_args(Kind)
COR = ("pca-cor", "zca-cor")
D = 6


def fit(vectors: Floats, kind: Kind, dim: int | None = None, ridge: float = 0.0) -> Floats:
    """Matrix of a whitening, (d, k)."""
    return fit_whitening(vectors, kind=kind, dim=dim, ridge=ridge).affine.matrix


def whiten(vectors: Floats, kind: Kind, dim: int | None = None) -> Floats:
    return fit_whitening(vectors, kind=kind, dim=dim, ridge=0.0).affine(vectors)


def sample(seed: int, n: int = 200, d: int = D) -> Floats:
    """Correlated rows of full rank, with deviations of 0.3 to 3 in turned directions."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((d, d)))
    spread = rng.standard_normal((n, d)) * np.logspace(-0.5, 0.5, d)
    return np.asarray(spread @ axes + rng.standard_normal(d))


def cosines(z: Floats) -> Floats:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


seeds = st.integers(0, 10_000)
many = settings(max_examples=10, deadline=None)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
@many
def test_the_covariance_is_the_identity(kind: Kind, seed: int) -> None:
    z = whiten(sample(seed), kind)
    assert np.abs(np.cov(z.T) - np.eye(D)).max() < 1e-6
    assert np.abs(z.mean(axis=0)).max() < 1e-7


@given(seed=seeds)
@many
def test_zca_stays_nearest_to_the_vectors(seed: int) -> None:
    x = sample(seed)
    centred = x - x.mean(axis=0)
    standard = centred / x.std(axis=0, ddof=1)
    near = {kind: np.mean((whiten(x, kind) - centred) ** 2) for kind in KINDS}
    assert near["zca"] <= min(near.values()) + 1e-9
    near = {kind: np.mean((whiten(x, kind) - standard) ** 2) for kind in KINDS}
    assert near["zca-cor"] <= min(near.values()) + 1e-9
    trace = {kind: np.trace(whiten(x, kind).T @ standard) for kind in KINDS}
    assert trace["zca-cor"] >= max(trace.values()) - 1e-6
    matrix = fit(x, "zca")
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-8 * np.abs(matrix).max())


@given(seed=seeds)
@many
def test_the_matrix_of_cholesky_is_triangular(seed: int) -> None:
    x = sample(seed)
    lower = fit(x, "cholesky")
    assert (np.triu(lower, 1) == 0).all()
    assert (np.diag(lower) > 0).all()
    precision = lower @ lower.T
    np.testing.assert_allclose(precision @ np.cov(x.T), np.eye(D), atol=1e-6)


@given(seed=seeds)
@many
def test_all_kinds_differ_by_a_rotation(seed: int) -> None:
    x = sample(seed, 60)
    expected = whiten(x, "pca")
    for kind in KINDS[1:]:
        z = whiten(x, kind)
        np.testing.assert_allclose(z @ z.T, expected @ expected.T, atol=1e-6)
        np.testing.assert_allclose(cosines(z), cosines(expected), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
@many
def test_inverse_and_again(kind: Kind, seed: int) -> None:
    x = sample(seed)
    matrix, z = fit(x, kind), whiten(x, kind)
    back = z @ np.linalg.pinv(matrix) + x.mean(axis=0)
    np.testing.assert_allclose(back, x, atol=1e-7 * np.abs(x).max())
    turned = fit(z, kind)
    np.testing.assert_allclose(turned @ turned.T, np.eye(D), atol=1e-6)
    if kind.startswith("zca"):
        np.testing.assert_allclose(turned, np.eye(D), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, scale=st.floats(0.1, 10))
@many
def test_shift_and_scale(kind: Kind, seed: int, scale: float) -> None:
    x = sample(seed)
    z = whiten(x, kind)
    np.testing.assert_allclose(whiten(scale * x + 3, kind), z, atol=1e-6)
    np.testing.assert_allclose(whiten(-scale * x + 3, kind), -z, atol=1e-6)
    columns = np.logspace(-1, 1, D)
    scaled = whiten(x * columns, kind)
    np.testing.assert_allclose(cosines(scaled), cosines(z), atol=1e-6)
    if kind in COR or kind == "cholesky":
        np.testing.assert_allclose(scaled, z, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cholesky"])
def test_directions_without_variance_are_dropped(kind: Kind) -> None:
    x = np.random.default_rng(0).standard_normal((20, 32))
    found = fit_whitening(x, kind=kind, dim=None, ridge=0.0)
    z = found.affine(x)
    assert found.rank == 19
    assert z.shape[1] == (19 if kind.startswith("pca") else 32)
    projector = np.cov(z.T)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-6)
    assert np.trace(projector) == pytest.approx(19)
    held_out = found.affine(np.random.default_rng(1).standard_normal((50, 32)))
    assert np.abs(held_out).max() < 50


@pytest.mark.parametrize(("n", "rank"), [(500, 8), (5, 4)])
def test_isoscore_of_whitened_vectors(n: int, rank: int) -> None:
    x = sample(3, n, 8)
    assert isoscore(x) < 0.9 * (rank - 1) / 7
    assert isoscore(whiten(x, "zca")) == pytest.approx((rank - 1) / 7, abs=1e-6)


@given(seed=seeds, dim=st.integers(1, D))
@many
def test_whitening_k_is_the_first_columns(seed: int, dim: int) -> None:
    x = sample(seed)
    for kind in ("pca", "pca-cor"):
        np.testing.assert_allclose(whiten(x, kind, dim), whiten(x, kind)[:, :dim], atol=1e-12)
    np.testing.assert_allclose(cosines(whiten(x, "pca", D)), cosines(whiten(x, "zca")), atol=1e-6)


def test_it_is_the_whitening_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    x = sample(7)
    expected = PCA(whiten=True, svd_solver="full").fit_transform(x)
    np.testing.assert_allclose(np.abs(whiten(x, "pca")), np.abs(expected), atol=1e-8)


@pytest.mark.parametrize("kind", COR)
def test_a_constant_column_counts_as_one_of_deviation_one(kind: Kind) -> None:
    x = sample(0)
    x[:, 2] = 0.1
    rest = np.delete(x, 2, axis=1)
    z, expected = whiten(x, kind), whiten(rest, kind)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(cosines(z), cosines(expected), atol=1e-6)


def test_what_cannot_be_fitted() -> None:
    x = sample(0)
    flat = np.hstack([x, x[:, :1]])
    with pytest.raises(CellError, match=r"have rank 6 of 7; .* or set ridge"):
        fit(flat, "cholesky")
    assert np.isfinite(fit(flat, "cholesky", ridge=1e-6)).all()
    with pytest.raises(CellError, match="have rank 6 of 7; choose dim=6 or less"):
        fit(flat, "pca", 7)
    with pytest.raises(CellError, match="3 vectors, all the same"):
        fit(np.ones((3, 2)), "zca")
    with pytest.raises(CellError, match="no vectors"):
        fit(np.ones((0, 2)), "zca")


def test_a_ridge_is_a_share_of_the_mean_variance() -> None:
    x = sample(0)
    covariance = np.cov(x.T)
    covariance += 0.5 * np.mean(np.linalg.eigvalsh(covariance)) * np.eye(D)
    for kind in KINDS:
        matrix = fit(x, kind, ridge=0.5)
        np.testing.assert_allclose(matrix @ matrix.T @ covariance, np.eye(D), atol=1e-8)


def test_dim_goes_with_ordered_columns() -> None:
    spec = parse_method_spec("whitening[dim=3,kind=zca]")
    with pytest.raises(UsageError, match=r"kind=zca are in no order .* dim goes with kind=pca"):
        resolve(whitening.Whitening, spec, "local")


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
    assert [name for name, _, _ in folds] == 3 * ["path", "path", "path", "predict"]
    for outer in range(3):
        *inner, (_, train, held_out) = folds[4 * outer : 4 * outer + 4]
        assert not train & held_out
        assert train | held_out == set(test)
        for _, fitted, checked in inner:
            assert not fitted & checked
            assert fitted | checked == train
    (entry,) = record.tasks["one"].fits
    assert (entry.source, entry.vectors) == ("folds", len(columns) * 40)
    assert set(spy.fits[0]) == folds[3][1]
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
