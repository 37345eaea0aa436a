"""Cross-encoders: the library's own scores, each pair once, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sentence_transformers import CrossEncoder
from sklearn.metrics import average_precision_score

from bench.api import build_method
from bench.core.errors import BenchError, CellError, DataError, UsageError
from bench.integrations.mteb import as_mteb_encoder
from bench.method import PairScorer
from bench.methods.cross import CrossScorer
from bench.records.entries import Record
from bench.records.files import find_records, read_items, read_record
from bench.records.items import items_key
from bench.suite import KINDS, scored_from
from bench.tasks.base import PairTask
from bench.tasks.kinds import KINDS as TASKS
from tests.support.models import tiny_bert, tiny_cross_encoder, tiny_sentence_transformer
from tests.support.suites import WORDS, Bench, write_suite

PAIRS = [(f"the {a} is red", f"a {b} there, and nothing more") for a in WORDS for b in WORDS[:4]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_cross_encoder(tmp_path / "cross")


def of_library(folder: Path, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
    scores = CrossEncoder(str(folder), device="cpu").predict(list(pairs), show_progress_bar=False)
    return np.asarray(scores)


def run(bench: Bench, suite: Path, *specs: str) -> list[Record]:
    code, _, err = bench("run", "--suite", suite, "--methods", ",".join(specs))
    assert code == 0, err
    return [read_record(path) for path in find_records([Path("results/runs")])]


def write_all_kinds(folder: Path) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    """A suite of the kinds that compare pairs; pairs recur within and between its tasks."""
    texts = [f"the {word} by the {WORDS[-1 - i]}" for i, word in enumerate(WORDS)]
    pairs = [(texts[i % 10], texts[i * 3 % 10]) for i in range(24)]
    rows: dict[str, list[dict[str, Any]]] = {
        "sts": [{"sentence1": a, "sentence2": b, "score": i % 5} for i, (a, b) in enumerate(pairs)],
        "pair_classification": [
            {"sentence1": a, "sentence2": b, "label": i % 2} for i, (a, b) in enumerate(pairs)
        ],
        "reranking": [
            {"query": texts[i], "positive": [texts[i - 1]], "negative": texts[i + 1 : i + 4]}
            for i in range(6)
        ],
    }
    tasks = ""
    for kind, those in rows.items():
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in those))
        tasks += (
            f'[[tasks]]\nname = "{kind}"\nkind = "{kind}"\ndata = {{ file = "{kind}.jsonl" }}\n'
        )
    path = folder / "kinds.toml"
    path.write_text(
        'name = "kinds"\ntitle = "Pairs"\nconvention = "senteval"\n'
        f"average = {json.dumps([*rows])}\n{tasks}"
    )
    return path, rows


def average_precision(scores: NDArray[Any]) -> float:
    """Of a query whose first candidate alone is relevant."""
    return float(1 / (1 + (scores[1:] > scores[0]).sum()))


def test_scores_are_those_of_the_library(bench: Bench, model: Path, tmp_path: Path) -> None:
    suite, rows = write_all_kinds(tmp_path)
    (record,) = run(bench, suite, f"cross@{model}")
    tasks = record.tasks
    pairs = [(row["sentence1"], row["sentence2"]) for row in rows["sts"]]
    scores = of_library(model, pairs)
    gold = [row["score"] for row in rows["sts"]]
    labels = [row["label"] for row in rows["pair_classification"]]
    assert tasks["sts"].main == pytest.approx(spearmanr(scores, gold).statistic, abs=1e-9)
    ap = average_precision_score(labels, scores)
    assert tasks["pair_classification"].main == pytest.approx(ap, abs=1e-9)
    assert tasks["pair_classification"].metrics["similarity_ap"] == pytest.approx(ap, abs=1e-9)
    of_queries = [
        average_precision(
            of_library(model, [(row["query"], one) for one in row["positive"] + row["negative"]])
        )
        for row in rows["reranking"]
    ]
    assert tasks["reranking"].main == pytest.approx(np.mean(of_queries), abs=1e-9)
    (path,) = find_records([Path("results/runs")])
    items = read_items(path)
    found = items[items_key("sts", "similarity")]
    np.testing.assert_allclose(found, scores, atol=1e-6)
    for task in tasks.values():
        assert task.ci95 is not None
        assert task.items > 0
    assert record.dimension is None
    assert record.parameters == sum(one.numel() for one in CrossEncoder(str(model)).parameters())
    assert record.geometry == {}


def test_each_pair_is_scored_once(
    bench: Bench, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    original = CrossScorer.score_pairs

    def watched(self: CrossScorer, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        asked.extend(pairs)
        return original(self, pairs)

    monkeypatch.setattr(CrossScorer, "score_pairs", watched)
    suite, rows = write_all_kinds(tmp_path)
    (record,) = run(bench, suite, f"cross@{model}")
    wanted = [(row["sentence1"], row["sentence2"]) for row in rows["sts"] * 2]
    for row in rows["reranking"]:
        wanted += [(row["query"], one) for one in row["positive"] + row["negative"]]
    assert len(asked) == len(set(asked))
    assert set(asked) == set(wanted)
    assert record.encoding.texts == len(wanted)
    assert record.encoding.distinct == record.encoding.encoded == len(set(wanted))
    asked.clear()
    code, _, err = bench("run", "--suite", suite, "--methods", f"cross@{model}", "--rerun", "all")
    assert code == 0
    assert not asked
    assert f"{len(wanted)} pairs, {len(set(wanted))} distinct, 0 scored now" in err


def test_a_bare_classifier_of_transformers(tmp_path: Path, model: Path) -> None:
    bare = tmp_path / "bare"
    library = CrossEncoder(str(model), device="cpu")
    library[0].model.save_pretrained(bare)
    library[0].tokenizer.save_pretrained(bare)
    scorer = build_method(f"cross@{bare}")[0].encoder
    assert isinstance(scorer, PairScorer)
    np.testing.assert_allclose(scorer.score_pairs(PAIRS), of_library(bare, PAIRS), atol=1e-6)
    assert scorer.score_pairs(PAIRS[:1]).shape == (1,)


def test_an_activation_of_the_checkpoint_counts(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "raw", activation="Identity")
    scorer: Any = build_method(f"cross@{folder}")[0].encoder
    scores = scorer.score_pairs(PAIRS)
    np.testing.assert_allclose(scores, of_library(folder, PAIRS), atol=1e-6)
    usual: Any = build_method(f"cross@{tiny_cross_encoder(tmp_path / 'usual')}")[0].encoder
    np.testing.assert_allclose(usual.score_pairs(PAIRS), 1 / (1 + np.exp(-scores)), atol=1e-6)


def test_kinds_and_tasks_agree_on_what_can_be_scored() -> None:
    assert {kind for kind in KINDS if "pairs" in scored_from(kind)} == {
        kind for kind, task in TASKS.items() if issubclass(task, PairTask)
    }


def test_other_kinds_refuse_before_anything_is_read(bench: Bench, model: Path) -> None:
    code, _, err = bench("run", "--suite", "mini", "--methods", f"cross@{model}")
    assert code == 2
    line = (
        "cannot run on suite mini: task Intent of kind classification needs dense vectors of "
        "texts, and cross scores pairs of texts; it runs on suites of sts, pair_classification, "
        "reranking"
    )
    assert line in err
    assert len(err.strip().splitlines()) == 1
    code, _, err = bench("run", "--suite", "mteb:[STS12]", "--methods", f"cross@{model}")
    assert code == 2
    assert "task STS12 of kind mteb needs dense vectors" in err


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("cross", "cross needs a checkpoint: cross@FOLDER"),
        ("truncate[dim=3,of=cross@{cross}]", "truncate maps one vector a text, which cross@"),
    ],
)
def test_what_is_refused_when_it_is_planned(
    bench: Bench, model: Path, tmp_path: Path, spec: str, line: str
) -> None:
    spec = spec.format(cross=model)
    code, _, err = bench("run", "--suite", write_suite(tmp_path), "--methods", spec)
    assert code == 2
    assert line in err
    assert "Traceback" not in err


def test_what_has_no_score_of_a_pair(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no cross-encoder, so that its head would be random"):
        build_method(f"cross@{tiny_bert(tmp_path / 'bert')}")
    saved = tmp_path / "vectors"
    tiny_sentence_transformer(tmp_path / "tiny").save_pretrained(str(saved))
    with pytest.raises(DataError, match="is no cross-encoder"):
        build_method(f"cross@{saved}")
    three = tiny_cross_encoder(tmp_path / "three", labels=3)
    with pytest.raises(UsageError, match="gives 3 numbers a pair"):
        build_method(f"cross@{three}")


def test_weights_that_lack_the_head_are_refused(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = model / "model.safetensors"
    kept = {name: one for name, one in load_file(path).items() if "classifier" not in name}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(DataError, match="the weights lack classifier"):
        build_method(f"cross@{model}")


def test_it_has_no_vectors_of_texts(model: Path) -> None:
    with pytest.raises(CellError, match="has no vectors of texts by themselves"):
        build_method(f"cross@{model}")[0].encoder.encode(["a text"])
    with pytest.raises(BenchError, match="has no vectors of texts by themselves"):
        as_mteb_encoder(f"cross@{model}").encode([{"text": ["a text"]}])


def test_the_contract_is_checked(bench: Bench, model: Path) -> None:
    code, out, _ = bench("check", f"cross@{model}")
    assert code == 0
    assert "the order of pairs is kept" in out
