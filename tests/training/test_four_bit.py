"""Weights of 4 bits: what the library is told, refusals, training beside them, and merging."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from bench.core.compute import Precision
from bench.core.errors import UsageError
from bench.models.checkpoints import load_folder
from bench.models.four_bit import four_bit_options
from bench.training.collapse import CollapseGuard
from bench.training.lora import add_lora, keep_lora, load_lora, merge_lora
from bench.training.template import apply_template
from bench.training.trainer import TRAINED_FILE, TrainSettings, seed_everything, train
from tests.support.access import local_models
from tests.support.models import tiny_llama
from tests.training.test_lora import disturb, trainable
from tests.training.test_trainer import PAIRS, Contrast, Killed, context

TEXTS = ["a red kettle", "two dogs run", "rain " * 9]
SETTINGS = TrainSettings(lr=1e-2, epochs=2, batch_size=4, max_seq_length=60, checkpoint_every=2)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_what_the_library_is_told(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, dtype: torch.dtype
) -> None:
    installed = SimpleNamespace(supported_torch_devices={"cpu", "cuda"})
    monkeypatch.setitem(sys.modules, "bitsandbytes", installed)
    options = four_bit_options("cuda:1", precision)
    told = options["quantization_config"]
    assert isinstance(told, transformers.BitsAndBytesConfig)
    assert (told.load_in_4bit, told.load_in_8bit) == (True, False)
    assert (told.bnb_4bit_quant_type, told.bnb_4bit_use_double_quant) == ("nf4", True)
    assert told.bnb_4bit_compute_dtype == dtype
    assert options["device_map"] == {"": "cuda:1"}
    with pytest.raises(UsageError, match=r"^load_in_4bit: bitsandbytes has no .* device mps; use"):
        four_bit_options("mps", precision)


def test_without_bitsandbytes_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    said = r"^load_in_4bit needs bitsandbytes; pip install 'sentence-bench\[llm4bit\]'$"
    with pytest.raises(UsageError, match=said):
        local_models(tmp_path).load(str(tiny_llama(tmp_path / "base")), load_in_4bit=True)


def test_models_and_methods_are_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def load(folder: Path, *given: Any, four_bit: Precision | None = None) -> Any:
        asked.append(four_bit)
        return load_folder(folder, *given)

    monkeypatch.setattr("bench.models.access.load_folder", load)
    models, base = local_models(tmp_path), str(tiny_llama(tmp_path / "base"))
    for quantised in (False, True):
        models.load(base, pooling="lasttoken", load_in_4bit=quantised)
    assert asked == [None, "fp32"]
    with pytest.raises(UsageError, match="does not train, so no model of it is kept"):
        models.load("minilm-l2", load_in_4bit=True)


def quantised(folder: Path) -> SentenceTransformer:
    """A tiny decoder of 4 bits with a prompt."""
    pytest.importorskip("bitsandbytes", reason="needs the extra 'llm4bit'")
    base = folder / "base"
    model = load_folder(
        base if base.is_dir() else tiny_llama(base), "cpu", "lasttoken", four_bit="fp32"
    )
    apply_template(model, "eol")
    return model


def test_linear_layers_are_of_four_bits_and_merged_as_they_were_trained(tmp_path: Path) -> None:
    model = quantised(tmp_path)
    from bitsandbytes.functional import dequantize_4bit

    exact = load_folder(tmp_path / "base", "cpu", "lasttoken")
    apply_template(exact, "eol")
    layer = model[0].model.layers[0].mlp.up_proj
    assert layer.weight.dtype == torch.uint8
    assert layer.weight.quant_state.quant_type == "nf4"
    assert layer.weight.quant_state.nested
    stored = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    weight = exact[0].model.layers[0].mlp.up_proj.weight
    # Sixteen levels lie within the largest weight of a block, at most 0.31 of it apart.
    assert 0 < (stored - weight).abs().max() < 0.16 * weight.abs().max()
    before = model.encode(TEXTS)
    add_lora(model, 4, seed=0)
    np.testing.assert_array_equal(model.encode(TEXTS), before)
    disturb(model)
    unmerged = model.encode(TEXTS)
    assert np.abs(unmerged - before).max() > 1e-2
    merge_lora(model)
    np.testing.assert_allclose(model.encode(TEXTS), unmerged, atol=1e-4)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.state_dict().keys() == exact.state_dict().keys()
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    assert "quantization_config" not in json.loads((tmp_path / "saved/config.json").read_text())
    plain = load_folder(tmp_path / "saved", "cpu")
    np.testing.assert_array_equal(plain.encode(TEXTS), model.encode(TEXTS))


def test_adapters_beside_them_go_on_from_a_file(tmp_path: Path) -> None:
    model, again = quantised(tmp_path), quantised(tmp_path)
    for one, seed in ((model, 0), (again, 1)):
        add_lora(one, 4, seed)
    disturb(model)
    keep_lora(model, tmp_path / "kept")
    load_lora(again, tmp_path / "kept")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))


def run(folder: Path, die_at: int | None = None) -> SentenceTransformer:
    model = quantised(folder)
    add_lora(model, 4, seed=0)
    seed_everything(0)
    train(model, Contrast(model), PAIRS, SETTINGS, context(folder, die_at))
    return model


def test_adapters_are_trained_and_resumed_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CollapseGuard, "check", lambda self, step: None)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, fresh = run(tmp_path / "whole"), quantised(tmp_path / "whole")
    packed = fresh[0].model.get_submodule("layers.1.mlp.up_proj")
    trained = whole[0].model.get_submodule("base_model.model.layers.1.mlp.up_proj")
    assert torch.equal(trained.base_layer.weight, packed.weight)
    assert trained.lora_B["default"].weight.abs().max() > 1e-3
    with pytest.raises(Killed):
        run(tmp_path / "killed", 7)
    (checkpoint,) = (tmp_path / "killed/work/checkpoints").glob("checkpoint-6")
    assert (checkpoint / TRAINED_FILE).is_file()
    resumed = run(tmp_path / "killed")
    for name, weight in trainable(whole).items():
        assert torch.equal(weight, trainable(resumed)[name]), name
