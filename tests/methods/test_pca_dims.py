"""Principal components of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from bench.api import build_method
from bench.core.spec import parse_method_spec
from bench.data.corpora import NamedCorpus
from bench.method import resolve
from bench.methods.pca_dims import PcaDims
from bench.methods.random import RandomEncoder

TEXTS = [f"text {i}" for i in range(200)]
SENTENCES = [f"sentence {i}" for i in range(90)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text("\n".join(SENTENCES))
    return tmp_path / "corpus.txt"


def vectors(options: str, corpus: Path) -> NDArray[np.float32]:
    spec = f"pca-dims[{options}corpus={corpus},of=random]"
    return np.asarray(build_method(spec)[0].encoder.encode(TEXTS))


def distances(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(x[:, None] - x[None], axis=2))


def test_it_is_the_analysis_of_scikit_learn(corpus: Path) -> None:
    whole = RandomEncoder().encode(SENTENCES).astype(np.float64)
    fitted = PCA(7, svd_solver="full").fit(whole)
    expected = fitted.transform(RandomEncoder().encode(TEXTS).astype(np.float64))
    found = vectors("dim=7,", corpus)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)


def test_all_components_keep_distances(corpus: Path) -> None:
    np.testing.assert_allclose(
        distances(vectors("", corpus)), distances(RandomEncoder().encode(TEXTS)), atol=1e-5
    )


def test_components_are_nested_and_signs_are_fixed(corpus: Path) -> None:
    found = vectors("", corpus)
    np.testing.assert_allclose(vectors("fraction=0.25,", corpus), found[:, :8], atol=1e-6)
    np.testing.assert_array_equal(vectors("", corpus), found)


@pytest.mark.parametrize("dim", [1, 4, 16, 31])
def test_no_columns_keep_more_variance_of_the_corpus(corpus: Path, dim: int) -> None:
    spec = f"pca-dims[dim={dim},corpus={corpus},of=random]"
    components = np.asarray(build_method(spec)[0].encoder.encode(SENTENCES))
    first = RandomEncoder().encode(SENTENCES)[:, :dim]
    assert components.var(axis=0).sum() > first.var(axis=0).sum()


def test_rows_of_the_corpus_are_limited(corpus: Path) -> None:
    many = build_method(f"pca-dims[sentences=40,corpus={corpus},of=random]")[0].mapped
    assert many is not None
    (entry,) = many.fits
    assert (entry.source, entry.vectors, entry.rank, entry.dimension) == ("corpus", 40, 32, 32)
    few = build_method(f"pca-dims[sentences=20,corpus={corpus},of=random]")[0].mapped
    assert few is not None
    assert few.fits[0].rank == 19


def test_the_local_text_is_that_of_no_task(data_folder: Path) -> None:
    config = resolve(PcaDims, parse_method_spec("pca-dims"), "local").config
    settings = build_method("random", data=data_folder)[1]
    assert len(NamedCorpus(config.corpus, config.sentences).load(settings.data).rows) == 10_000
