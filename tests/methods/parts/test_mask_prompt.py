"""Prompts with a mask: where they stand, which state is read, and that folders keep them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from bench.core.errors import UsageError
from bench.methods.parts.mask_prompt import with_mask_prompt
from bench.models.checkpoints import load_folder, with_pooling
from bench.training.template import prompt_length
from tests.support.models import tiny_bert, tiny_llama, tiny_roberta

TEXTS = ["a red kettle", 'he said "no"', "[MASK] and <mask> are no words", "", "w " * 300]
KINDS = {"bert": (tiny_bert, "[MASK]"), "roberta": (tiny_roberta, "<mask>")}
LOAD = """
import sys
import numpy as np
from sentence_transformers import SentenceTransformer

folder, out = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu", trust_remote_code=False, local_files_only=True)
np.save(out, model.encode(["a red kettle"]))
assert not [name for name in sys.modules if name.split(".")[0] == "bench"]
"""


def prompted(folder: Path, kind: str) -> SentenceTransformer:
    return with_mask_prompt(load_folder(KINDS[kind][0](folder), "cpu"))


@pytest.mark.parametrize("kind", [*KINDS])
def test_the_state_at_the_mask_of_the_whole_string(kind: str, tmp_path: Path) -> None:
    model = prompted(tmp_path / "base", kind)
    bert = AutoModel.from_pretrained(tmp_path / "base").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    # No piece spans what is beside a quotation mark in these.
    text = "rain" if kind == "bert" else "Rain"
    tokens = tokenizer(f'This sentence : "{text}" means {KINDS[kind][1]} .', return_tensors="pt")
    (place,) = (tokens["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0].tolist()
    with torch.no_grad():
        expected = bert(**tokens).last_hidden_state[0, place].numpy()
    np.testing.assert_allclose(model.encode(["x y z " * 9, text])[1], expected, rtol=0, atol=1e-5)
    plain = with_pooling(load_folder(tmp_path / "base", "cpu"), "mean").encode([text])[0]
    assert not np.allclose(plain, expected, atol=1e-2)


@pytest.mark.parametrize("kind", [*KINDS])
def test_every_sentence_has_its_prompt(kind: str, tmp_path: Path) -> None:
    model = prompted(tmp_path / "base", kind)
    model.max_seq_length = 80
    tokenizer = model.tokenizer
    start, end = (
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ('This sentence : "', f'" means {KINDS[kind][1]} .')
    )
    for text in TEXTS:
        features: Any = model.preprocess([text])
        ids = features["input_ids"][0].tolist()
        assert ids[: len(start) + 1] == [tokenizer.cls_token_id, *start]
        assert ids[-len(end) - 1 :] == [*end, tokenizer.sep_token_id]
        assert len(ids) <= 80
    assert prompt_length(model) == len(start) + len(end) + 2


def test_a_mask_of_the_sentence_is_not_read(tmp_path: Path) -> None:
    model = prompted(tmp_path / "base", "bert")
    tokens: Any = model.preprocess(["[MASK] rain"])
    bert: Any = model[0]
    with torch.no_grad():
        states = bert.auto_model(tokens["input_ids"]).last_hidden_state[0]
    first, last = (tokens["input_ids"][0] == model.tokenizer.mask_token_id).nonzero()[:, 0]
    assert not torch.allclose(states[first], states[last], atol=1e-2)
    np.testing.assert_allclose(model.encode(["[MASK] rain"])[0], states[last], rtol=0, atol=1e-5)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [*KINDS])
def test_a_saved_model_keeps_its_prompt(kind: str, tmp_path: Path) -> None:
    model = prompted(tmp_path / "base", kind)
    folder, out = tmp_path / "saved", tmp_path / "vectors.npy"
    model.save_pretrained(str(folder), create_model_card=False)
    again = load_folder(folder, "cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    assert prompt_length(again) == prompt_length(model) > 0
    call = [sys.executable, "-c", LOAD, str(folder), str(out)]
    subprocess.run(call, check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_allclose(np.load(out), model.encode(TEXTS[:1]), rtol=0, atol=1e-6)


def test_what_cannot_have_a_prompt(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a base without a prompt of its own"):
        with_mask_prompt(prompted(tmp_path / "base", "bert"))
    with pytest.raises(UsageError, match="needs a base with a fast tokenizer that knows one"):
        with_mask_prompt(load_folder(tiny_llama(tmp_path / "llama"), "cpu"))
