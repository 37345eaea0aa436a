"""Vectors of bytes and bits: those of sentence-transformers, and their scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator
from sentence_transformers.util import pairwise_cos_sim
from sentence_transformers.util.quantization import quantize_embeddings

from bench.api import build_method
from bench.core.errors import CellError
from bench.core.spec import parse_method_spec
from bench.encoding.encoder import Column
from bench.execution.vectors import encode
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from bench.transforms.quantisation import Quantised, QuantisedKind, fit_quantisation
from tests.support.models import tiny_sentence_transformer
from tests.support.suites import Bench, write_suite

TEXTS = [f"text {i} of some length" for i in range(60)]
SENTENCES = [f"sentence {i}" for i in range(90)]
BITS: tuple[QuantisedKind, ...] = ("binary", "ubinary")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text("\n".join(SENTENCES))
    return tmp_path / "corpus.txt"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tiny_sentence_transformer(tmp_path / "tiny").save_pretrained(str(tmp_path / "base"))
    return tmp_path / "base"


def vectors(spec: str, texts: list[str] = TEXTS) -> NDArray[np.float32]:
    """Vectors through the store of a run."""
    built, settings = build_method(spec)
    return encode(built, {("t", "text"): Column(texts)}, settings).vectors["t", "text"]


def unpacked(stored: NDArray[Any], kind: QuantisedKind) -> NDArray[np.uint8]:
    """Bits of the library's bytes, as its evaluators read them."""
    whole = stored.astype(np.int16) + (128 if kind == "binary" else 0)
    return np.unpackbits(whole.astype(np.uint8), axis=1)


@pytest.mark.parametrize("of", ["random", "sbert@{base}", "truncate[dim=7,of=random]"])
def test_bytes_are_those_of_the_library(of: str, base: Path, corpus: Path) -> None:
    of = of.format(base=base)
    expected = quantize_embeddings(
        vectors(of), "int8", calibration_embeddings=vectors(of, SENTENCES)
    )
    found = vectors(f"quantize[corpus={corpus},of={of}]")
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 30


@pytest.mark.parametrize("kind", BITS)
def test_bits_are_those_of_the_library(kind: QuantisedKind, base: Path) -> None:
    bits = unpacked(quantize_embeddings(vectors(f"sbert@{base}"), kind), kind)
    assert 0.1 < bits.mean() < 0.9
    found = vectors(f"quantize[kind={kind},of=sbert@{base}]")
    np.testing.assert_array_equal(found, 2.0 * bits - 1)
    hamming = (bits[::2] != bits[1::2]).sum(axis=1)
    cosines = pairwise_cos_sim(found[::2], found[1::2]).numpy()
    np.testing.assert_allclose(cosines, 1 - 2 * hamming / bits.shape[1], atol=1e-6)


@given(
    arrays(np.float32, (5, 11), elements=st.floats(-3, 3, width=32)),
    st.sampled_from(get_args(QuantisedKind)),
)
def test_any_width_is_kept(rows: NDArray[np.float32], kind: QuantisedKind) -> None:
    quantised = fit_quantisation(rows.astype(np.float64), kind=kind).map
    found = quantised(rows.astype(np.float64))
    assert found.shape == rows.shape
    assert quantised.vector_bytes == {"int8": 11}.get(kind, 2)
    np.testing.assert_array_equal(found[:3], quantised(rows[:3]))
    assert quantised(rows[:0]).shape == (0, 11)
    if kind == "int8":
        np.testing.assert_array_equal(
            found, quantize_embeddings(rows, kind, calibration_embeddings=rows)
        )


def scored(bench: Bench, suite: Path, *specs: str) -> dict[str, Record]:
    code, _, err = bench("run", "--suite", suite, "--methods", ",".join(specs))
    assert code == 0, err
    records = [read_record(path) for path in find_records([Path("results/runs")])]
    return {record.method.spec: record for record in records}


def test_scores_are_those_of_the_library(
    bench: Bench, base: Path, corpus: Path, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    pairs = [[row[f"sentence{i}"] for row in rows] for i in (1, 2)]
    gold = [row["score"] for row in rows]
    model = SentenceTransformer(str(base), device="cpu")
    of = f"of=sbert@{base}"
    specs = {kind: f"quantize[kind={kind},{of}]" for kind in BITS}
    eight = f"quantize[corpus={corpus},{of}]"
    records = scored(bench, suite, eight, *specs.values())
    for kind, spec in specs.items():
        record = records[str(parse_method_spec(spec))]
        evaluator = EmbeddingSimilarityEvaluator(
            *pairs, gold, precision=kind, main_similarity="manhattan", write_csv=False
        )
        expected = evaluator(model)["spearman_manhattan"]
        assert record.average == pytest.approx(expected, abs=1e-9)
        assert (record.dimension, record.vector_bytes) == (16, 2)
        assert record.tasks["pairs"].fits == ()
    calibration = vectors(f"sbert@{base}", SENTENCES)
    bytes_of = [
        quantize_embeddings(
            vectors(f"sbert@{base}", texts), "int8", calibration_embeddings=calibration
        )
        for texts in pairs
    ]
    cosines = pairwise_cos_sim(*(one.astype(np.float64) for one in bytes_of))
    record = records[str(parse_method_spec(eight))]
    assert record.average == pytest.approx(spearmanr(cosines, gold).statistic, abs=1e-9)
    assert record.vector_bytes == 16
    (entry,) = record.tasks["pairs"].fits
    assert (entry.method, entry.source, entry.vectors) == ("quantize", "corpus", len(SENTENCES))
    assert entry.rank is None


def test_a_table_tells_the_bytes(bench: Bench, base: Path, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    spec = f"quantize[kind=binary,of=sbert@{base}]"
    scored(bench, suite, spec, "random")
    code, out, _ = bench("table", "--suite", "small", "--format", "json")
    assert code == 0
    rows = {row["spec"]: row for row in json.loads(out)[0]["rows"]}
    assert rows[spec]["vector_bytes"] == 2
    assert rows["random"]["vector_bytes"] is None
    assert "Bytes" in bench("table", "--suite", "small")[1]


def test_signs_of_what_is_fitted_to_each_task(bench: Bench, tmp_path: Path) -> None:
    spec = "quantize[kind=binary,of=whitening[fit=test,of=random]]"
    record = scored(bench, write_suite(tmp_path), spec)[str(parse_method_spec(spec))]
    assert [entry.method for entry in record.tasks["pairs"].fits] == ["whitening"]
    assert record.vector_bytes is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("quantize[kind=binary,corpus=x.txt,of=random]", "corpus does nothing here"),
        ("quantize[kind=ubinary,sentences=9,of=random]", "sentences does nothing here"),
        ("quantize[kind=int4,of=random]", "kind: input should be"),
        ("quantize[of=whitening[fit=test,of=random]]", "quantize needs a model"),
        ("quantize@folder", r"write quantize[of=folder]"),
    ],
)
def test_what_is_refused(bench: Bench, tmp_path: Path, spec: str, message: str) -> None:
    code, _, err = bench("run", "--suite", write_suite(tmp_path), "--methods", spec)
    assert code == 2
    assert message in err


def test_one_vector_has_no_ranges() -> None:
    with pytest.raises(CellError, match="there are 1; name a larger corpus"):
        fit_quantisation(np.ones((1, 4)), kind="int8")


@pytest.mark.parametrize("of", ["random", "sbert@{base}"])
def test_what_is_quantised_encodes_by_itself(of: str, base: Path, corpus: Path) -> None:
    spec = f"quantize[corpus={corpus},of={of.format(base=base)}]"
    found = build_method(spec)[0]
    assert found.mapped is not None
    (only,) = found.mapped.done
    assert isinstance(only, Quantised)
    assert found.mapped.model is None
    texts = [TEXTS[3], *TEXTS, TEXTS[3]]
    np.testing.assert_array_equal(found.encoder.encode(texts), vectors(spec, texts))
