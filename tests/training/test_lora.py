"""LoRA: what is trained, resuming, and merging into an ordinary folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import nn

from bench.core.errors import DataError, UsageError
from bench.training.collapse import CollapseGuard
from bench.training.heads import append_head
from bench.training.lora import add_lora, keep_lora, load_lora, merge_lora
from bench.training.template import apply_template
from bench.training.trainer import TRAINED_FILE, TrainSettings, seed_everything, train
from tests.support.models import tiny_decoder
from tests.training.test_trainer import PAIRS, Contrast, Killed, assert_equal_states, context

TEXTS = ["a red kettle", "two dogs run", "rain " * 9]
SETTINGS = TrainSettings(
    lr=1e-2, epochs=3, batch_size=4, max_seq_length=60, warmup_ratio=0.1, checkpoint_every=2
)
DEV = [
    {"sentence1": one, "sentence2": PAIRS[(i * 7) % 20][1], "score": float(i % 5)}
    for i, (one, _) in enumerate(PAIRS)
]
WITH_DEV = TrainSettings(lr=1e-2, epochs=3, batch_size=4, max_seq_length=60, dev_every=2)


@pytest.fixture(autouse=True)
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn at random, the weights around the adapters let so few steps collapse the vectors."""
    monkeypatch.setattr(CollapseGuard, "check", lambda self, step: None)


def tiny(folder: Path, kind: str = "llama") -> SentenceTransformer:
    transformer = Transformer(str(tiny_decoder(folder, kind)))
    pooling = Pooling(transformer.get_embedding_dimension(), "lasttoken")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    apply_template(model, "eol")
    return model


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def disturb(model: nn.Module) -> None:
    """Move the adapters away from zero, as training does."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)


@pytest.mark.parametrize("kind", ["llama", "opt", "gpt2"])
def test_only_the_adapters_of_all_linear_layers_are_trained(tmp_path: Path, kind: str) -> None:
    model = tiny(tmp_path / "base", kind)
    linear = {
        name
        for name, module in model[0].model.named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    }
    before = model.encode(TEXTS)
    add_lora(model, 4, seed=0)
    np.testing.assert_array_equal(model.encode(TEXTS), before)
    names = trainable(model)
    adapted = {name.split("base_model.model.")[1].rpartition(".lora_")[0] for name in names}
    assert adapted == linear
    assert len(names) == 2 * len(linear)
    assert {p.shape[0 if "lora_A" in name else 1] for name, p in names.items()} == {4}
    vectors = model(model.preprocess(TEXTS))["sentence_embedding"]
    vectors.sum().backward()
    graded = {name for name, p in model.named_parameters() if p.grad is not None}
    assert graded == names.keys()


def test_adapters_follow_the_seed_alone(tmp_path: Path) -> None:
    found = []
    for count, seed in enumerate([3, 3, 4]):
        model = tiny(tmp_path / str(count))
        torch.manual_seed(count)
        state = torch.get_rng_state()
        add_lora(model, 4, seed)
        assert torch.equal(torch.get_rng_state(), state)
        found.append(torch.cat([p.detach().flatten() for p in trainable(model).values()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_scale_and_dropout_are_the_papers(tmp_path: Path) -> None:
    model = tiny(tmp_path / "base")
    add_lora(model, 8, seed=0)
    layer = model[0].model.base_model.model.layers[0].mlp.up_proj
    assert layer.lora_dropout["default"].p == 0.05
    assert layer.scaling["default"] == 16 / 8


@pytest.mark.parametrize("kind", ["llama", "opt", "gpt2"])
def test_merged_is_plain_and_gives_the_same_vectors(tmp_path: Path, kind: str) -> None:
    model = tiny(tmp_path / "base", kind)
    kinds = [type(module) for module in model.modules()]
    names = list(trainable(model))
    before = model.encode(TEXTS)
    add_lora(model, 4, seed=0)
    disturb(model)
    unmerged = model.encode(TEXTS)
    merge_lora(model)
    assert np.abs(unmerged - before).max() > 1e-2
    np.testing.assert_allclose(model.encode(TEXTS), unmerged, atol=1e-5)
    assert [type(module) for module in model.modules()] == kinds
    assert list(trainable(model)) == names


def test_a_merged_folder_loads_without_peft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(tmp_path / "base")
    add_lora(model, 4, seed=0)
    disturb(model)
    merge_lora(model)
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    assert not list((tmp_path / "saved").rglob("adapter*"))
    monkeypatch.setitem(sys.modules, "peft", None)
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), model.encode(TEXTS))


def test_merging_what_has_no_adapters_changes_nothing(tmp_path: Path) -> None:
    model = tiny(tmp_path / "base")
    backbone = model[0].model
    merge_lora(model)
    assert model[0].model is backbone


def test_kept_adapters_are_loaded_onto_what_they_were_trained_from(tmp_path: Path) -> None:
    model, again = tiny(tmp_path / "one"), tiny(tmp_path / "two")
    keep_lora(model, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    add_lora(model, 4, seed=0)
    add_lora(again, 4, seed=1)
    disturb(model)
    keep_lora(model, tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    assert file.name == "adapter_model.safetensors"
    load_lora(again, tmp_path / "kept")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    assert trainable(again).keys() == trainable(model).keys()
    # The names are those that peft reads.
    (tmp_path / "kept" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 16, "target_modules": "all-linear"})
    )
    loaded = tiny(tmp_path / "three")
    loaded[0].model = PeftModel.from_pretrained(loaded[0].model, str(tmp_path / "kept"))
    np.testing.assert_allclose(loaded.encode(TEXTS), model.encode(TEXTS), atol=1e-6)


def test_adapters_of_another_rank_or_that_are_not_there_are_refused(tmp_path: Path) -> None:
    model, other = tiny(tmp_path / "one"), tiny(tmp_path / "two")
    add_lora(model, 4, seed=0)
    add_lora(other, 2, seed=0)
    keep_lora(model, tmp_path / "kept")
    with pytest.raises(DataError, match="of other layers or another rank than the model"):
        load_lora(other, tmp_path / "kept")
    with pytest.raises(DataError, match=r"adapter_model.safetensors is missing"):
        load_lora(other, tmp_path / "no")


def test_peft_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"^LoRA needs peft; pip install 'sentence-bench\[llm\]'$"):
        add_lora(tiny(tmp_path / "base"), 4, seed=0)


def run(
    folder: Path, settings: TrainSettings, die_at: int | None = None, *, rank: int = 4
) -> tuple[SentenceTransformer, nn.Module]:
    """Train a tiny decoder with adapters and a head behind them."""
    folder.mkdir(exist_ok=True)
    model = tiny(folder / "base")
    append_head(model, 0)
    # Checkpoints cannot find the base by its name, as where it is a model made in memory.
    model[0].model.config._name_or_path = model[0].model.name_or_path = ""
    if rank:
        add_lora(model, rank, seed=0)
    seed_everything(0)
    loss = Contrast(model)
    ctx = context(folder, die_at)
    train(model, loss, PAIRS, settings, ctx, DEV if settings.dev_every else None)
    return model, loss


# Step 7 is in the second epoch, 10 ends it at a checkpoint.
@pytest.mark.parametrize(("die_at", "rank"), [(7, 4), (10, 4), (7, 0)])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, die_at: int, rank: int) -> None:
    whole = run(tmp_path / "whole", SETTINGS, rank=rank)
    with pytest.raises(Killed):
        run(tmp_path / "killed", SETTINGS, die_at, rank=rank)
    resumed = run(tmp_path / "killed", SETTINGS, rank=rank)
    assert_equal_states(whole[1], resumed[1])


def test_training_leaves_the_base_alone_and_checkpoints_leave_it_out(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "one", SETTINGS, 5)
    (checkpoint,) = (tmp_path / "one" / "work" / "checkpoints").glob("checkpoint-4")
    assert (checkpoint / TRAINED_FILE).is_file()
    assert not list(checkpoint.rglob("model.safetensors"))
    model, _ = run(tmp_path / "one", SETTINGS)
    fresh = tiny(tmp_path / "fresh")
    base = model[0].model.unload()
    assert_equal_states(base, fresh[0].model)


@pytest.mark.nightly
def test_the_best_adapters_are_kept(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole", WITH_DEV)
    with pytest.raises(Killed):
        run(tmp_path / "killed", WITH_DEV, 7)
    resumed, _ = run(tmp_path / "killed", WITH_DEV)
    assert_equal_states(whole, resumed)
    summary = json.loads((tmp_path / "whole" / "work" / "training.json").read_text())
    scores = [entry["spearman"] for entry in summary["dev"]]
    columns = [[row[name] for row in DEV] for name in ("sentence1", "sentence2", "score")]
    score = EmbeddingSimilarityEvaluator(*columns, write_csv=False)(whole)["spearman_cosine"]
    assert score == pytest.approx(max(scores), abs=1e-6)
    assert score != pytest.approx(scores[-1], abs=1e-3)
