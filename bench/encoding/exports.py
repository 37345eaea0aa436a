"""Transformers exported to ONNX and OpenVINO, once a model, and run from there.

An export lies where sentence-transformers puts it in the folder of a model: ``onnx/model.onnx`` or
``openvino/openvino_model.xml``. Its states are compared with torch's each time it is loaded, as a
converter may leave out without a word what it has not seen in its example.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.compute import PACKAGES, Backend, Precision
from bench.core.errors import first_line
from bench.core.fingerprint import fingerprint, versions
from bench.core.sealed import damage, make_sealed_folder

STATES = "last_hidden_state"
_FILES = {"onnx": "onnx/model.onnx", "openvino": "openvino/openvino_model.xml"}
# Of several lengths, as what an example does not vary may be taken for fixed.
_EXAMPLE = ["A short one.", "Another sentence, which is somewhat longer than the first one."]
_CHECKED = (["Word"], ["One more.", "Two of them differ in length, and one is padded.", "x y z"])
# Least cosine of a token's state to torch's in fp32.
_LEAST_COSINE = {"fp32": 0.9999, "bf16": 0.99, "fp16": 0.99}
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}

Forward = Callable[[Mapping[str, Tensor]], Tensor]


class ExportError(Exception):
    """A backend cannot take a model."""


def exported(
    transformer: Any, backend: Backend, precision: Precision, folder: Path, identity: str
) -> nn.Module:
    """Export a transformer unless that was done before, and load it.

    Args:
        transformer: The library's module around a model of transformers.
        backend: ``onnx`` or ``openvino``.
        precision: Numbers to compute with; the exported weights are fp32.
        folder: Folder of all exports.
        identity: Fingerprint of the model.

    Returns:
        A module that takes tokens and returns ``last_hidden_state`` as the model does, on the CPU.

    Raises:
        ExportError: The backend cannot take the model, or computes something else.
    """
    _refuse_other_outputs(transformer)
    model = deepcopy(transformer.model).float().eval()
    example = _tokens(transformer, _EXAMPLE)
    place = folder / fingerprint([identity, backend, dict(made_by(backend))])
    path = place / _FILES[backend]
    with _silent():
        try:
            if damage(place) is not None:
                write = partial(_WRITERS[backend], _States(model, [*example]), example)
                make_sealed_folder(place, lambda made: write(made / _FILES[backend]))
            run = _RUNNERS[backend](path, precision)
            checked = [_tokens(transformer, texts) for texts in _CHECKED]
            _compare(run, model, checked, precision)
        except (ExportError, OSError):
            # A full disk is no fault of the model.
            raise
        except Exception as error:
            raise ExportError(f"{type(error).__name__}: {first_line(error)}") from error
    return ExportedModel(transformer.model.config, run, list(example))


def made_by(backend: Backend) -> Mapping[str, str]:
    """Versions of what exports and runs a transformer."""
    return versions([*PACKAGES[backend], "torch", "transformers"])


class ExportedModel(nn.Module):
    """What stands for a model of transformers where another library computes it.

    Args:
        config: Configuration of the model.
        run: Computes states (B, T, H) of tokens.
        inputs: Names of the tokens' arrays, each (B, T).
    """

    def __init__(self, config: Any, run: Forward, inputs: list[str]) -> None:
        super().__init__()
        self.config = config
        self._run, self._inputs = run, inputs

    def forward(self, **tokens: Any) -> dict[str, Tensor]:
        """States of tokens, float32 of shape (B, T, H)."""
        return {STATES: self._run({name: tokens[name] for name in self._inputs})}


class _States(nn.Module):
    """A model as a function of arrays in a fixed order, which is what converters take."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *arrays: Tensor) -> Tensor:
        tokens = dict(zip(self.names, arrays, strict=True))
        states: Tensor = self.model(**tokens, return_dict=True)[STATES]
        return states


def _refuse_other_outputs(transformer: Any) -> None:
    taken = transformer.modality_config.get("text", {})
    if taken.get("method") != "forward" or taken.get("method_output_name") != STATES:
        raise ExportError(f"more than its {STATES} is used")
    if getattr(transformer.model.config, "output_hidden_states", False):
        raise ExportError("the states of all its layers are used")


def _tokens(transformer: Any, texts: list[str]) -> dict[str, Tensor]:
    tokens = transformer.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return dict(tokens)


def _write_onnx(model: nn.Module, example: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True)
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        model,
        (*example.values(),),
        path,
        input_names=list(example),
        output_names=[STATES],
        dynamic_shapes={"arrays": (sizes,) * len(example)},
        dynamo=True,
        verbose=False,
    )


def _run_onnx(path: Path, precision: Precision) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {one.name for one in session.get_inputs()}

    def run(tokens: Mapping[str, Tensor]) -> Tensor:
        arrays = {name: array.numpy() for name, array in tokens.items() if name in names}
        return torch.from_numpy(session.run([STATES], arrays)[0])

    return run


def _write_openvino(model: nn.Module, example: dict[str, Tensor], path: Path) -> None:
    library = _openvino()
    path.parent.mkdir(parents=True)
    graph = library.convert_model(model, example_input=(*example.values(),))
    library.save_model(graph, path, compress_to_fp16=False)


def _run_openvino(path: Path, precision: Precision) -> Forward:
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = _openvino().Core().compile_model(path, "CPU", settings)

    def run(tokens: Mapping[str, Tensor]) -> Tensor:
        return torch.from_numpy(compiled([array.numpy() for array in tokens.values()])[0])

    return run


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}
_RUNNERS = {"onnx": _run_onnx, "openvino": _run_openvino}


def _openvino() -> Any:
    # It reports its import to its makers over the network, unless this package cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None bars it
    import openvino

    return openvino


def _compare(
    run: Forward, model: nn.Module, checked: list[dict[str, Tensor]], precision: Precision
) -> None:
    """Compare states with torch's.

    Raises:
        ExportError: Those of a token that is not padding point elsewhere.
    """
    for tokens in checked:
        with torch.inference_mode():
            expected = model(**tokens, return_dict=True)[STATES]
        given = run(tokens)
        if given.shape != expected.shape:
            raise ExportError(f"its states have shape {tuple(given.shape)}")
        cosine = nn.functional.cosine_similarity(given.float(), expected, dim=-1)
        least = float(cosine[tokens["attention_mask"].bool()].nan_to_num(-1).min())
        if least < _LEAST_COSINE[precision]:
            raise ExportError(f"its states differ from torch's, with a cosine of {least:.4f}")


@contextmanager
def _silent() -> Iterator[None]:
    """Converters warn of what they trace and of packages that they do without."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
