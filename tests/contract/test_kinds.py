"""Every kind of task: what is best and worst, what is refused, and what its scores are made of.

Each is scored as in a run, from texts to vectors to scores; a kind, or a track of one, that is no
entry of ``CASES`` fails.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bench.core.errors import CellError
from bench.core.progress import Silent
from bench.data.rows import Row, text_digest
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.stats.bootstrap import REPLICATES
from bench.suite import KINDS, Convention, MtebSpec, OwnSpec, TaskSpec
from bench.tasks.base import Task, TaskScore
from bench.tasks.kinds import task_class

N = 30
Vector = NDArray[np.float32]
VectorOf = Callable[[str], Vector]
Rows = Callable[[int], Row]


@dataclass(frozen=True)
class Case:
    """A tiny task of a kind, whose texts tell what their vectors are to be.

    Attributes:
        fields: Fields of its entry in a suite, besides name and data.
        row: Makes the row of a number.
        parts: Parts that it has.
        perfect: Least score of vectors that know the answer.
        convention: Of the suite.
        constant: Score where every text has the same vector; None where there is none.
    """

    fields: Mapping[str, Any]
    row: Rows
    parts: tuple[str, ...] = ("test",)
    perfect: float = 1.0
    convention: Convention = "senteval"
    constant: float | None = None

    @property
    def kind(self) -> str:
        return str(self.fields["kind"])

    @property
    def track(self) -> str | None:
        return self.fields.get("track")

    def task(self) -> Task[Any]:
        given = {"name": "T", "data": "x", **dict.fromkeys(self.parts[1:], "x"), **self.fields}
        spec: Any = TypeAdapter(TaskSpec).validate_python(given)
        # Other texts in each part, as nobody is to know them by heart.
        offsets = {part: 1000 * number for number, part in enumerate(self.parts)}
        parts = {part: [self.row(i + first) for i in range(N)] for part, first in offsets.items()}
        return task_class(spec)(spec, parts, self.convention)


# The last word of a text is where its vector points: an axis, or an angle in degrees.
def axis(i: int, number: int) -> str:
    return f"{i} axis {number}"


def angle(i: int, degrees: int) -> str:
    return f"{i} angle {degrees}"


def telling(text: str) -> Vector:
    """The vector that a text asks for."""
    *_, what, number = text.split()
    if what == "axis":
        return np.asarray(np.eye(6)[int(number)], np.float32)
    turned = np.deg2rad(int(number))
    return np.array([np.cos(turned), np.sin(turned), 0, 0, 0, 0], np.float32)


def noise(text: str) -> Vector:
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    return np.asarray(rng.normal(size=6), np.float32)


def constant(text: str) -> Vector:
    return np.ones(6, np.float32)


def broken(text: str) -> Vector:
    return np.full(6, np.nan, np.float32)


def graded(i: int) -> Row:
    score = i % 6
    return {
        "sentence1": angle(i, 0),
        "sentence2": angle(i + 99, 90 - 15 * score),
        "score": float(score),
    }


def judged(i: int) -> Row:
    return {"sentence1": angle(i, 0), "sentence2": angle(i + 99, 90 * (i % 2)), "label": 1 - i % 2}


def classified(i: int) -> Row:
    # Two thirds have one label, which is the best that may be said of equal vectors.
    label = min(i % 3, 1)
    return {"text": axis(i, label), "label": label}


def inferred(i: int) -> Row:
    label = min(i % 3, 1)
    names = ("entailment", "neutral")
    return {"premise": axis(i, 5), "hypothesis": axis(i + 99, label), "label": names[label]}


def ranked(i: int) -> Row:
    return {"query": axis(i, 0), "positive": [axis(i + 99, 0)], "negative": [axis(i, 1)]}


def related(i: int) -> Row:
    # The product of both vectors is the axis of the score.
    score = 1 + i % 5
    return {"sentence1": axis(i, score), "sentence2": axis(i + 99, score), "score": float(score)}


def searched(i: int) -> Row:
    # Every other candidate lies across all queries; no two have an angle in common.
    return {
        "query": angle(i, 6 * i),
        "positive": [angle(i + 99, 6 * i)],
        "negative": [f"{i} axis {2 + i % 4}"],
    }


def spread_out(i: int) -> Row:
    # On a circle, where most have two neighbours that are equally far; the dimension is then large.
    return {"text": angle(i, 12 * i + (i % 10 == 0))}


def by_id() -> float:
    """Score of candidates that are ranked by falling id alone."""
    rows = [searched(i) for i in range(N)]
    texts = [text for row in rows for text in (*row["positive"], *row["negative"])]
    order = sorted({text_digest(text) for text in texts}, reverse=True)
    ranks = np.array([1 + order.index(text_digest(row["positive"][0])) for row in rows])
    return float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0).mean())


TRAINED = ("test", "train", "dev")
CASES = {
    "sts": Case({"kind": "sts"}, graded),
    "pair_classification": Case({"kind": "pair_classification"}, judged, constant=1 / 2),
    "reranking": Case({"kind": "reranking"}, ranked, constant=3 / 4),
    "retrieval": Case({"kind": "retrieval"}, searched, constant=by_id()),
    "clustering": Case({"kind": "clustering"}, classified, constant=0.0),
    "dimension": Case({"kind": "dimension"}, spread_out, perfect=0.25),
    "classification": Case(
        {"kind": "classification", "folds": 3, "track": "frozen"}, classified, constant=2 / 3
    ),
    "nli": Case({"kind": "nli", "folds": 3}, inferred, constant=2 / 3),
    "relatedness": Case({"kind": "relatedness", "track": "frozen"}, related, TRAINED, perfect=0.95),
    "supervised classification": Case(
        {"kind": "classification", "track": "supervised"}, classified, TRAINED, constant=2 / 3
    ),
    "supervised relatedness": Case(
        {"kind": "relatedness", "track": "supervised"}, related, TRAINED, perfect=0.95
    ),
    "mteb": Case({"kind": "mteb", "name": "STS12", "revision": "x"}, graded, convention="mteb"),
}


class Encoder:
    """A function of a text behind the protocol of encoders."""

    def __init__(self, vector: VectorOf) -> None:
        self.vector = vector

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> Vector:
        return np.stack([self.vector(text) for text in texts])


def score(name: str, vector: VectorOf, seed: int = 0) -> TaskScore:
    """Score the task of a case with the vectors of a function, as a run does."""
    task = CASES[name].task()

    def encoded(columns: Mapping[str, Column]) -> Mapping[str, Vector]:
        named = {("T", name): column for name, column in columns.items()}
        with tempfile.TemporaryDirectory() as folder:
            found = encode_columns(
                Encoder(vector),
                named,
                model_fingerprint="x",
                folder=Path(folder),
                progress=Silent(),
            )
        return {name: found.vectors["T", name] for name in columns}

    if task.scored_as == "predictions":
        probe = task.probe(lambda texts: encoded({"text": Column(texts)})["text"])
        return task.score(task.predictions(probe, seed), seed)
    return task.score(encoded(task.texts()), seed)


# Some probes take seconds to learn.
known = cache(score)


def tracks(spec: type[Any]) -> list[str | None]:
    """Tracks that tasks of a kind may be on; none has no name."""
    field = spec.model_fields.get("track")
    return [*get_args(field.annotation)] if field else [None]


def kinds() -> set[tuple[str, str | None]]:
    """Kinds of a suite, by their entries, and their tracks."""
    return {
        (kind, track)
        for spec in (*get_args(OwnSpec), MtebSpec)
        for kind in get_args(spec.model_fields["kind"].annotation)
        for track in tracks(spec)
    }


def without_a_case(known: set[tuple[str, str | None]]) -> set[tuple[str, str | None]]:
    return known - {(case.kind, case.track) for case in CASES.values()}


EVERY = pytest.mark.parametrize("name", CASES)
# mteb gives no scores of single items.
OWN = pytest.mark.parametrize("name", [name for name in CASES if name != "mteb"])


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _ in kinds()} == {*KINDS, "mteb"}
    assert without_a_case(kinds()) == set()


def test_a_kind_without_a_case_is_found() -> None:
    planted = {("sts", None), ("sts", "supervised"), ("summarisation", None)}
    assert without_a_case(planted) == planted - {("sts", None)}


@EVERY
def test_what_knows_the_answer_is_best(name: str) -> None:
    best = known(name, telling).main
    assert CASES[name].perfect - 1e-9 <= best <= 1 + 1e-9
    assert known(name, noise).main < best - 0.1


@EVERY
def test_equal_vectors_have_a_known_score_or_none(name: str) -> None:
    expected = CASES[name].constant
    if expected is None:
        with pytest.raises(CellError):
            score(name, constant)
    else:
        assert score(name, constant).main == pytest.approx(expected)


@EVERY
def test_nan_is_refused(name: str) -> None:
    with pytest.raises(CellError, match="NaN or infinity"):
        score(name, broken)


def contents(found: TaskScore) -> dict[str, Any]:
    """All of a score in a form that is compared to the last bit."""
    assert found.items is not None and found.replicates is not None
    return {
        "main": found.main,
        "metrics": found.metrics,
        "intervals": found.intervals,
        "items": {name: one.tobytes() for name, one in found.items.items()},
        "replicates": found.replicates.tobytes(),
    }


@OWN
def test_a_seed_decides_all(name: str) -> None:
    first, again, other = (known(name, noise), score(name, noise), score(name, noise, seed=1))
    assert contents(first) == contents(again)
    changed = {key for key, value in contents(first).items() if contents(other)[key] != value}
    assert "replicates" in changed
    assert changed <= {"replicates", "intervals"}


@OWN
@pytest.mark.parametrize("vector", [telling, noise])
def test_a_score_has_items_and_replicates(name: str, vector: VectorOf) -> None:
    task, found = CASES[name].task(), known(name, vector)
    assert found.items is not None and found.replicates is not None
    assert {len(one) for one in found.items.values()} == {len(task.item_rows())}
    value = found.items["value"]
    assert value.ndim == 1 and (value >= 0).all() and (value <= 1).all()
    assert found.replicates.shape == (REPLICATES,)
    assert found.replicates.dtype == np.float64 and np.isfinite(found.replicates).all()


@EVERY
def test_the_main_score_is_among_the_metrics(name: str) -> None:
    found = known(name, noise)
    assert found.main in found.metrics.values()
    assert all(np.isfinite(one) for one in found.metrics.values())
    assert found.intervals.keys() <= found.metrics.keys()
    assert all(low <= high for low, high in found.intervals.values())


@EVERY
def test_rows_have_the_columns_that_the_kind_reads(name: str) -> None:
    case = CASES[name]
    task = case.task()
    assert type(task).kind == case.kind
    wanted = {*task.spec.row_columns()} or {"sentence1", "sentence2", "score"}
    assert {*case.row(0)} == wanted
