"""SCT with a teacher: the loss, its two stages, and what is kept at inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch.nn import functional

from bench.api import build_method
from bench.methods.losses.cross_view import CrossViewLoss, cross_view_loss
from bench.methods.losses.distilled_view import DistilledViewLoss
from tests.support.models import tiny_bert, tiny_sentence_transformer

N, B, U, K = 12, 4, 16, 6
TEXTS = ["a red kettle", "two dogs run", "rain"]


def rows(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, U, generator=generator)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model in training mode."""
    return tiny_sentence_transformer(tmp_path / "tiny").train()


def make(model: SentenceTransformer, **options: Any) -> DistilledViewLoss:
    settings = {"seed": 0, "queue_size": K, "tau_ref": 0.04, "tau_on": 0.05, **options}
    return DistilledViewLoss(model, (rows(N, 1), rows(N, 2)), **settings)


def students() -> tuple[torch.Tensor, torch.Tensor]:
    return functional.normalize(rows(B, 3), dim=1), functional.normalize(rows(B, 4), dim=1)


def test_the_teacher_is_the_reference(model: SentenceTransformer) -> None:
    loss, picked = make(model), torch.tensor([7, 0, 3, 11])
    teachers = [functional.normalize(rows(N, seed), dim=1)[picked] for seed in (1, 2)]
    queues = [loss.queue1.rows.clone(), loss.queue2.rows.clone()]
    expected = cross_view_loss(*students(), *teachers, *queues, tau_ref=0.04, tau_on=0.05)
    torch.testing.assert_close(loss.from_vectors(*students(), picked), expected)
    torch.testing.assert_close(loss.queue1.ordered()[-B:], teachers[0])
    torch.testing.assert_close(loss.queue2.ordered()[-B:], teachers[1])


def test_a_student_equal_to_its_teacher_costs_nothing(model: SentenceTransformer) -> None:
    same = rows(N, 1)
    loss = DistilledViewLoss(model, (same, same), seed=0, queue_size=K, tau_ref=0.05, tau_on=0.05)
    loss.queue2 = loss.queue1
    unit = functional.normalize(same, dim=1)[:B]
    assert loss.from_vectors(unit, unit, torch.arange(B)).item() == pytest.approx(0, abs=1e-5)


def test_the_joint_loss_is_the_sum(model: SentenceTransformer) -> None:
    model.eval()
    own = CrossViewLoss(model, seed=0, queue_size=K, tau_ref=0.04, tau_on=0.05)
    views = [model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])]
    numbers = torch.arange(3.0)
    both = make(model, joint=own)(views, numbers)
    torch.testing.assert_close(both, make(model)(views, numbers) + own(views, None))


def test_teacher_vectors_are_no_part_of_a_checkpoint(model: SentenceTransformer) -> None:
    names = make(model).state_dict()
    assert "queue1.rows" in names
    assert not any("teacher" in name for name in names)


def test_sizes_must_agree(model: SentenceTransformer) -> None:
    with pytest.raises(ValueError, match="the student has 16 dimensions, the teacher 8"):
        DistilledViewLoss(
            model, (rows(N, 1)[:, :8],) * 2, seed=0, queue_size=K, tau_ref=0.1, tau_on=0.1
        )


def train(tmp_path: Path, teacher: str, **options: Any) -> tuple[SentenceTransformer, str]:
    corpus = tmp_path / "pairs.tsv"
    corpus.write_text("".join(f"text {i}\tthe text {i}\n" for i in range(40)))
    base = tiny_bert(tmp_path / "tiny")
    inner = {"base": base, "corpus": corpus, "dev": "false", "batch_size": 8, "max_steps": 4}
    inner |= {"queue_size": 8, "sentences": 40, "lr": 1e-2, "student": "", **options}
    spec = f"sct-distill[{','.join(f'{k}={v}' for k, v in inner.items())},teacher={teacher}]"
    built, _ = build_method(spec)
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder, built.fingerprint


def test_any_method_can_teach_and_sizes_are_matched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    large = tiny_bert(tmp_path / "large", hidden=32)
    alone, _ = train(tmp_path, str(tiny_bert(tmp_path / "other")))
    widened, first = train(tmp_path, str(large))
    assert [len(list(model)) for model in (alone, widened)] == [2, 3]
    assert widened.encode(TEXTS).shape == (3, 32)
    by_random, other = train(tmp_path, "random")
    assert by_random.encode(TEXTS).shape == (3, 32)
    assert first != other
    widened.save_pretrained(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), widened.encode(TEXTS), atol=1e-6)


def test_joint_training_changes_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    teacher = str(tiny_bert(tmp_path / "other"))
    plain, joint = (
        train(tmp_path, teacher, joint=joint)[0].encode(TEXTS) for joint in ("false", "true")
    )
    assert not np.allclose(plain, joint, atol=1e-4)
