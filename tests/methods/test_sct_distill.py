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
from bench.core.errors import UsageError
from bench.method import named_method
from bench.methods.losses.cross_view import CrossViewLoss, CrossViewSettings, cross_view_loss
from bench.methods.losses.distilled_view import DistilledViewLoss
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.support.specs import acting

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
    joint = options.pop("joint", None)
    teacher = rows(N, 1), rows(N, 2)
    return DistilledViewLoss(model, teacher, views(**options), seed=0, joint=joint)


def views(**options: Any) -> CrossViewSettings:
    usual = {"queue_size": K, "tau_ref": 0.04, "tau_on": 0.05, "projector": "none"}
    return CrossViewSettings(**{**usual, **options})


def students() -> tuple[torch.Tensor, torch.Tensor]:
    return functional.normalize(rows(B, 3), dim=1), functional.normalize(rows(B, 4), dim=1)


def test_the_teacher_is_the_reference(model: SentenceTransformer) -> None:
    loss, picked = make(model), torch.tensor([7, 0, 3, 11])
    teachers = [functional.normalize(rows(N, seed), dim=1)[picked] for seed in (1, 2)]
    queues = [loss.queue1.rows.clone(), loss.queue2.rows.clone()]
    expected = cross_view_loss(*students(), *teachers, *queues, tau_ref=0.04, tau_on=0.05)
    torch.testing.assert_close(loss.compare(*students(), *teachers), expected)
    torch.testing.assert_close(loss.queue1.ordered()[-B:], teachers[0])
    torch.testing.assert_close(loss.queue2.ordered()[-B:], teachers[1])


def test_a_student_equal_to_its_teacher_costs_nothing(model: SentenceTransformer) -> None:
    same = rows(N, 1)
    equal = views(tau_ref=0.05, tau_on=0.05, shared_queue=True)
    loss = DistilledViewLoss(model, (same, same), equal, seed=0)
    unit = functional.normalize(same, dim=1)[:B]
    taught = loss.teacher1[:B], loss.teacher2[:B]
    assert loss.compare(unit, unit, *taught).item() == pytest.approx(0, abs=1e-5)


def test_rows_find_their_teachers_vectors(model: SentenceTransformer) -> None:
    model.eval()
    features = [model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])]
    loss, picked = make(model), torch.tensor([7.0, 0.0, 3.0])
    online = [loss.online(view) for view in features]
    taught = [teacher[picked.long()] for teacher in (loss.teacher1, loss.teacher2)]
    torch.testing.assert_close(loss(features, picked), loss.compare(*online, *taught))
    assert loss(features, picked).item() != loss(features, picked.flip(0)).item()


SWITCHES = [
    {"view": "identical"},
    {"half": True},
    {"kind": "ce"},
    {"shared_queue": True},
    {"projector": "mlp"},
    {"projector": "residual"},
    {"queue_size": 0},
]


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_every_switch_changes_the_loss(model: SentenceTransformer, switch: Any) -> None:
    model.eval()
    features, numbers = [model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])], torch.arange(3.0)
    usual, switched = make(model)(features, numbers), make(model, **switch)(features, numbers)
    assert abs(usual.item() - switched.item()) > 1e-6


def test_a_frozen_queue_keeps_its_rows(model: SentenceTransformer) -> None:
    for frozen in (False, True):
        loss = make(model, frozen_queue=frozen)
        before = loss.queue1.ordered()
        loss.compare(*students(), loss.teacher1[:B], loss.teacher2[:B])
        assert torch.equal(loss.queue1.ordered(), before) is frozen


def test_the_joint_loss_is_the_sum(model: SentenceTransformer) -> None:
    model.eval()
    own = CrossViewLoss(model, views(projector="mlp"), seed=0)
    features = [model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])]
    numbers = torch.arange(3.0)
    both = make(model, joint=own)(features, numbers)
    torch.testing.assert_close(both, make(model)(features, numbers) + own(features, None))


def test_teacher_vectors_are_no_part_of_a_checkpoint(model: SentenceTransformer) -> None:
    names = make(model).state_dict()
    assert "queue1.rows" in names
    assert not any("teacher" in name for name in names)


def test_sizes_must_agree(model: SentenceTransformer) -> None:
    with pytest.raises(ValueError, match="the student has 16 dimensions, the teacher 8"):
        DistilledViewLoss(model, (rows(N, 1)[:, :8],) * 2, views(), seed=0)


def train(tmp_path: Path, teacher: str, **options: Any) -> tuple[SentenceTransformer, str]:
    corpus = tmp_path / "pairs.tsv"
    corpus.write_text("".join(f"text {i}\tthe text {i}\n" for i in range(40)))
    base = tiny_bert(tmp_path / "tiny")
    inner = {"base": base, "corpus": corpus, "dev": "false", "batch_size": 8, "max_steps": 4}
    inner |= {"queue_size": 8, "sentences": 40, "lr": 1e-2, "student": "", **options}
    spec = acting("sct-distill", {**inner, "teacher": teacher})
    built, _ = build_method(spec)
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder, built.fingerprint


@pytest.mark.nightly
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


def student_of(options: str, profile: str = "local") -> Any:
    method = named_method(f"sct-distill[{options}]", profile)
    assert method is not None
    student = named_method(method.parents[0], profile)
    assert student is not None
    return student.config


def test_the_student_learns_from_the_same_text() -> None:
    assert student_of("") == named_method("sct", "local").config
    mine = student_of("corpus=pydoc,sentences=9000,views=mlm15,mlm=minilm-l2,base=minilm")
    assert (mine.corpus, mine.sentences, mine.views, mine.mlm) == (
        "pydoc",
        9000,
        "mlm15",
        "minilm-l2",
    )
    assert mine.base == "minilm"
    named = student_of("views=dropout,student=sct[views=synonym1]")
    assert named.views == "synonym1"
    assert student_of("views=dropout,student=simcse").base == "minilm-l2"
    assert student_of("", "paper") == named_method("sct", "paper").config


def test_momentum_needs_references_of_its_own() -> None:
    with pytest.raises(UsageError, match="momentum does nothing here; it is of SCT's own ref"):
        named_method("sct-distill[momentum=0.9]", "local")
    with pytest.raises(UsageError, match="momentum does nothing here"):
        named_method("sct-distill[momentum=0.9,student=sct[base=minilm]]", "local")
    assert named_method("sct-distill[momentum=0.9,joint=true]", "local") is not None


# The read-me of the authors' code.
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("tiny", (5e-4, 131_072, 0.03, 0.04)),
        ("mini", (1e-4, 65_536, 0.04, 0.05)),
        ("small", (1e-4, 131_072, 0.04, 0.05)),
        ("base", (1e-4, 65_536, 0.04, 0.05)),
    ],
)
def test_the_published_settings_of_every_size(size: str, expected: Any) -> None:
    specs = f"sct-distill[size={size}]", f"sct[size={size}]"
    method, alone = (named_method(spec, "paper") for spec in specs)
    assert method is not None and alone is not None
    config: Any = method.config
    assert (config.lr, config.queue_size, config.tau_ref, config.tau_on) == expected
    student = named_method(method.parents[0], "paper")
    assert student is not None
    assert student.config == alone.config
    with pytest.raises(UsageError, match="size"):
        named_method("sct-distill[size=large]", "paper")


def test_a_student_keeps_the_base_that_it_names() -> None:
    other = "student=sct[base=minilm]"
    assert student_of(other).base == student_of(f"{other},size=tiny", "paper").base == "minilm"
    assert student_of("student=sct[size=mini],size=tiny", "paper").lr == 3e-4
