"""Encoders that compute in another precision, or by another library than torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bench.core.compute import Compute
from bench.core.errors import UsageError
from bench.encoding import exports
from bench.encoding.compute import Conversions
from bench.models.devices import check_backend
from tests.support.models import tiny_bert, tiny_llama
from tests.support.notes import Notes

TEXTS = ["one", "two words here", "a somewhat longer text than the others are", "x y"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    return _around(tiny_bert(tmp_path_factory.mktemp("bert"), hidden=32, layers=2))


def _around(folder: Path) -> SentenceTransformer:
    first = Transformer(str(folder))
    return SentenceTransformer(
        modules=[first, Pooling(first.get_embedding_dimension(), "mean")], device="cpu"
    ).eval()


def _converted(model: Any, backend: Any, precision: Any, folder: Path) -> tuple[Any, Any, Notes]:
    notes = Notes()
    made = Conversions(backend, precision, folder, notes).get(model, "identity")
    return made.encoder, made.compute, notes


def _cosines(one: Any, two: Any) -> np.ndarray:
    a, b = (np.asarray(encoder.encode(TEXTS), dtype=np.float64) for encoder in (one, two))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_torch_in_the_precision_of_the_weights_is_the_encoder_itself(model, tmp_path) -> None:
    for precision in (None, "fp32"):
        encoder, compute, notes = _converted(model, "torch", precision, tmp_path)
        assert encoder is model
        assert compute == Compute("torch", "fp32")
        assert not notes.found


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_of_the_transformer_alone(model, tmp_path, precision) -> None:
    encoder, compute, _ = _converted(model, "torch", precision, tmp_path)
    assert compute == Compute("torch", precision)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert {weight.dtype for weight in encoder[0].model.parameters()} != {torch.float32}
    vectors = encoder.encode(TEXTS, convert_to_tensor=True)
    assert vectors.dtype == torch.float32
    # A number in half precision has few digits; a mean over tokens in fp32 has more.
    assert not torch.equal(vectors, vectors.to(encoder[0].model.dtype).float())
    assert 0.999 < _cosines(model, encoder).min() < 1 - 1e-9
    assert encoder[0].tokenizer is model[0].tokenizer


def test_half_weights_are_what_they_are_unless_fp32_is_asked_for(model, tmp_path) -> None:
    half, _, _ = _converted(model, "torch", "bf16", tmp_path)
    encoder, compute, _ = _converted(half, "torch", None, tmp_path)
    assert encoder is half
    assert compute == Compute("torch", "bf16")
    whole, compute, _ = _converted(half, "torch", "fp32", tmp_path)
    assert compute == Compute("torch", "fp32")
    assert whole[0].model.dtype == torch.float32


@pytest.mark.parametrize(
    ("backend", "precision", "least"),
    [("onnx", None, 1 - 1e-6), ("openvino", None, 1 - 1e-6), ("openvino", "bf16", 0.999)],
)
def test_other_libraries_give_the_same_vectors(model, tmp_path, backend, precision, least) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[backend])
    encoder, compute, notes = _converted(model, backend, precision, tmp_path)
    assert not notes.found
    assert compute == Compute(backend, precision or "fp32")
    assert _cosines(model, encoder).min() > least
    (place,) = tmp_path.iterdir()
    assert (place / exports._FILES[backend]).is_file()


@pytest.mark.nightly
def test_a_decoder_is_exported_too(tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    model = _around(tiny_llama(tmp_path / "llama"))
    model[0].tokenizer.pad_token = model[0].tokenizer.eos_token
    encoder, compute, notes = _converted(model, "onnx", None, tmp_path / "exports")
    assert (compute, notes.found) == (Compute("onnx", "fp32"), [])
    assert _cosines(model, encoder).min() > 1 - 1e-6


@pytest.mark.nightly
def test_an_export_is_made_once_and_again_where_it_is_damaged(model, tmp_path, monkeypatch) -> None:
    pytest.importorskip("openvino")
    made: list[Path] = []
    write = exports._write_openvino

    def counted(states: Any, example: Any, path: Path) -> None:
        made.append(path)
        write(states, example, path)

    monkeypatch.setitem(exports._WRITERS, "openvino", counted)
    for _ in range(2):
        _converted(model, "openvino", None, tmp_path)
    assert len(made) == 1
    (place,) = tmp_path.iterdir()
    with (place / "openvino" / "openvino_model.bin").open("ab") as file:
        file.write(b"\0")
    encoder, _, _ = _converted(model, "openvino", None, tmp_path)
    assert len(made) == 2
    assert _cosines(model, encoder).min() > 1 - 1e-6


def test_what_a_backend_cannot_take_torch_computes(model, tmp_path, monkeypatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setitem(exports._WRITERS, "onnx", fails)
    encoder, compute, notes = _converted(model, "onnx", None, tmp_path)
    assert encoder is model
    assert compute == Compute("torch", "fp32")
    assert notes.found == [
        "  onnx cannot take it (RuntimeError: no such operator); torch computes instead"
    ]


def test_an_export_that_computes_something_else_is_not_used(model, tmp_path, monkeypatch) -> None:
    def other(path: Path, precision: str) -> Any:
        return lambda tokens: torch.ones(*tokens["input_ids"].shape, 32)

    monkeypatch.setitem(exports._WRITERS, "onnx", lambda *_: None)
    monkeypatch.setitem(exports._RUNNERS, "onnx", other)
    encoder, compute, notes = _converted(model, "onnx", None, tmp_path)
    assert encoder is model
    assert compute == Compute("torch", "fp32")
    assert "its states differ from torch's" in notes.found[0]


def test_an_encoder_without_a_transformer_is_left_alone(tmp_path) -> None:
    encoder = object()
    for backend, precision, told in (("torch", None, 0), ("torch", "bf16", 1), ("onnx", None, 1)):
        same, compute, notes = _converted(encoder, backend, precision, tmp_path)
        assert same is encoder
        assert compute is None
        assert len(notes.found) == told


def test_a_backend_that_is_not_there_names_its_extra(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'sentence-bench\[onnx\]'"):
        check_backend("onnx", None, "cpu")


@pytest.mark.parametrize(
    ("backend", "precision", "device", "message"),
    [
        ("openvino", None, "cuda", "is for the CPU; add --device cpu"),
        ("onnx", "bf16", "cpu", "computes in fp32; for bf16 take torch or openvino"),
    ],
)
def test_what_a_backend_does_not_do_is_refused(
    monkeypatch, backend, precision, device, message
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    with pytest.raises(UsageError, match=message):
        check_backend(backend, precision, device)
