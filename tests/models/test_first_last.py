"""The pooling of the first and the last layer: its vectors, and who refuses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from bench.api import build_method
from bench.core.errors import UsageError
from bench.data.graded import Graded, GradedPairs
from bench.models.checkpoints import load_folder, with_pooling
from bench.models.layers import cut_layers
from tests.support.models import tiny_bert, tiny_llama

TEXTS = ["a red kettle", "two dogs run", "rain"]


def by_hand(folder: Path) -> NDArray[np.float32]:
    """Mean over tokens of the average of two layers, as plain transformers computes it."""
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        model = AutoModel.from_pretrained(folder).eval()
        states = model(**tokens, output_hidden_states=True).hidden_states
    mask = tokens["attention_mask"].unsqueeze(-1)
    found: NDArray[np.float32] = (
        ((states[1] + states[-1]) / 2 * mask).sum(1) / mask.sum(1)
    ).numpy()
    return found


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_vectors_are_of_the_first_and_the_last_layer(tmp_path: Path, layers: int) -> None:
    folder = tiny_bert(tmp_path / "base", layers=layers)
    found = build_method(f"sbert@{folder}[pooling=avg_first_last]")[0].encoder.encode(TEXTS)
    np.testing.assert_allclose(found, by_hand(folder), atol=1e-6)
    mean = load_folder(folder, "cpu").encode(TEXTS)
    assert np.allclose(found, mean, atol=1e-3) is (layers == 1)


def test_the_library_loads_what_is_saved(tmp_path: Path) -> None:
    model = load_folder(tiny_bert(tmp_path / "base", layers=3), "cpu", "avg_first_last")
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=False)
    np.testing.assert_array_equal(loaded.encode(TEXTS), model.encode(TEXTS))


def test_a_training_moves_the_layers_and_not_their_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"one text {i}\n" for i in range(40)))
    base = tiny_bert(tmp_path / "base", layers=3)
    stage = "dev=false,batch_size=8,max_steps=3,lr=0.01"
    first = build_method(
        f"simcse[base={base},corpus={corpus},pooling=avg_first_last,{stage}]", profile="paper"
    )[0]
    graded = Graded([(f"one {i}", f"two {i}") for i in range(16)], [i / 15 for i in range(16)])
    monkeypatch.setattr(GradedPairs, "load", lambda self, data: graded)
    monkeypatch.setattr(GradedPairs, "fingerprint", lambda self, data: "made up")
    tuning = f"pcc-tuning[base={first.folder},stage1=,lora_rank=0,{stage}]"
    for model in (first.encoder, build_method(tuning, profile="paper")[0].encoder):
        assert isinstance(model, SentenceTransformer)
        names = [type(module).__name__ for module in model]
        assert names == ["Transformer", "WeightedLayerPooling", "Pooling"]
        assert model[1].layer_weights.tolist() == [1, 0, 1]
        assert not model[1].layer_weights.requires_grad
        weights = model[0].model.encoder.layer[0].output.dense.weight
        assert not torch.equal(
            weights, AutoModel.from_pretrained(base).encoder.layer[0].output.dense.weight
        )


def test_normed_and_other_states_are_not_averaged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="LlamaModel norms its last states alone"):
        load_folder(tiny_llama(tmp_path / "llama"), "cpu", "avg_first_last")


def test_layers_that_are_read_are_not_cut(tmp_path: Path) -> None:
    model = load_folder(tiny_bert(tmp_path / "base", layers=3), "cpu", "avg_first_last")
    with pytest.raises(UsageError, match="reads several layers cannot be cut"):
        cut_layers(model, 2)
    cut_layers(with_pooling(model, "mean"), 2)
