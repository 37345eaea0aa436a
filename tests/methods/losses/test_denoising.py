"""The losses of the phases: denoising with shared weights, and cosines of pairs (spec §10.2, 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

from bench.core.errors import CellError
from bench.methods.losses.denoising import denoising_loss
from bench.models.checkpoints import load_folder
from tests.support.models import tiny_bert, tiny_decoder


# §10.2
def denoiser(folder: Path) -> tuple[SentenceTransformer, Any]:
    model = load_folder(folder, "cpu", "mean")
    return model, denoising_loss(model, folder, 0).eval()


def test_the_decoder_shares_the_weights_of_the_encoder(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "four", layers=4)
    model, loss = denoiser(folder)
    own = {one.data_ptr() for one in model.parameters()}
    names = [name for name, one in loss.decoder.named_parameters() if one.data_ptr() in own]
    assert (len(names), len(list(loss.decoder.parameters()))) == (69, 114)
    assert not any("crossattention" in name for name in names)
    decoder = dict(loss.decoder.bert.named_parameters())
    for name, one in model.transformers_model.named_parameters():
        if name in decoder:
            assert decoder[name].data_ptr() == one.data_ptr()
    start = load_folder(folder, "cpu", "mean").transformers_model.state_dict()
    shared = model.transformers_model.state_dict()
    assert all(torch.equal(start[name], one) for name, one in shared.items())


def test_sharing_leaves_the_base_as_it_is_now(base: Path, tmp_path: Path) -> None:
    # Two layers of a folder with four: the library alone would put four below the decoder.
    model = load_folder(tiny_bert(tmp_path / "four", layers=4), "cpu", "mean")
    model.transformers_model.encoder.layer = model.transformers_model.encoder.layer[:2]
    model.transformers_model.config.num_hidden_layers = 2
    model.save_pretrained(str(tmp_path / "two"), create_model_card=False)
    _, loss = denoiser(tmp_path / "two")
    assert loss.decoder.config.num_hidden_layers == 2


def test_the_denoising_loss_sees_the_pooled_vector_alone(base: Path) -> None:
    model, loss = denoiser(base)
    noisy, whole = (model.preprocess(["aa kk zz", "q"]) for _ in range(2))
    expected = loss([noisy, whole], None)
    pooled = model(dict(noisy))["sentence_embedding"].detach()
    wrong = torch.randn_like(model(dict(noisy))["token_embeddings"])
    given = {**noisy, "sentence_embedding": pooled, "token_embeddings": wrong}
    model.forward = lambda features: given  # type: ignore[method-assign]  # what the loss calls
    torch.testing.assert_close(loss([noisy, whole], None), expected)
    wider = {
        "input_ids": torch.nn.functional.pad(whole["input_ids"], (0, 5)),
        "attention_mask": torch.nn.functional.pad(whole["attention_mask"], (0, 5)),
    }
    torch.testing.assert_close(loss([noisy, wider], None), expected)
    given["sentence_embedding"] = 100 * pooled
    assert not torch.allclose(loss([noisy, whole], None), expected)


# §10.3
def test_the_loss_of_pairs(base: Path) -> None:
    model = load_folder(base, "cpu", "mean").eval()
    loss = CosineSimilarityLoss(model)
    tokens = model.preprocess(["aa kk zz", "q"])
    assert loss([tokens, tokens], torch.ones(2)).item() == pytest.approx(0, abs=1e-6)
    vectors = torch.randn(4, 8)
    for other, label, expected in ((vectors, 0, 1), (-vectors, 0, 1), (-vectors, 1, 4)):
        found = loss.compute_loss_from_embeddings([vectors, other], torch.full((4,), label))
        assert found.item() == pytest.approx(expected, abs=1e-5)


def test_a_base_that_cannot_be_a_decoder(base: Path, tmp_path: Path) -> None:
    model = load_folder(base, "cpu", "mean")
    model.save_pretrained(str(tmp_path / "odd"), create_model_card=False)
    config = tmp_path / "odd" / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"mpnet"'))
    with pytest.raises(CellError, match=r"cannot be a decoder.*phases=cl\+ft"):
        denoising_loss(model, tmp_path / "odd", 0)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_decoders_that_would_pass_the_vector_by(tmp_path: Path, kind: str) -> None:
    folder = tiny_decoder(tmp_path / kind, kind)
    with pytest.raises(CellError, match=r"cannot be a decoder \(.*has no cross-attention"):
        denoising_loss(load_folder(folder, "cpu", "mean"), folder, 0)
