"""Sparse encoders: the library's own similarities and rankings, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import spearmanr
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.evaluation import SparseInformationRetrievalEvaluator
from sklearn.metrics import average_precision_score

from bench.api import build_method
from bench.core.errors import CellError, DataError, UsageError
from bench.core.progress import Silent
from bench.encoding import sparse as sparse_vectors
from bench.encoding.encoder import Column
from bench.encoding.sparse import SparseColumn, encode_sparse, normalised
from bench.method import SparseScorer
from bench.methods.sparse import SparseVectors
from bench.records.entries import Record
from bench.records.files import find_records, read_items, read_record
from bench.records.items import items_key
from bench.suite import KINDS, scored_from
from bench.tasks import search
from bench.tasks.base import PairTask, SearchTask
from bench.tasks.kinds import KINDS as TASKS
from bench.tasks.search import nearest_sparse
from tests.support.models import tiny_bert, tiny_sentence_transformer, tiny_splade
from tests.support.suites import WORDS, Bench, write_suite

TEXTS = [f"the {word} by the {WORDS[-1 - i]}" for i, word in enumerate(WORDS)]
QUERIES = [f"{word} {i}" for i, word in enumerate(WORDS[:6])]
DOCUMENTS = [f"{TEXTS[i % 10]} and {WORDS[i * 3 % 10]} {i}" for i in range(40)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_splade(tmp_path / "splade")


def library(folder: Path) -> SparseEncoder:
    return SparseEncoder(str(folder), device="cpu")


def relevant(query: int) -> list[int]:
    return [query, query + 10, query * 2 + 1]


def write_kinds(folder: Path) -> Path:
    """A suite of the kinds that sparse vectors can be scored on."""
    pairs = [(TEXTS[i % 10], TEXTS[i * 3 % 10]) for i in range(24)]
    files: dict[str, list[dict[str, Any]]] = {
        "sts": [{"sentence1": a, "sentence2": b, "score": i % 5} for i, (a, b) in enumerate(pairs)],
        "pair_classification": [
            {"sentence1": a, "sentence2": b, "label": i % 2} for i, (a, b) in enumerate(pairs)
        ],
        "reranking": [
            {"query": query, "positive": [DOCUMENTS[i]], "negative": DOCUMENTS[i + 1 : i + 9]}
            for i, query in enumerate(QUERIES)
        ],
        "corpus": [{"id": f"d{i}", "text": text} for i, text in enumerate(DOCUMENTS)],
        "queries": [{"id": f"q{i}", "text": text} for i, text in enumerate(QUERIES)],
        "qrels": [
            {"query_id": f"q{i}", "document_id": f"d{place}", "score": 1}
            for i in range(len(QUERIES))
            for place in relevant(i)
        ],
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kinds = ("sts", "pair_classification", "reranking")
    tasks = "".join(
        f'[[tasks]]\nname = "{kind}"\nkind = "{kind}"\ndata = {{ file = "{kind}.jsonl" }}\n'
        for kind in kinds
    )
    tables = "".join(f'{name} = {{ file = "{name}.jsonl" }}\n' for name in [*files][3:])
    path = folder / "kinds.toml"
    path.write_text(
        'name = "kinds"\ntitle = "Pairs and a corpus"\nconvention = "senteval"\n'
        f"average = {json.dumps([*kinds, 'retrieval'])}\n{tasks}"
        f'[[tasks]]\nname = "retrieval"\nkind = "retrieval"\n{tables}'
    )
    return path


def run(bench: Bench, suite: Path, spec: str) -> tuple[Record, str]:
    code, _, err = bench("run", "--suite", suite, "--methods", spec)
    assert code == 0, err
    (path,) = find_records([Path("results/runs")])
    return read_record(path), err


@pytest.mark.parametrize("similarity", [None, "cosine"])
def test_scores_are_those_of_the_library(
    bench: Bench, tmp_path: Path, similarity: str | None
) -> None:
    folder = tiny_splade(tmp_path / "splade", similarity=similarity)
    record, _ = run(bench, write_kinds(tmp_path), f"sparse@{folder}")
    encoder = library(folder)
    assert encoder.similarity_fn_name == (similarity or "dot")
    rows = [json.loads(line) for line in (tmp_path / "sts.jsonl").read_text().splitlines()]
    first, second = (
        encoder.encode([row[f"sentence{i}"] for row in rows], show_progress_bar=False)
        for i in (1, 2)
    )
    expected = encoder.similarity_pairwise(first, second).numpy()
    (path,) = find_records([Path("results/runs")])
    found = read_items(path)[items_key("sts", "similarity")]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    gold = [row["score"] for row in rows]
    tasks = record.tasks
    assert tasks["sts"].main == pytest.approx(spearmanr(found, gold).statistic, abs=1e-6)
    labels = [i % 2 for i in range(len(rows))]
    ap = average_precision_score(labels, found)
    assert tasks["pair_classification"].main == pytest.approx(ap, abs=1e-6)
    queries = encoder.encode_query(QUERIES, show_progress_bar=False)
    documents = encoder.encode_document(DOCUMENTS, show_progress_bar=False)
    scores = encoder.similarity(queries, documents).numpy()
    of_queries = [
        1 / (1 + (scores[i, i + 1 : i + 9] > scores[i, i]).sum()) for i in range(len(QUERIES))
    ]
    assert tasks["reranking"].main == pytest.approx(np.mean(of_queries), abs=1e-9)
    assert record.dimension == documents.shape[1]
    assert record.geometry == {}
    assert all(task.ci95 is not None and task.items for task in tasks.values())


def test_the_search_is_that_of_the_library(bench: Bench, model: Path, tmp_path: Path) -> None:
    record, _ = run(bench, write_kinds(tmp_path), f"sparse@{model}")
    evaluator = SparseInformationRetrievalEvaluator(
        {f"q{i}": text for i, text in enumerate(QUERIES)},
        {f"d{i}": text for i, text in enumerate(DOCUMENTS)},
        {f"q{i}": {f"d{place}" for place in relevant(i)} for i in range(len(QUERIES))},
        main_score_function="dot",
        write_csv=False,
    )
    expected = evaluator(library(model))
    metrics = record.tasks["retrieval"].metrics
    for ours, theirs in (
        ("ndcg_at_10", "dot_ndcg@10"),
        ("mrr_at_10", "dot_mrr@10"),
        ("recall_at_5", "dot_recall@5"),
        ("precision_at_3", "dot_precision@3"),
    ):
        assert metrics[ours] == pytest.approx(expected[theirs], abs=1e-9), ours


def test_a_text_is_encoded_once_a_role(
    bench: Bench, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str | None, str]] = []
    original = SparseVectors.encode_sparse

    def watched(self: SparseVectors, texts: Sequence[str], role: str | None) -> csr_array:
        asked.extend((role, text) for text in texts)
        return original(self, texts, role)

    monkeypatch.setattr(SparseVectors, "encode_sparse", watched)
    record, err = run(bench, write_kinds(tmp_path), f"sparse@{model}")
    assert len(asked) == len(set(asked)) == record.encoding.distinct
    assert {text for role, text in asked if role is None} == set(TEXTS)
    assert {text for role, text in asked if role == "query"} == set(QUERIES)
    assert {text for role, text in asked if role == "document"} == set(DOCUMENTS)
    assert f"{len(asked)} distinct, {len(asked)} encoded now" in err


def column(rows: NDArray[np.float32], places: NDArray[np.intp] | None = None) -> SparseColumn:
    chosen = np.arange(len(rows)) if places is None else places
    return SparseColumn(csr_array(rows), chosen)


MOSTLY_ZERO = st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 0.5])


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (5, 7), elements=MOSTLY_ZERO),
    arrays(np.float32, (23, 7), elements=MOSTLY_ZERO),
    st.integers(1, 30),
    st.booleans(),
)
def test_the_nearest_in_blocks_are_the_nearest(
    queries: NDArray[np.float32], documents: NDArray[np.float32], count: int, cosine: bool
) -> None:
    places = np.arange(23)[::-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "QUERIES", 2)
        patch.setattr(search, "DOCUMENTS", 5)
        found, scores = nearest_sparse(
            column(queries), column(documents, places), count, cosine=cosine
        )
    a, b = queries, documents[places]
    if cosine:
        a, b = (
            np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)
            for x, norm in ((y, np.linalg.norm(y, axis=1, keepdims=True)) for y in (a, b))
        )
    expected = a @ b.T
    assert found.shape == (5, min(count, 23))
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :count], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(expected, found, axis=1), scores, atol=1e-6)
    if not cosine:
        # Exact in float32: of equal ones the first goes first.
        order = np.argsort(-expected, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(found, order)


@given(arrays(np.float32, (6, 4), elements=st.sampled_from([0.0, 0.0, 0.25, 3.0])))
def test_rows_of_norm_one(rows: NDArray[np.float32]) -> None:
    norms = np.linalg.norm(normalised(csr_array(rows)).toarray(), axis=1)
    np.testing.assert_allclose(norms, (rows != 0).any(axis=1), atol=1e-6)


def stub(rows: NDArray[np.float32]) -> Any:
    return lambda texts, role: csr_array(rows[: len(texts)])


COLUMNS = {("t", "text"): Column(["a", "bb", "ccc"])}


def test_what_is_too_large_for_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_vectors, "MOST_BYTES", 30)
    rows = np.eye(3, dtype=np.float32)
    with pytest.raises(CellError, match="sparse vectors of 3 texts take"):
        encode_sparse(stub(rows), COLUMNS, Silent())


@pytest.mark.parametrize(
    ("size", "batches"), [(None, [["a", "bb", "ccc"]]), (2, [["a", "bb"], ["ccc"]])]
)
def test_a_batch_has_no_more_texts_than_asked(size: int | None, batches: list[list[str]]) -> None:
    asked: list[list[str]] = []

    def encode(texts: Sequence[str], role: str | None) -> csr_array:
        asked.append([*texts])
        return csr_array(np.array([[len(text), 0] for text in texts], dtype=np.float32))

    shuffled = ["ccc", "a", "bb", "a"]
    found = encode_sparse(encode, {("t", "text"): Column(shuffled)}, Silent(), size)
    assert asked == batches
    rows = found.sparse["t", "text"][:].toarray()
    np.testing.assert_array_equal(rows[:, 0], [len(text) for text in shuffled])
    assert (found.texts, found.distinct, found.size) == (4, 3, 2)


def test_a_number_that_is_none_is_told_with_its_text() -> None:
    rows = np.eye(3, dtype=np.float32)
    rows[1, 1] = np.nan
    with pytest.raises(CellError, match="NaN or infinity for the text 'bb'"):
        encode_sparse(stub(rows), COLUMNS, Silent())
    with pytest.raises(CellError, match=r"shape \(2, 3\) for 3 texts"):
        encode_sparse(stub(rows[:2]), COLUMNS, Silent())


def test_a_bare_masked_language_model_is_read_as_splade(
    bench: Bench, model: Path, tmp_path: Path
) -> None:
    bare = model.parent / "bare"
    scorer: Any = build_method(f"sparse@{bare}")[0].encoder
    assert isinstance(scorer, SparseScorer)
    expected = library(bare).encode(TEXTS, show_progress_bar=False).to_dense().numpy()
    found = scorer.encode_sparse(TEXTS, None)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)
    _, err = run(bench, write_suite(tmp_path), f"sparse@{bare}")
    assert "is a masked language model, read as SPLADE" in err


def test_kinds_and_tasks_agree_on_what_can_be_scored() -> None:
    assert {kind for kind in KINDS if "sparse" in scored_from(kind)} == {
        kind for kind, task in TASKS.items() if issubclass(task, PairTask | SearchTask)
    }


def test_other_kinds_refuse_before_anything_is_read(bench: Bench, model: Path) -> None:
    code, _, err = bench("run", "--suite", "mini", "--methods", f"sparse@{model}")
    assert code == 2
    line = (
        "task Intent of kind classification needs dense vectors of texts, and sparse gives sparse "
        "ones; it runs on suites of sts, pair_classification, reranking, retrieval"
    )
    assert line in err
    assert [one.startswith("bench: ") for one in err.splitlines() if "shards" not in one] == [True]


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("sparse", "sparse needs a checkpoint: sparse@FOLDER"),
        ("quantize[kind=binary,of=sparse@{model}]", "quantize maps one vector a text, which"),
    ],
)
def test_what_is_refused_when_it_is_planned(
    bench: Bench, model: Path, tmp_path: Path, spec: str, line: str
) -> None:
    spec = spec.format(model=model)
    code, _, err = bench("run", "--suite", write_suite(tmp_path), "--methods", spec)
    assert code == 2
    assert line in err


def test_what_is_no_sparse_encoder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no sparse encoder, so that what makes it one"):
        build_method(f"sparse@{tiny_bert(tmp_path / 'bert')}")
    saved = tmp_path / "vectors"
    tiny_sentence_transformer(tmp_path / "tiny").save_pretrained(str(saved))
    with pytest.raises(DataError, match="is no sparse encoder"):
        build_method(f"sparse@{saved}")
    distances = tiny_splade(tmp_path / "distances", similarity="euclidean")
    with pytest.raises(UsageError, match="the checkpoint says euclidean"):
        build_method(f"sparse@{distances}")


def test_it_has_no_dense_vectors(model: Path) -> None:
    with pytest.raises(CellError, match="gives sparse vectors, which are too large to be dense"):
        build_method(f"sparse@{model}")[0].encoder.encode(["a text"])


def test_the_contract_is_checked(bench: Bench, model: Path) -> None:
    code, out, _ = bench("check", f"sparse@{model}")
    assert code == 0
    assert "vectors are finite, of shape (n, V)" in out
