"""Suites as evaluators of a training: scores are those of a run, and choose the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from bench.core.errors import UsageError
from bench.integrations.sentence_transformers import SuiteEvaluator
from bench.records.files import find_records, read_record
from tests.support.models import tiny_cross_encoder, tiny_sentence_transformer
from tests.support.suites import WORDS, Bench, write_suite


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return tiny_sentence_transformer(tmp_path / "tiny")


def scores_of_a_run(bench: Bench, suite: Path | str, folder: Path) -> dict[str, float]:
    code, _, err = bench("run", "--suite", suite, "--methods", f"sbert@{folder}")
    assert code == 0, err
    (path,) = find_records([Path("results/runs")])
    record = read_record(path)
    return {name: task.main for name, task in record.tasks.items()} | {"Avg": record.average}


@pytest.mark.parametrize("prompts", ["", '[prompts]\nsts = "alike? "\n'])
def test_scores_are_those_of_a_run(
    bench: Bench, model: SentenceTransformer, tmp_path: Path, prompts: str
) -> None:
    suite = write_suite(tmp_path)
    suite.write_text(suite.read_text().replace("[[tasks]]", f"{prompts}[[tasks]]"))
    model.save_pretrained(str(tmp_path / "saved"))
    expected = scores_of_a_run(bench, suite, tmp_path / "saved")
    evaluator = SuiteEvaluator(suite)
    assert evaluator(model) == {
        f"small_{name}": pytest.approx(score, abs=1e-9) for name, score in expected.items()
    }
    assert evaluator.primary_metric == "small_Avg"


def test_all_kinds_of_the_embedded_suite(
    bench: Bench, model: SentenceTransformer, tmp_path: Path
) -> None:
    model.save_pretrained(str(tmp_path / "saved"))
    expected = scores_of_a_run(bench, "mini", tmp_path / "saved")
    scores = SuiteEvaluator("mini", name="now", offline=True)(model)
    assert scores == {
        f"now_{name}": pytest.approx(score, abs=1e-9) for name, score in expected.items()
    }


def test_a_model_that_changes_is_scored_as_it_is(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    evaluator = SuiteEvaluator(write_suite(tmp_path))
    model.train()
    before = evaluator(model)
    assert model.training
    assert evaluator(model) == before
    with_noise: Any = next(iter(model[0].model.parameters()))
    with_noise.data.add_(with_noise.data.flip(0))
    assert evaluator(model) != before
    model.eval()
    evaluator(model)
    assert not model.training
    # The last scores are in the model's card.
    assert "small_Avg" in str(model.model_card_data.eval_results_dict)


def test_a_real_training_keeps_the_best_checkpoint(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    evaluator = SuiteEvaluator(write_suite(tmp_path))
    rows = Dataset.from_dict(
        {
            "anchor": [f"the {word}" for word in WORDS[:8]],
            "positive": [f"a {word} there" for word in WORDS[:8]],
        }
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "out"),
            max_steps=2,
            per_device_train_batch_size=4,
            learning_rate=0.05,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
            load_best_model_at_end=True,
            metric_for_best_model="eval_small_Avg",
            report_to="none",
            use_cpu=True,
            seed=0,
        ),
        train_dataset=rows,
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    logged = [log for log in trainer.state.log_history if "eval_small_Avg" in log]
    assert [log["step"] for log in logged] == [1, 2]
    averages = [log["eval_small_Avg"] for log in logged]
    assert averages[0] != averages[1]
    assert trainer.state.best_metric == max(averages)
    assert evaluator(model)["small_Avg"] == pytest.approx(max(averages), abs=1e-6)


def test_what_cannot_be_an_evaluator(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"task .* scores what a method predicts itself"):
        SuiteEvaluator("intent-supervised")
    with pytest.raises(UsageError, match="unknown suite 'minni'"):
        SuiteEvaluator("minni")
    from sentence_transformers import CrossEncoder

    cross: Any = CrossEncoder(str(tiny_cross_encoder(tmp_path / "cross")), device="cpu")
    with pytest.raises(UsageError, match="not of CrossEncoder"):
        SuiteEvaluator(write_suite(tmp_path))(cross)
