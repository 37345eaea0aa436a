"""Models of mteb's registry: mteb's own vectors and prompts, and scores that equal mteb's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb.models.model_implementations import MODEL_REGISTRY
from mteb.models.model_meta import ModelMeta
from sentence_transformers import SentenceTransformer

from bench.api import build_method, make_settings
from bench.core.errors import BenchError, DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.encoding.encoder import TaskLabel
from bench.method import make_method
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from tests.support.models import tiny_sentence_transformer
from tests.support.mteb_models import NAME, register_model
from tests.support.suites import WORDS, Bench

PROMPTS = {
    "query": "query: ",
    "document": "document: ",
    "STS": "alike? ",
    "STS12": "twelve ",
    "Retrieval-query": "search: ",
}
TEXTS = [f"the {a} and the {b}" for a in WORDS for b in WORDS[:3]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelMeta]:
    """Puts a made model into mteb's registry."""
    tiny_sentence_transformer(tmp_path / "tiny").save_pretrained(str(tmp_path / "saved"))

    def put(**facts: Any) -> ModelMeta:
        return register_model(tmp_path / "saved", monkeypatch, prompts=PROMPTS, **facts)

    return put


def plain_vectors(tmp_path: Path, prompt: str) -> Any:
    model = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    return model.encode(TEXTS, prompt=prompt)


@pytest.mark.parametrize(
    ("role", "task", "prompt"),
    [
        (None, None, "alike? "),
        (None, TaskLabel("sts", "STS12"), "twelve "),
        (None, TaskLabel("sts", "Mine"), "alike? "),
        (None, TaskLabel("classification", "Mine"), ""),
        ("query", TaskLabel("retrieval", "Mine"), "search: "),
        ("document", TaskLabel("retrieval", "Mine"), "document: "),
        ("query", TaskLabel("reranking", "Mine"), "query: "),
    ],
)
def test_prompts_are_chosen_by_mteb(
    register: Callable[..., ModelMeta],
    tmp_path: Path,
    role: str | None,
    task: TaskLabel | None,
    prompt: str,
) -> None:
    register()
    encoder: Any = build_method(f"mteb@{NAME}")[0].encoder
    vectors = encoder.encode(TEXTS, role=role, task=task)
    np.testing.assert_allclose(vectors, plain_vectors(tmp_path, prompt), atol=1e-6)
    assert sum(one.numel() for one in encoder.parameters()) > 0


def write_suite(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    rows = [
        {"sentence1": TEXTS[i], "sentence2": TEXTS[(i * 7) % 30], "score": float(i % 6)}
        for i in range(30)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = "".join(
        f'[[tasks]]\nname = "{name}"\nkind = "sts"\ndata = {{ file = "rows.jsonl" }}\n{extra}'
        for name, extra in (("Mine", ""), ("Twelve", 'mteb = "STS12"\n'))
    )
    path = folder / "two.toml"
    path.write_text(
        'name = "two"\ntitle = "The same rows twice"\nconvention = "mteb"\n'
        f'average = ["Mine", "Twelve"]\n{tasks}'
    )
    return path, rows


def test_scores_are_those_of_mteb_and_tasks_share_no_vectors(
    bench: Bench, register: Callable[..., ModelMeta], tmp_path: Path
) -> None:
    meta = register()
    suite, rows = write_suite(tmp_path)
    code, _, err = bench("run", "--suite", suite, "--methods", f"mteb@{NAME}")
    assert code == 0, err
    (path,) = find_records([Path("results/runs")])
    record: Record = read_record(path)
    task: Any = mteb.get_task("STS12")
    task.dataset = DatasetDict(test=Dataset.from_list(rows))
    task.data_loaded = True
    results = mteb.evaluate(meta.load_model(device="cpu"), task, cache=None)
    score = results.task_results[0].get_score()
    assert record.tasks["Twelve"].main == pytest.approx(score, abs=1e-6)
    assert record.tasks["Twelve"].main != record.tasks["Mine"].main
    distinct = len({text for row in rows for text in (row["sentence1"], row["sentence2"])})
    assert record.encoding.distinct == 2 * distinct
    assert record.method.checkpoint == NAME


def identity(spec: str = f"mteb@{NAME}") -> str:
    parsed = parse_method_spec(spec)
    method = make_method(parsed, "local")
    return make_settings(profile="local").models.identity(method)


def test_the_entry_of_the_registry_is_the_identity(register: Callable[..., ModelMeta]) -> None:
    register()
    usual = identity()
    register(revision="2")
    other = identity()
    register(loader_kwargs={"model_prompts": {**PROMPTS, "query": "q: "}})
    assert len({usual, other, identity()}) == 3
    register()
    assert identity() == usual


def test_files_of_the_hub_are_looked_for_by_their_commit(
    register: Callable[..., ModelMeta],
) -> None:
    register(revision="0" * 40)
    with pytest.raises(DataError, match=f"{NAME}@0000000.* is not in the local hub cache"):
        build_method(f"mteb@{NAME}", offline=True)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"model_type": ["cross-encoder"]}, f"write cross@{NAME}"),
        ({"model_type": ["sparse"]}, f"write sparse@{NAME}"),
        ({"model_type": ["late-interaction"]}, "it cannot be run here"),
        ({"modalities": ["image"]}, "reads no texts, but image"),
        ({"loader": None}, "cannot load it"),
    ],
)
def test_what_gives_no_vector_of_a_text(
    register: Callable[..., ModelMeta], facts: dict[str, Any], message: str
) -> None:
    register(**facts)
    with pytest.raises(UsageError, match=message):
        build_method(f"mteb@{NAME}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mteb", "mteb needs the name of a model in its registry"),
        ("mteb@made/tinny", "mteb's registry has no model 'made/tinny'; did you mean 'made/tiny'"),
    ],
)
def test_unknown_names(register: Callable[..., ModelMeta], spec: str, message: str) -> None:
    register()
    with pytest.raises(UsageError, match=message):
        build_method(spec)


def test_code_of_a_checkpoint_is_not_run(register: Callable[..., ModelMeta]) -> None:
    def loader(name: str, revision: str, device: str | None = None, **_: Any) -> Any:
        from transformers.dynamic_module_utils import get_class_from_dynamic_module

        return get_class_from_dynamic_module("modeling.Evil", name)

    register(loader=loader)
    with pytest.raises(DataError, match=f"{NAME} needs to run code of its own checkpoint"):
        build_method(f"mteb@{NAME}")


def test_what_a_loader_says_is_told(register: Callable[..., ModelMeta]) -> None:
    def loader(name: str, revision: str, **_: Any) -> Any:
        raise ImportError("it needs flash-attn\nand more")

    register(loader=loader)
    with pytest.raises(BenchError, match=f"mteb cannot load {NAME}: it needs flash-attn$"):
        build_method(f"mteb@{NAME}")


def test_a_model_that_someone_else_runs_may_change(
    bench: Bench, register: Callable[..., ModelMeta], tmp_path: Path
) -> None:
    scale = [1.0]

    class Served:
        def encode(self, inputs: Any, **_: Any) -> Any:
            texts = [text for batch in inputs for text in batch["text"]]
            return np.array([[scale[0] * len(text), 1, ord(text[4])] for text in texts])

    register(loader=lambda name, revision, device=None: Served(), loader_kwargs={})
    MODEL_REGISTRY[NAME] = MODEL_REGISTRY[NAME].model_copy(update={"framework": ["API"]})
    suite, _ = write_suite(tmp_path)
    arguments = ("run", "--suite", suite, "--methods", f"mteb@{NAME}", "--rerun", "all")
    assert bench(*arguments)[0] == 0
    assert bench(*arguments)[0] == 0
    scale[0] = -1
    code, _, err = bench(*arguments)
    assert code == 3
    assert "another model answers now" in err
