"""Models cut to fewer layers and dimensions, before and after training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import CellError, UsageError
from bench.core.spec import parse_method_spec
from bench.data.retrieval import Queries, Query
from bench.method import resolve
from bench.methods.truncate import Truncate
from bench.records.files import find_records, read_record
from tests.support.models import tiny_bert
from tests.support.suites import WORDS, Bench, write_suite

TEXTS = ["a red kettle", "two dogs run", "rain"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "base", layers=3)


@pytest.fixture
def triplets(tmp_path: Path) -> Path:
    path = tmp_path / "triplets.tsv"
    path.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def encoder_of(spec: str) -> Any:
    return build_method(spec)[0].encoder


def encoder(spec: str) -> SentenceTransformer:
    built, _ = build_method(spec)
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def matryoshka(name: str, base: Path, triplets: Path, options: str = "") -> str:
    return (
        f"{name}[base={base},corpus={triplets},dev=false,batch_size=8,lr=1e-2,"
        f"dims=(16,8,4),grid=(16,4){options}]"
    )


def test_leading_dimensions_and_first_layers(base: Path) -> None:
    whole = encoder(f"sbert@{base}")
    short = encoder(f"truncate[dim=5,of={base}]")
    np.testing.assert_array_equal(short.encode(TEXTS), whole.encode(TEXTS)[:, :5])
    assert short.get_embedding_dimension() == 5
    low = encoder(f"truncate[layers=1,dim=5,of={base}]")
    assert not np.allclose(low.encode(TEXTS), short.encode(TEXTS), atol=1e-3)


@pytest.mark.parametrize("name", ["matryoshka", "matryoshka-2d"])
@pytest.mark.parametrize(("layers", "dim"), [(3, 16), (2, 8), (1, 4)])
def test_a_trained_model_is_cut_by_plain_sentence_transformers(
    name: str, layers: int, dim: int, base: Path, triplets: Path, tmp_path: Path
) -> None:
    trained = matryoshka(name, base, triplets)
    cut = encoder(f"truncate[layers={layers},dim={dim},of={trained}]").encode(TEXTS)
    encoder(trained).save_pretrained(str(tmp_path / "saved"))
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu", truncate_dim=dim)
    plain[0].auto_model.encoder.layer = plain[0].auto_model.encoder.layer[:layers]
    np.testing.assert_allclose(plain.encode(TEXTS), cut, atol=1e-6)


def test_a_trained_model_is_trained_once_and_cut_for_each_seed(base: Path, triplets: Path) -> None:
    spec = f"truncate[dim=4,of={matryoshka('matryoshka', base, triplets)}]"
    method = resolve(Truncate, parse_method_spec(spec), "local")
    assert method.trains
    assert method.base == str(base)
    vectors = [build_method(spec, seed=seed)[0].encoder.encode(TEXTS) for seed in (0, 1)]
    assert not np.allclose(*vectors, atol=1e-4)
    assert not resolve(Truncate, parse_method_spec(f"truncate[of={base}]"), "local").trains


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("dim=17", "dim=17 is out of range: the vectors have 16 dimensions"),
        ("layers=4", "layers=4 is out of range: the model has 1 to 3"),
    ],
)
def test_cuts_out_of_range(options: str, message: str, base: Path) -> None:
    with pytest.raises(UsageError, match=message):
        encoder(f"truncate[{options},of={base}]")


@pytest.mark.parametrize("layers", ["", "layers=2,"])
@pytest.mark.parametrize(("fraction", "dim"), [(1, 16), (0.5, 8), (0.1, 2), (0.001, 1)])
def test_a_share_of_the_dimensions(base: Path, layers: str, fraction: float, dim: int) -> None:
    share = encoder(f"truncate[{layers}fraction={fraction},of={base}]").encode(TEXTS)
    expected = encoder(f"truncate[{layers}dim={dim},of={base}]").encode(TEXTS)
    np.testing.assert_array_equal(share, expected)
    if (layers, dim) == ("", 16):
        np.testing.assert_array_equal(share, encoder(f"sbert@{base}").encode(TEXTS))


def test_what_cannot_be_cut(base: Path) -> None:
    with pytest.raises(UsageError, match="'random' is not a transformer"):
        encoder("truncate[layers=2,of=random]")
    with pytest.raises(UsageError, match=r"write truncate\[of="):
        encoder(f"truncate@{base}")


def ese(base: Path, triplets: Path, size: int) -> str:
    return (
        f"matryoshka-2d[variant=ese,size={size},base={base},corpus={triplets},dev=false,"
        "batch_size=8,lr=1e-2,grid=(16,4)]"
    )


def test_prefixes_out_of_range(base: Path, triplets: Path) -> None:
    with pytest.raises(UsageError, match=r"dims: 99 is out of range: .* have 16 dimensions"):
        encoder(f"matryoshka[base={base},corpus={triplets},dims=(99,8),dev=false]")
    with pytest.raises(UsageError, match="size=20 is out of range"):
        encoder(ese(base, triplets, size=20))
    flat = tiny_bert(base.parent / "flat")
    with pytest.raises(UsageError, match="has a single layer; use matryoshka"):
        encoder(matryoshka("matryoshka-2d", flat, triplets))


@pytest.mark.parametrize("variant", ["st", "ese"])
def test_earlier_layers_learn_in_2d_only(variant: str, base: Path, triplets: Path) -> None:
    both = matryoshka("matryoshka-2d", base, triplets, ",layers_per_step=-1")
    deep = both if variant == "st" else ese(base, triplets, size=4)
    flat = matryoshka("matryoshka", base, triplets)
    found = [encoder(f"truncate[layers=1,of={spec}]").encode(TEXTS) for spec in (deep, flat)]
    assert not np.allclose(*found, atol=1e-4)


def test_the_record_has_the_grid_and_the_table_shows_it(
    bench: Bench, base: Path, triplets: Path, tmp_path: Path
) -> None:
    suite, spec = write_suite(tmp_path), matryoshka("matryoshka-2d", base, triplets)
    cut = f"truncate[layers=2,dim=4,of={spec}]"
    code, _, err = bench("run", "--suite", suite, "--methods", f"{spec},{cut},random")
    assert code == 0, err
    records = {r.method.name: r for r in map(read_record, find_records([Path("results/runs")]))}
    grid = {(cell.layers, cell.dim): cell for cell in records["matryoshka-2d"].grid}
    assert set(grid) == {(layer, dim) for layer in (1, 2, 3) for dim in (16, 4)}
    assert grid[3, 16].tasks["pairs"] == pytest.approx(records["matryoshka-2d"].average, abs=1e-6)
    assert grid[2, 4].average == pytest.approx(records["truncate"].average, abs=1e-6)
    assert records["random"].grid == ()
    assert not list((tmp_path / "cache").glob("grid-*"))
    code, out, _ = bench("table", "--view", "grid")
    assert code == 0
    assert "small by layers and dimensions" in out
    assert f"{100 * grid[2, 4].average:.1f}" in out
    code, out, _ = bench("table", "--view", "grid", "--format", "markdown")
    assert "|   Layers |" in out
    code, _, err = bench("table", "--view", "grid", "--format", "csv")
    assert code == 2
    assert "comes as text or markdown" in err


def write_collection(folder: Path) -> Path:
    """Write a suite of retrieval: 12 queries, and two documents that answer each among 30."""
    tables = {
        "corpus": [
            {"id": f"d{i}", "title": "", "text": f"the {WORDS[i % 10]} of {i * i} things"}
            for i in range(30)
        ],
        "queries": [{"id": f"q{i}", "text": f"what {WORDS[i % 10]} is {i}"} for i in range(12)],
        "qrels": [
            {"query_id": f"q{i}", "document_id": f"d{(i + 10 * k) % 30}", "score": 1 + k}
            for i in range(12)
            for k in (0, 1)
        ],
    }
    entry = ""
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        entry += f'{name} = {{ file = "{name}.jsonl" }}\n'
    path = folder / "found.toml"
    path.write_text(
        'name = "found"\ntitle = "Thirty documents"\nconvention = "senteval"\n'
        f'average = ["docs"]\n[[tasks]]\nname = "docs"\nkind = "retrieval"\n{entry}'
    )
    return path


@pytest.mark.parametrize("fixed", ["false", "true"])
def test_queries_are_cut_and_documents_are_not(
    bench: Bench, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fixed: str
) -> None:
    suite = write_collection(tmp_path)
    queries = [Query(f"what {w}", (f"the {w} of things",), ()) for w in WORDS]
    monkeypatch.setattr(Queries, "load_sets", lambda self, data: {"quora": queries})
    monkeypatch.setattr(Queries, "fingerprint", lambda self, data: "made up")
    # As with columns that are too large for memory.
    monkeypatch.setattr("bench.encoding.encode.MOST_BYTES", 100)
    spec = (
        f"matryoshka-2d[variant=retrieval,retrieval=quora,base={base},dims=8,batch_size=5,"
        f"max_steps=2,grid=(16,8),passage_to_last_layer={fixed}]"
    )
    cut = f"truncate[layers=1,dim=8,whole_documents={fixed},of={spec}]"
    code, _, err = bench("run", "--suite", suite, "--methods", f"{spec},{cut}")
    assert code == 0, err
    records = {r.method.name: r for r in map(read_record, find_records([Path("results/runs")]))}
    grid = {(cell.layers, cell.dim): cell.average for cell in records["matryoshka-2d"].grid}
    assert set(grid) == {(layer, dim) for layer in (1, 2, 3) for dim in (16, 8)}
    assert grid[3, 16] == pytest.approx(records["matryoshka-2d"].average, abs=1e-9)
    assert grid[1, 8] == pytest.approx(records["truncate"].average, abs=1e-9)
    assert grid[1, 8] != grid[3, 8]


def test_documents_alone_keep_their_layers(base: Path) -> None:
    found = encoder_of(f"truncate[layers=1,dim=5,whole_documents=true,of={base}]")
    low, whole = (
        encoder(f"truncate[layers=1,dim=5,of={base}]"),
        encoder(f"truncate[dim=5,of={base}]"),
    )
    np.testing.assert_allclose(found.encode(TEXTS, role="query"), low.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(found.encode(TEXTS, role="document"), whole.encode(TEXTS), atol=1e-6)
    with pytest.raises(CellError, match="needs queries and documents"):
        found.encode(TEXTS)
    with pytest.raises(UsageError, match="whole_documents does nothing here; it needs layers"):
        encoder_of(f"truncate[dim=5,whole_documents=true,of={base}]")
