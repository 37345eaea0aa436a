"""Methods that are handed over as objects."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer, SparseEncoder

import bench
from bench.api.results import RunResult
from bench.core.errors import DataError, UsageError
from bench.method import BuildContext, Encoder, Method, MethodInfo, known_methods
from tests.support.models import tiny_bert
from tests.support.saved_models import SHAPES, save
from tests.support.suites import write_suite

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letters(texts: list[str]) -> NDArray[np.int64]:
    return np.array([[text.count(letter) for letter in LETTERS] for text in texts])


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return str(write_suite(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(SHAPES["prompts"], tmp_path / "model")


@pytest.fixture
def model(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


def main(result: RunResult, place: int = 0) -> float:
    assert not result.failures
    return result.records()[place].average


def test_a_model_scores_as_its_folder_does(
    suite: str, folder: Path, model: SentenceTransformer
) -> None:
    result = bench.run(suite, {"mine": model, "folder": f"sbert@{folder}"})
    assert main(result) == main(result, 1)
    mine, saved = result.records()
    assert (mine.method.spec, mine.method.label) == ("mine", None)
    assert saved.method.label == "folder"
    assert mine.parameters == saved.parameters
    assert mine.dimension == saved.dimension == 16


def test_a_model_that_is_unchanged_is_not_encoded_again(
    suite: str, folder: Path, model: SentenceTransformer
) -> None:
    (first,) = bench.run(suite, {"mine": model}).records()
    loaded_again = SentenceTransformer(str(folder), device="cpu")
    (second,) = bench.run(suite, {"mine": loaded_again}).records()
    assert second == first
    with torch.no_grad():
        next(model.parameters()).mul_(-1)
    (third,) = bench.run(suite, {"mine": model}).records()
    assert third.model_fingerprint != first.model_fingerprint
    assert third.encoding.encoded == third.encoding.distinct


def test_functions_are_encoded_in_every_run_and_leave_no_vectors(suite: str) -> None:
    (first,) = bench.run(suite, [letters]).records()
    (second,) = bench.run(suite, [letters]).records()
    assert first.method.spec == "letters"
    assert first.average == second.average
    assert second.encoding.encoded == second.encoding.distinct
    assert first.model_fingerprint != second.model_fingerprint
    assert not list(Path(os.environ["BENCH_CACHE"]).rglob("*.safetensors"))


class Roles:
    def __init__(self) -> None:
        self.seen: set[str | None] = set()

    def encode(self, texts: list[str], role: str | None = None) -> list[torch.Tensor]:
        self.seen.add(role)
        return [torch.tensor([float(len(text)), 1.0], requires_grad=True) for text in texts]


def test_any_object_with_encode_runs_and_may_be_told_the_role(suite: str) -> None:
    given = Roles()
    result = bench.run(suite, given)
    assert [one.method.spec for one in result.records()] == ["Roles"]
    assert given.seen == {None}


def test_a_class_is_made_an_object_of(suite: str) -> None:
    (record,) = bench.run(suite, Roles).records()
    assert record.method.spec == "Roles"


class Counts(Method):
    info = MethodInfo(name="counts", title="Counts of letters", kind="static", requires=("numpy",))

    def build(self, ctx: BuildContext) -> Encoder:
        return cast("Encoder", SimpleNamespace(encode=lambda texts, role=None: self.of(texts)))

    def of(self, texts: list[str]) -> NDArray[np.float32]:
        return letters(texts).astype(np.float32) + np.float32(0.01)


class Unfinished(Method):
    info = MethodInfo(name="unfinished", title="Has no build", kind="static", requires=("numpy",))


class Needy:
    def __init__(self, place: str) -> None:
        self.place = place


def test_a_method_of_a_notebook_runs_and_is_never_taken_from_an_earlier_run(
    suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = bench.run(suite, Counts).records()
    monkeypatch.setattr(Counts, "of", lambda self, texts: letters(texts)[:, :3] + np.float32(0.01))
    (second,) = bench.run(suite, {"mine": Counts}).records()
    assert (first.method.spec, first.dimension) == ("counts", 26)
    assert (second.method.spec, second.dimension) == ("mine", 3)
    assert "counts" not in known_methods()


def test_an_encode_of_its_own_is_called(suite: str, folder: Path) -> None:
    class Reversed(SentenceTransformer):
        def encode(self, texts: Any, **options: Any) -> Any:
            return super().encode([text[::-1] for text in texts], **options)

    other = Reversed(str(folder), device="cpu")
    result = bench.run(suite, {"plain": f"sbert@{folder}", "reversed": other})
    assert main(result) != main(result, 1)


def test_transforms_and_trainings_start_from_objects_and_leave_them_as_they_are(
    suite: str, model: SentenceTransformer
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    methods = [("mine", model), "truncate[dim=4,of=mine]"]
    training = "simcse[base=mine,max_steps=2,batch_size=4,dev=false]"
    result = bench.run(suite, [*methods, training], profile="smoke")
    assert [one.dimension for one in result.records()] == [16, 4, 16]
    assert result.records()[2].method.base == "mine"
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_names_that_are_no_specs_become_labels(suite: str) -> None:
    (record,) = bench.run(suite, {"my model, v2": letters}).records()
    assert (record.method.spec, record.method.label) == ("my-model-v2", "my model, v2")


def test_objects_are_known_while_they_run_alone(suite: str) -> None:
    bench.run(suite, {"mine": letters})
    assert "mine" not in known_methods()
    with pytest.raises(UsageError, match="unknown method 'mine'"):
        bench.run(suite, "mine")


def test_what_a_function_gives_wrongly_is_told_in_a_line(suite: str) -> None:
    wrong = {
        "one": lambda texts: 1.0,
        "words": lambda texts: ["no"] * len(texts),
        "flat": lambda texts: np.zeros(len(texts)),
        "nothing": lambda texts: np.ones((len(texts), 0)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bench.run(suite, wrong)
    assert [failure.traceback for failure in result.failures] == [None] * len(wrong)
    for failure in result.failures:
        assert "expected" in failure.message


def test_what_would_be_scored_in_part_is_refused(suite: str) -> None:
    async def later(texts: list[str]) -> NDArray[np.int64]:
        return letters(texts)

    wrong: dict[str, Any] = {
        "complex": lambda texts: letters(texts) + 1j,
        "tensor": lambda texts: torch.tensor(letters(texts) + 1j),
        "masked": lambda texts: np.ma.masked_less(letters(texts), 1),
        "later": later,
        "large": lambda texts: np.full((len(texts), 2), 1e200),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bench.run(suite, wrong)
    told = [failure.message for failure in result.failures]
    for words, message in zip(
        ("complex numbers", "complex numbers", "masked array", "asynchronous", "infinity"),
        told,
        strict=True,
    ):
        assert words in message
    with pytest.raises(DataError, match=r"no records of masked.*failed: .*masked array"):
        result.compare("masked", "large")


def test_vectors_of_zeros_are_told(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run(suite, {"some": lambda texts: letters(texts) * (np.arange(len(texts)) > 5)[:, None]})
    assert "warning: 6 of 60 texts have a vector of zeros" in capsys.readouterr().err


def test_what_encodes_nothing_is_refused(suite: str, tmp_path: Path) -> None:
    sparse = SparseEncoder(str(tiny_bert(tmp_path / "bert")), device="cpu")
    for methods, told in [
        ([object()], "encodes nothing"),
        ([letters, letters], "two methods are called 'letters'"),
        ([lambda texts: 1, lambda texts: 2], "two methods are called 'function'"),
        ({"sct": letters}, "'sct' is the name of a method"),
        ([Needy], r"Needy\(\) failed .*hand over an object of it"),
        ([Method], "Method has no info"),
        ([Unfinished], "Unfinished has no build"),
        ({" ": letters}, "empty name"),
        ({5: letters}, "5 names a method; give a text"),
        ([sparse], "name it as 'sparse@FOLDER'"),
    ]:
        with pytest.raises(UsageError, match=told):
            bench.run(suite, methods)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UsageError, match="objects run in this process"):
        bench.run(suite, [letters], executor="processes[jobs=2]")
