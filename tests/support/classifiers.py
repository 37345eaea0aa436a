"""Made rows with labels, and classifiers of tiny models that learn from them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api import build_method
from bench.method import Answer, LabelledTexts, Predictor, Probabilities, Question
from bench.models.checkpoints import load_folder
from bench.training.classifiers.method import Stages
from tests.support.specs import acting

LETTERS = "aekqz"
FAST = {
    "pooling": "mean",
    "batch_size": 8,
    "max_seq_length": 24,
    "epochs": 1,
    "lr": 1e-2,
}
PHASES = {
    "lr_cl": 5e-3,
    "lr_dae": 5e-3,
    "copies": 1,
    "shuffles": 1,
    "dae_steps": 2,
    "cl_steps": 2,
    "dae_evaluations": 1,
    "cl_evaluations": 1,
    # Fresh layers of so few numbers learn little in so few steps.
    "extra_dense": False,
}


def made(n: int, seed: int = 0, letters: str = LETTERS) -> LabelledTexts:
    """Texts of one letter, which is the class."""
    rng = random.Random(seed)
    chosen = [letters[i % len(letters)] for i in range(n)]
    texts = [
        (" ".join(one * rng.randint(2, 6) for _ in range(3)) + f" {i}",)
        for i, one in enumerate(chosen)
    ]
    return LabelledTexts(texts, [f"{'V' if one in 'ae' else 'C'}:{one}" for one in chosen])


def spec(name: str, base: Path | str, **options: Any) -> str:
    settings = {"base": base, **FAST, **(PHASES if name == "three-phase" else {}), **options}
    return acting(name, settings, "paper")


def predictor(text: str, seed: int = 0) -> Any:
    built, _ = build_method(text, seed=seed, profile="paper")
    return built.encoder


def asked(
    encoder: Predictor,
    texts: Sequence[tuple[str, ...]],
    train: LabelledTexts,
    dev: LabelledTexts | None = None,
    pool: Sequence[tuple[str, ...]] = (),
    *,
    seed: int = 0,
) -> Answer:
    """What a method answers for some texts."""
    return encoder.answer(Question(texts=texts, train=train, dev=dev, pool=pool, seed=seed))


def probable(
    encoder: Predictor, texts: Sequence[tuple[str, ...]], train: LabelledTexts
) -> Probabilities:
    """How probable it says that the labels of some texts are."""
    probabilities = asked(encoder, texts, train).probabilities
    assert probabilities is not None
    return probabilities


def fitted(text: str, train: LabelledTexts, seed: int = 0) -> Path:
    """Folder of the classifier that is trained, the only one in the cache that is new."""
    known = {*folders()}
    asked(predictor(text, seed), train.texts[:2], train, seed=seed)
    (folder,) = {*folders()} - known
    return folder


def folders() -> Iterator[Path]:
    yield from (Path(os.environ["BENCH_CACHE"]) / "models").glob("*")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in load_folder(folder, "cpu")[0].state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(one[name], two[name]) for name in one)


def stopped(*given: Any) -> Any:
    """Stands for a training of the classifier that is cut off."""
    raise KeyboardInterrupt


Stage = tuple[str, dict[str, torch.Tensor], dict[str, torch.Tensor]]


def note_stages(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """Name of each stage that will be run, and the encoder's weights before and after it."""
    seen: list[Stage] = []
    run = Stages.run

    def noted(self: Stages, name: str, before: Path, learn: Any) -> Path:
        first = weights(before)
        folder = run(self, name, before, learn)
        seen.append((name, first, weights(folder)))
        return folder

    monkeypatch.setattr(Stages, "run", noted)
    return seen
