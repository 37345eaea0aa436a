"""CoDiEmb on made-up sets: queries of two sets, pairs of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.api import build_method
from bench.core.spec import parse_method_spec
from bench.data.access import DataAccess
from bench.data.graded import Graded, GradedPairs
from bench.data.needs import Needs
from bench.data.retrieval import Queries, Query
from bench.method import Built, resolve
from bench.methods.codiemb import CoDiEmb
from bench.methods.parts.mixture import Mixture
from tests.support.models import tiny_bert
from tests.support.specs import acting

TEXTS = ["a red kettle", "two dogs run", "rain"]
LETTERS = "abcde"
NUMBERS = [f"{i}{i}" for i in range(14)]
SETS = {
    "one": [Query(f"who {n}", (f"me {n}", f"you {n}"), (f"not {n}",)) for n in NUMBERS],
    "two": [Query(f"how {n}", (f"so {n}",), ()) for n in NUMBERS[:9]],
}
PAIRS = [(f"{a} {a}{a}", f"{b}{b} {b}") for a in LETTERS for b in LETTERS]
SCORES = [1 - abs(i - j) / 4 for i in range(5) for j in range(5)]
GRADED = [Graded(PAIRS, SCORES), Graded([(f"x {a}", a) for a in LETTERS], [1.0] * 5)]
DEV_ROWS = [{"sentence1": a, "sentence2": b, "score": i} for i, (a, b) in enumerate(PAIRS)]


def made_up_queries(self: Queries, data: Any) -> dict[str, list[Query]]:
    return {name: SETS[name][: self.each] for name in self.name.split("+")}


def made_up_pairs(self: GradedPairs, data: Any) -> list[Graded]:
    sets = [zip(one.pairs, one.scores, strict=True) for one in GRADED]
    kept = [[graded for graded in one if graded[1] >= self.least] for one in sets]
    return [Graded([pair for pair, _ in one], [score for _, score in one]) for one in kept]


def make_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the made-up sets in the place of those of the catalog."""
    monkeypatch.setenv("BENCH_CACHE", str(folder / "cache"))
    monkeypatch.setattr(Queries, "load_sets", made_up_queries)
    monkeypatch.setattr(Queries, "fingerprint", lambda self, data: self.name)
    monkeypatch.setattr(GradedPairs, "load_sets", made_up_pairs)
    monkeypatch.setattr(GradedPairs, "fingerprint", lambda self, data: "made up")
    monkeypatch.setattr(DataAccess, "rows", lambda self, ref: DEV_ROWS)
    for access in (DataAccess, Needs):
        monkeypatch.setattr(access, "sha256", lambda self, ref: "made up")


def small(folder: Path) -> dict[str, Any]:
    """Options of a small training of eleven steps an epoch."""
    return {
        "base": tiny_bert(folder / "tiny", layers=2),
        "retrieval": "one+two",
        "batch_size": 4,
        "sts_batch_size": 5,
        "epochs": 2,
        "updates": 0,
        "lr": 1e-2,
        "checkpoints": 3,
    }


def spec(options: dict[str, Any], **more: Any) -> str:
    return acting("codiemb", {**options, **more})


def method(options: dict[str, Any], **more: Any) -> CoDiEmb:
    found = resolve(CoDiEmb, parse_method_spec(spec(options, **more)), "local")
    assert isinstance(found, CoDiEmb)
    return found


def train(options: dict[str, Any], **more: Any) -> Built:
    return build_method(spec(options, **more))[0]


def vectors(options: dict[str, Any], **more: Any) -> NDArray[np.float32]:
    return np.asarray(train(options, **more).encoder.encode(TEXTS))


class Context:
    """What the rows need of a build."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.data = None


def mixture(options: dict[str, Any], seed: int = 0, **more: Any) -> Mixture:
    ctx: Any = Context(seed)
    return method(options, **more)._mixture(ctx)


def set_of(texts: tuple[str, ...]) -> str:
    """The made-up set that a row is of."""
    head = texts[0].split()[0]
    return head if head in {"who", "how", "x"} else "letters"
