"""Models by name, and trained models kept between runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from bench.core.errors import DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.method import (
    BuildContext,
    Built,
    Method,
    MethodConfig,
    MethodInfo,
    lineage,
    make_method,
)
from bench.models.access import Models
from bench.models.checkpoints import with_pooling
from tests.support.access import local_models
from tests.support.models import pooler_outputs, tiny_bert, tiny_decoder, tiny_sentence_transformer

TEXTS = ["one", "another one", "a third"]


def test_bare_folder_gets_a_pooling(tmp_path: Path) -> None:
    folder, models = tiny_bert(tmp_path / "tiny"), local_models(tmp_path)
    assert models.load(str(folder))[1].pooling_mode == "mean"
    assert models.load(str(folder), pooling="cls")[1].pooling_mode == "cls"
    with pytest.raises(UsageError, match="unknown pooling 'middle'"):
        models.load(str(folder), pooling="middle")


def test_the_own_pooler_of_a_checkpoint(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    loaded = local_models(tmp_path).load(str(folder), pooling="pooler")
    expected = pooler_outputs(folder, TEXTS)
    np.testing.assert_allclose(loaded.encode(TEXTS), expected, atol=1e-6)
    loaded.save_pretrained(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), expected, atol=1e-6)


def test_a_checkpoint_without_a_pooler(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    reference = transformers.AutoModel.from_pretrained(
        tiny_bert(tmp_path / "tiny"), add_pooling_layer=False
    )
    reference.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tmp_path / "tiny").save_pretrained(folder)
    with pytest.raises(UsageError, match="its weights lack one"):
        local_models(tmp_path).load(str(folder), pooling="pooler")


def test_saved_folder_keeps_its_pooling(tmp_path: Path) -> None:
    model, folder = tiny_sentence_transformer(tmp_path / "tiny"), tmp_path / "saved"
    model.save_pretrained(str(folder))
    loaded = local_models(tmp_path).load(str(folder), pooling="cls")
    assert loaded[1].pooling_mode == "mean"
    np.testing.assert_array_equal(loaded.encode(TEXTS), model.encode(TEXTS))


def test_a_decoder_pads_with_what_ends_a_text(tmp_path: Path) -> None:
    folder = tiny_decoder(tmp_path / "decoder", "llama")
    model = local_models(tmp_path).load(str(folder))
    together = model.encode(["a kettle and a dog", "a"])
    alone = [model.encode([text])[0] for text in ("a kettle and a dog", "a")]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    settings = folder / "tokenizer_config.json"
    known = json.loads(settings.read_text())
    settings.write_text(json.dumps({**known, "eos_token": None}))
    with pytest.raises(DataError, match="has neither a padding"):
        local_models(tmp_path).load(str(folder))


def test_methods_are_rebuilt_with_a_pooling(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    tiny_sentence_transformer(tmp_path / "tiny").save_pretrained(str(folder))
    loaded = local_models(tmp_path).load(f"sbert@{folder}", pooling="cls")
    assert [type(module).__name__ for module in loaded] == ["Transformer", "Pooling"]
    assert loaded[1].pooling_mode == "cls"
    assert with_pooling(loaded, "max")[1].pooling_mode == "max"


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    folder, models = tiny_bert(tmp_path / "tiny"), local_models(tmp_path)
    before = models.fingerprint(str(folder))
    assert models.fingerprint(str(folder)) == before
    tiny_bert(folder, hidden=32)
    assert models.fingerprint(str(folder)) != before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-owner/model", "not in the local hub cache, and cannot be fetched offline"),
        ("minilm-l22", "did you mean"),
        ("../nowhere/at/all", "neither a method, an existing folder nor a hub id"),
    ],
)
def test_unknown_names(tmp_path: Path, name: str, message: str) -> None:
    for ask in (local_models(tmp_path).load, local_models(tmp_path).fingerprint):
        with pytest.raises(DataError, match=message):
            ask(name)


def test_a_spec_longer_than_any_file_name(tmp_path: Path) -> None:
    options = ",".join(f"{name}=0" for name in ("x" * 100, "y" * 100, "z" * 100))
    with pytest.raises(UsageError, match="has no option"):
        local_models(tmp_path).fingerprint(f"random[{options}]")


def test_empty_folder_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no model"):
        local_models(tmp_path).load(str(tmp_path))


def test_method_that_is_no_transformer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'random' is not a transformer"):
        local_models(tmp_path).load("random")


class Shifts(Method):
    """Adds noise to a tiny model and counts how often it did."""

    class Config(MethodConfig):
        base: str

    info = MethodInfo(name="shifts", title="Shifts", kind="contrastive", trains=True)
    config: Config
    built = 0

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        Shifts.built += 1
        model = ctx.models.load(self.config.base, pooling="mean")
        torch.manual_seed(ctx.seed)
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.add_(torch.randn_like(tensor))
        (ctx.workdir / "extra" / "head").mkdir(parents=True)
        (ctx.workdir / "extra" / "head" / "note.txt").write_text("kept")
        (ctx.workdir / "training.json").write_text(json.dumps({"steps": 1}))
        return model


def _build(folder: Path, config: Mapping[str, Any], seed: int = 0) -> Built:
    return local_models(folder).build(Shifts(Shifts.Config(**config)), seed=seed)


def test_two_runs_train_a_model_once(tmp_path: Path) -> None:
    config = {"base": str(tiny_bert(tmp_path / "tiny"))}
    Shifts.built = 0
    with ThreadPoolExecutor() as pool:
        both = [*pool.map(lambda _: _build(tmp_path, config), range(2))]
    assert Shifts.built == 1
    assert both[0].fingerprint == both[1].fingerprint


def test_trained_model_is_kept_as_an_ordinary_folder(tmp_path: Path) -> None:
    config = {"base": str(tiny_bert(tmp_path / "tiny"))}
    Shifts.built = 0
    first, again = _build(tmp_path, config), _build(tmp_path, config)
    assert Shifts.built == 1
    assert first.training == again.training == {"steps": 1}
    folder = tmp_path / "cache" / "models" / first.fingerprint
    plain = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_array_equal(first.encoder.encode(TEXTS), plain)
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), plain)
    assert (folder / "head" / "note.txt").read_text() == "kept"
    assert not list((tmp_path / "cache" / "work").iterdir())
    assert _build(tmp_path, config, seed=1).fingerprint != first.fingerprint


def test_a_method_is_loaded_with_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = Shifts(Shifts.Config(base=str(tiny_bert(tmp_path / "tiny"))))
    monkeypatch.setattr(Models, "_method", lambda self, name: method if name == "shifts" else None)
    expected = [_build(tmp_path, method.config.model_dump(), seed=seed) for seed in (0, 7)]
    models, built = local_models(tmp_path), Shifts.built
    for seed, other in zip((None, 7), expected, strict=True):
        assert models.fingerprint("shifts", seed=seed) == other.fingerprint
        loaded = models.load("shifts", seed=seed)
        np.testing.assert_array_equal(loaded.encode(TEXTS), other.encoder.encode(TEXTS))
    assert models.fingerprint("shifts") == expected[0].fingerprint
    assert Shifts.built == built


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("minilm", {"minilm"}),
        ("truncate[dim=4,of=pcc-tuning]", {"truncate", "pcc-tuning", "sup-simcse", "minilm-l2"}),
        (
            "minbert[base=two-tier-simcse,sts=cosine]",
            {"minbert", "two-tier-simcse", "minilm-l2"},
        ),
        ("sct-distill[teacher=simcse]", {"sct-distill", "sct", "simcse", "minilm-l2"}),
        ("defsent-plus[of=sct]", {"defsent-plus", "sct", "minilm-l2"}),
        ("pcc-tuning@folder", {"pcc-tuning"}),
    ],
)
def test_a_method_learns_what_those_before_it_learnt(text: str, names: set[str]) -> None:
    spec = parse_method_spec(text)
    found = lineage(make_method(spec, "local"))
    assert found[0].info.name == spec.name
    assert {method.info.name for method in found} == names


def test_the_sets_of_an_earlier_stage_count(tmp_path: Path) -> None:
    spec = parse_method_spec("minbert[base=two-tier-simcse,sts=cosine]")
    method, *before = lineage(make_method(spec, "local"))
    assert "sts/stsb" not in method.training_datasets()
    assert "sts/stsb" in {name for one in before for name in one.training_datasets()}


def test_only_methods_that_train_keep_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'minilm' does not train"):
        local_models(tmp_path).folder("minilm")
