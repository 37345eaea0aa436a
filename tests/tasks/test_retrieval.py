"""The retrieval kind: its scores are those of trec_eval and of mteb, and bad tables are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import pytrec_eval

from bench.core.errors import CellError
from bench.data.rows import Row
from bench.suite import Convention, RetrievalSpec
from bench.tasks import search
from bench.tasks.base import TaskScore
from bench.tasks.retrieval import CUTS, RetrievalTask
from tests.support.suites import Bench
from tests.tasks.test_equal_to_mteb import bag, text, theirs

Tables = dict[str, list[Row]]
MEASURES = {
    "map": "map",
    **{f"ndcg_at_{cut}": f"ndcg_cut_{cut}" for cut in CUTS},
    **{f"recall_at_{cut}": f"recall_{cut}" for cut in CUTS},
    **{f"precision_at_{cut}": f"P_{cut}" for cut in CUTS},
}


def spec(**fields: Any) -> RetrievalSpec:
    tables = {} if "data" in fields else dict.fromkeys(("corpus", "queries", "qrels"), "x")
    return RetrievalSpec.model_validate({"name": "T", "kind": "retrieval", **tables, **fields})


def collection(documents: int = 90, queries: int = 25) -> Tables:
    """Graded judgments, documents that are equal, titles, and an empty document."""
    rng = np.random.default_rng(3)
    corpus: list[Row] = [
        {"id": f"d{i}", "title": text(i) if i % 3 == 0 else None, "text": text(i // 2)}
        for i in range(documents)
    ]
    corpus.append({"id": "empty", "title": "", "text": " "})
    asked: list[Row] = [
        {"id": f"d{i}" if i % 5 else f"q{i}", "text": text(i)} for i in range(queries)
    ]
    qrels: list[Row] = [
        {"query_id": row["id"], "document_id": f"d{document}", "score": int(rng.integers(-1, 4))}
        for row in asked[2:]
        for document in rng.choice(documents, 6, replace=False)
    ]
    # Nothing is relevant to one, and a relevant document of another is not in the corpus.
    for row in qrels:
        if row["query_id"] == asked[3]["id"]:
            row["score"] = 0
    qrels.append({"query_id": asked[4]["id"], "document_id": "lost", "score": 2})
    return {"corpus": corpus, "queries": asked, "qrels": qrels}


def score(
    tables: Mapping[str, Sequence[Row]], convention: Convention = "senteval", **fields: Any
) -> TaskScore:
    task = RetrievalTask(spec(**fields), tables, convention)
    vectors = {name: bag(column.texts) for name, column in task.texts().items()}
    return task.score(vectors, 0)


def text_of(row: Row) -> str:
    return f"{row.get('title') or ''} {row['text']}".strip()


def judgments(tables: Tables) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in tables["qrels"]:
        found.setdefault(row["query_id"], {})[row["document_id"]] = row["score"]
    return found


def run_of(tables: Tables, depth: int, *, drop: bool) -> dict[str, dict[str, float]]:
    """What a plain product finds, each text alone: equal texts have equal scores."""
    documents = {row["id"]: text_of(row) for row in tables["corpus"]}

    def unit(of: str) -> np.ndarray:
        vector = bag([of])[0].astype(np.float64)
        return vector / np.linalg.norm(vector)

    run = {}
    for row in tables["queries"]:
        cosines = {
            one: float(np.float32(unit(of) @ unit(row["text"]))) for one, of in documents.items()
        }
        if drop:
            cosines.pop(row["id"], None)
        best = sorted(cosines.items(), key=lambda item: (item[1], item[0]), reverse=True)[:depth]
        run[row["id"]] = dict(best)
    return run


@pytest.mark.parametrize("drop", [False, True])
def test_every_query_scores_as_by_trec_eval(drop: bool) -> None:
    tables = collection()
    found = score(tables, same_id="drop" if drop else "keep")
    qrels = judgments(tables)
    names = {"map", "ndcg_cut", "recall", "P"}
    by_query = pytrec_eval.RelevanceEvaluator(
        qrels, {"map", *(f"{name}.{','.join(map(str, CUTS))}" for name in names - {"map"})}
    ).evaluate(run_of(tables, 1000, drop=drop))
    asked = [row["id"] for row in tables["queries"] if row["id"] in qrels]
    assert len(asked) == len(by_query) == found.metrics["queries"] == 23
    for mine, its in MEASURES.items():
        expected = [by_query[one][its] for one in asked]
        assert found.metrics[mine] == pytest.approx(np.mean(expected), abs=1e-6), mine
    assert found.items is not None
    expected = [by_query[one]["ndcg_cut_10"] for one in asked]
    np.testing.assert_allclose(found.items["value"], expected, atol=1e-6)
    assert found.main == found.metrics["ndcg_at_10"]


@pytest.mark.parametrize(("name", "same_id"), [("NFCorpus", "keep"), ("ArguAna", "drop")])
def test_scores_are_those_of_mteb(name: str, same_id: str) -> None:
    tables = collection()
    found = score(tables, "mteb", same_id=same_id)
    rows = [{**row, "title": row["title"] or ""} for row in tables["corpus"]]
    data = {
        "corpus": datasets.Dataset.from_list(rows),
        "queries": datasets.Dataset.from_list(tables["queries"]),
        "relevant_docs": judgments(tables),
        "top_ranked": None,
    }
    expected = theirs(name, {"default": {"test": data}})
    assert found.metrics["mrr_at_10"] == pytest.approx(expected["mrr_at_10"], abs=1e-6)
    # mteb rounds these to five decimals.
    for measure in ("ndcg", "recall", "precision"):
        for cut in CUTS:
            its = expected[f"{measure}_at_{cut}"]
            assert round(found.metrics[f"{measure}_at_{cut}"], 5) == pytest.approx(its, abs=1e-6)
    assert round(found.metrics["map"], 5) == pytest.approx(expected["map_at_1000"], abs=1e-6)
    assert found.main == pytest.approx(expected["main_score"], abs=6e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score(collection())
    monkeypatch.setattr(search, "DOCUMENTS", 7)
    monkeypatch.setattr(search, "QUERIES", 4)
    assert score(collection()).metrics == pytest.approx(whole.metrics, abs=1e-12)


def test_more_documents_than_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tasks.retrieval.DEPTH", 12)
    tables = collection()
    found = score(tables)
    by_query = pytrec_eval.RelevanceEvaluator(judgments(tables), {"map"}).evaluate(
        run_of(tables, 12, drop=False)
    )
    expected = np.mean([one["map"] for one in by_query.values()])
    assert found.metrics["map"] == pytest.approx(expected, abs=1e-6)


def test_what_counts_otherwise_is_said() -> None:
    tables = collection()
    tables["qrels"].append({"query_id": "nobody", "document_id": "d1", "score": 1})
    notes = " | ".join(RetrievalTask(spec(), tables, "senteval").notes())
    assert "2 of 25 queries have no judgments and are left out" in notes
    assert "judgments of 1 queries that are not in the table" in notes
    assert "1 queries have no relevant document and count as 0" in notes
    assert "1 relevant documents are not in the corpus" in notes


def test_a_relevant_document_is_a_positive_pair() -> None:
    tables = collection()
    task = RetrievalTask(spec(), tables, "senteval")
    columns, pairs = task.texts(), task.positive_pairs()
    documents = {row["id"]: text_of(row) for row in tables["corpus"]}
    asked = {row["id"]: row["text"] for row in tables["queries"]}
    expected = sorted(
        (asked[row["query_id"]], documents[row["document_id"]])
        for row in tables["qrels"]
        if row["score"] > 0 and row["document_id"] in documents
    )
    places = zip(pairs["query"], pairs["document"], strict=True)
    found = sorted((columns["query"].texts[a], columns["document"].texts[b]) for a, b in places)
    assert found == expected


def test_candidates_become_one_pool() -> None:
    rows = [
        {"query": "a", "positive": ["x"], "negative": ["y"]},
        {"query": "b", "positive": ["y"], "negative": ["z"]},
        {"query": "a", "positive": ["z"], "negative": ["x"]},
        {"query": "nothing", "positive": [], "negative": ["w"]},
    ]
    task = RetrievalTask(spec(data="x"), {"test": rows}, "senteval")
    columns = task.texts()
    assert sorted(columns["document"].texts) == ["w", "x", "y", "z"]
    assert list(columns["query"].texts) == ["a", "b"]
    pairs = zip(*task.positive_pairs().values(), strict=True)
    found = {(columns["query"].texts[a], columns["document"].texts[b]) for a, b in pairs}
    assert found == {("a", "x"), ("a", "z"), ("b", "y")}


def test_duplicates_of_duplicates_are_relevant_and_a_text_never_finds_itself() -> None:
    pairs = [("a", "b", 1), ("b", "c", 1), ("d", "e", 0), ("d", "f", 1), ("a", "a", 1)]
    rows = [{"sentence1": a, "sentence2": b, "label": label} for a, b, label in pairs]
    task = RetrievalTask(spec(data="x", rows="pairs"), {"test": rows}, "senteval")
    columns = task.texts()
    assert sorted(columns["query"].texts) == ["a", "b", "c", "d", "f"]
    assert sorted(columns["document"].texts) == ["a", "b", "c", "d", "e", "f"]
    # Equal vectors of what belongs together: all is found, itself left out.
    groups = {"a": 0, "b": 0, "c": 0, "d": 1, "f": 1, "e": 2}
    vectors = {
        name: np.eye(3, dtype=np.float32)[[groups[one] for one in column.texts]]
        for name, column in columns.items()
    }
    found = task.score(vectors, 0)
    assert found.main == 1
    assert found.metrics["precision_at_1"] == 1
    assert found.metrics["recall_at_1"] == pytest.approx((3 * 0.5 + 2) / 5)


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("corpus", {"id": "d1", "text": "again"}, "two documents have the id 'd1'"),
        ("queries", {"id": "q0", "text": "again"}, "two queries have the id 'q0'"),
        (
            "qrels",
            {"query_id": "q5", "document_id": "d0", "score": 0.5},
            "is 0.5; grades are whole",
        ),
        ("qrels", {"query_id": "q5", "document_id": "lost", "score": 7}, "as 1 and as 7"),
    ],
)
def test_bad_tables_are_refused(table: str, row: Row, message: str) -> None:
    tables = collection()
    tables["qrels"].append({"query_id": "q5", "document_id": "lost", "score": 1})
    tables[table].append(row)
    with pytest.raises(CellError, match=message):
        RetrievalTask(spec(), tables, "senteval")


def test_a_collection_without_answers_is_refused() -> None:
    tables = collection()
    for row in tables["qrels"]:
        row["score"] = 0
    with pytest.raises(CellError, match="no query has a relevant document"):
        RetrievalTask(spec(), tables, "senteval")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"corpus": "x", "queries": "x"},
        {"corpus": "x", "queries": "x", "qrels": "x", "data": "x"},
        {"corpus": "x", "queries": "x", "qrels": "x", "rows": "pairs"},
    ],
)
def test_an_entry_says_once_where_its_rows_are(fields: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match=r"corpus, queries and qrels|becomes? a corpus"):
        RetrievalSpec.model_validate({"name": "T", "kind": "retrieval", **fields})


SUITE = """\
name = "own"
title = "x"
convention = "senteval"
average = ["T"]
[[tasks]]
name = "T"
kind = "retrieval"
"""


def write_beir(folder: Path, tables: Tables) -> None:
    def lines(rows: Sequence[Row]) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    (folder / "qrels").mkdir(parents=True)
    # Ids may be numbers in one file, and are texts in the other.
    named = [{"_id": int(row["id"][1:]), **row} for row in tables["corpus"] if row["id"] != "empty"]
    for row in named:
        del row["id"]
    (folder / "corpus.jsonl").write_text(lines(named))
    asked = [{"_id": f"q{n}", "text": row["text"]} for n, row in enumerate(tables["queries"])]
    (folder / "queries.jsonl").write_text(lines(asked))
    judged = [f"q{n % 25}\t{n * 7 % 90}\t{n % 3}" for n in range(50)]
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n"
    )


def test_a_folder_of_beir(bench: Bench, tmp_path: Path) -> None:
    write_beir(tmp_path / "set", collection())
    (tmp_path / "own.toml").write_text(SUITE + 'data = { beir = "set" }\n')
    code, out, err = bench("run", "--suite", str(tmp_path / "own.toml"), "--methods", "good")
    assert code == 0, err
    assert "nDCG" in out or "T" in out


def test_three_files_score_as_the_folder(bench: Bench, tmp_path: Path) -> None:
    write_beir(tmp_path / "set", collection())
    for name, fields in {
        "folder": 'data = { beir = "set" }\n',
        "files": 'corpus = { file = "set/corpus.jsonl" }\n'
        'queries = { file = "set/queries.jsonl" }\n'
        'qrels = { file = "set/qrels/test.tsv" }\n'
        'columns = { id = "_id", query_id = "query-id", document_id = "corpus-id" }\n',
    }.items():
        (tmp_path / "own.toml").write_text(SUITE + fields)
        code, _, err = bench(
            "run", "--suite", str(tmp_path / "own.toml"), "--methods", "good", "--output", name
        )
        assert code == 0, err
    first, again = (
        json.loads(next(Path(name).rglob("*.json")).read_text())["tasks"]["T"]["metrics"]
        for name in ("folder", "files")
    )
    assert first == again


def test_a_limit_keeps_judged_documents(bench: Bench, tmp_path: Path) -> None:
    write_beir(tmp_path / "set", collection())
    (tmp_path / "own.toml").write_text(SUITE + 'data = { beir = "set" }\n')
    suite = str(tmp_path / "own.toml")
    code, _, err = bench("run", "--suite", suite, "--methods", "good", "--limit", "5")
    assert code == 0, err
    record = json.loads(next(Path("results").rglob("*.json")).read_text())
    metrics = record["tasks"]["T"]["metrics"]
    assert metrics["queries"] == 5
    assert 10 <= metrics["documents"] <= 20
    assert "not in the corpus" not in err


def test_a_missing_column_is_named(bench: Bench, tmp_path: Path) -> None:
    write_beir(tmp_path / "set", collection())
    path = tmp_path / "set/qrels/test.tsv"
    path.write_text(path.read_text().replace("corpus-id", "doc"))
    (tmp_path / "own.toml").write_text(SUITE + 'data = { beir = "set" }\n')
    code, _, err = bench("run", "--suite", str(tmp_path / "own.toml"), "--methods", "good")
    assert code != 0
    assert "corpus-id" in err
