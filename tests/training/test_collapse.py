"""Trainings that turn all vectors one way end with an error; others do not notice the guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.core.errors import CellError
from bench.training.checkpoints import resume_point
from bench.training.collapse import TEXTS, CollapseGuard, Spread
from bench.training.trainer import TrainSettings, train
from tests.support.models import tiny_sentence_transformer
from tests.training.test_trainer import SETTINGS, Contrast, context, run

LETTERS = [(letter * 5, f"{letter * 4} a") for letter in "abcdefghijklmnopqrst"]


class Together(Contrast):
    """Draws all vectors of a batch to their mean's direction."""

    def forward(self, features, labels):
        vectors = torch.cat([self.encoder(f)["sentence_embedding"] for f in features])
        units = torch.nn.functional.normalize(vectors, dim=1)
        return 1 - (units @ units.T).mean()


class Flat(Contrast):
    """Draws all vectors to one line, the half of them to its other end."""

    def forward(self, features, labels):
        first, second = (self.encoder(f)["sentence_embedding"] for f in features)
        line = torch.zeros(16)
        line[0] = 1
        return (first - 3 * line).square().mean() + (second + 3 * line).square().mean()


def train_wide(folder: Path, loss: type[Contrast], settings: TrainSettings) -> None:
    """Train a model whose vectors begin in different directions."""
    model = tiny_sentence_transformer(folder / "tiny")
    with torch.no_grad():
        model[0].model.embeddings.word_embeddings.weight.mul_(30)
    assert Spread.of(model, [one for one, _ in LETTERS]).cosine < 0.5
    train(model, loss(model), LETTERS, settings, context(folder))


def test_a_collapsed_model_is_no_model(tmp_path: Path) -> None:
    words = r"collapsed by step \d+: 20 of the training's texts have mean cosine 0\.9\d+, .* lr"
    with pytest.raises(CellError, match=words) as raised:
        train_wide(tmp_path, Together, replace(SETTINGS, epochs=40))
    step = int(str(raised.value).split("step ")[1].split(":")[0])
    # The collapsed one is never sealed, so that nothing goes on from it.
    point = resume_point(tmp_path / "work" / "checkpoints")
    assert point is not None
    assert int(point.name.split("-")[1]) < step


@pytest.mark.nightly
def test_the_last_steps_are_looked_at_too(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=40, checkpoint_every=10_000)
    with pytest.raises(CellError, match="collapsed by step 200"):
        train_wide(tmp_path, Together, settings)


@pytest.mark.nightly
def test_contrast_is_left_alone_to_the_last_bit(tmp_path: Path, monkeypatch: Any) -> None:
    model, _, summary = run(tmp_path / "one")
    monkeypatch.setattr(CollapseGuard, "check", lambda self, step: None)
    other, _, _ = run(tmp_path / "two")
    assert summary["steps"] == 15
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_line_has_a_small_rank_whatever_the_cosine() -> None:
    rng = np.random.default_rng(0)
    wide = Spread(cosine=0.0, rank=60.0)
    line = rng.choice([-1.0, 1.0], size=(50, 1)) * np.ones((1, 64))
    assert Spread.of(_Fixed(line), [""] * 50).collapsed(wide)
    assert not Spread.of(_Fixed(rng.normal(size=(50, 64))), [""] * 50).collapsed(wide)


@pytest.mark.parametrize(
    ("start", "now", "collapsed"),
    [
        (0.60, 0.94, False),
        (0.60, 0.96, True),
        (0.94, 0.96, False),
        (0.94, 0.99, True),
        (0.98, 0.999, False),
    ],
)
def test_bases_that_begin_narrow_have_less_to_lose(
    start: float, now: float, collapsed: bool
) -> None:
    assert Spread(now, 10.0).collapsed(Spread(start, 10.0)) is collapsed


def test_zeros_have_collapsed_and_single_texts_have_not(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    guard = CollapseGuard(model, [("one",), ("two",)])
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    with pytest.raises(CellError, match=r"collapsed by step 3: a vector of zeros has no direction"):
        guard.check(3)
    CollapseGuard(model, [("one",), ("one",), (" ",)]).check(3)


def test_some_texts_stand_for_all(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    texts = [f"text {i}" for i in range(3 * TEXTS + 5)]
    guard = CollapseGuard(model, [(text, "other") for text in texts])
    assert guard._texts == texts[: 3 * TEXTS : 3]


def test_a_line_ends_a_training_too(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="a longer warm-up"):
        train_wide(tmp_path, Flat, replace(SETTINGS, epochs=60))


class _Fixed:
    """Has vectors already."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def encode(self, texts: list[str], **_: Any) -> np.ndarray:
        return self._vectors
