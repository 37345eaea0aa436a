"""Token prepending: its prompts and layers, what it refuses, and the claims on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from bench.api import build_method
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.method import resolve
from bench.methods.parts.prompts import PROMPTS, Placeholder, prepared
from bench.methods.token_prepending import PUBLISHED, TokenPrepending
from bench.verdicts.papers import load_papers
from tests.support.models import tiny_bert, tiny_decoder
from tests.support.prepending import TEXTS, encoder, place_of

pytestmark = pytest.mark.usefixtures("own_cache")


KINDS_OF_TASK = ("classification", "clustering", "query", "passage", "sts")


def test_the_record_says_whose_wording_it_is() -> None:
    method = resolve(
        TokenPrepending, parse_method_spec("token-prepending[prompt=metaeol]"), "local"
    )
    assert method.config.model_dump()["prompt"] == "metaeol-ours"
    with pytest.raises(UsageError, match="prompt: input should be 'prompteol'"):
        resolve(TokenPrepending, parse_method_spec("token-prepending[prompt=eol]"), "local")


def test_prompts_are_those_of_the_paper() -> None:
    (eol,), (cot,) = PROMPTS["prompteol"], PROMPTS["cot"]
    usual = Placeholder()
    assert eol.holding(usual).around("X") == 'This sentence : <PST> "X." means in one word:"'
    assert eol.around("X") == 'This sentence : "X." means in one word:"'
    assert cot.holding(usual).around("X") == (
        'After thinking step by step , this sentence : <PST> "X." means in one word:"'
    )
    by_task = [PROMPTS[name][0] for name in KINDS_OF_TASK]
    assert len(set(by_task)) == len(by_task)
    for prompt in (*PROMPTS["knowledge"], *PROMPTS["metaeol-ours"], *by_task):
        filled = prompt.holding(usual).around("X")
        assert 'his sentence : <PST> "X." ' in filled
        assert filled.endswith(' in one word:"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", "a dog."),
        ("a dog.", "a dog."),
        ("a dog!", "a dog!."),
        ("a dog?", "a dog."),
        ("is it??", "is it?."),
        ('he said "no"', "he said 'no'"),
        ("the dogs'", "the dogs'"),
        ("a dog ", "a dog ."),
        ("", ""),
    ],
)
def test_sentences_are_prepared_as_by_the_authors(text: str, expected: str) -> None:
    assert prepared(text) == expected


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_long_texts_lose_their_end_and_never_the_prompt(
    folders: Callable[[str], Path], kind: str
) -> None:
    text = "word " * 400
    whole, cut = (encoder(folders(kind), max_seq_length=n) for n in (500, 20))
    (row,), (short,), (usual,) = whole.rows([text]), cut.rows([text]), cut.rows(["word"])
    # The tiny models have 256 positions.
    assert len(row) == 256
    assert row[-5:] == short[-5:] == usual[-5:]
    place = place_of(cut, usual)
    assert row[: place + 3] == short[: place + 3] == usual[: place + 3]
    assert np.isfinite(whole.encode([text])).all()
    around = len(cut.rows([""])[0])
    assert abs(len(short) - around - 20) <= 2


def test_no_prompt_and_mean_pooling_are_the_plain_mean(folders: Callable[[str], Path]) -> None:
    for kind in ("llama", "opt"):
        made = encoder(folders(kind), prompt="none", prepend="false", pooling="mean", layer="last")
        built, _ = build_method(f"sbert@{folders(kind)}")
        transformer: Any = built.encoder[0]  # type: ignore[index] # a sentence transformer
        transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
        np.testing.assert_allclose(made.encode(TEXTS), built.encoder.encode(TEXTS), atol=1e-5)


def read(text: str, layers: int, profile: str = "paper") -> tuple[int, int, int]:
    method = resolve(TokenPrepending, parse_method_spec(text), profile)
    assert isinstance(method, TokenPrepending)
    reading = method.reading(layers)
    return reading.start, reading.stop, reading.layer


def test_layers_are_the_published_ones_or_shares() -> None:
    assert read("token-prepending", 32) == (1, 7, 27)
    assert read("token-prepending[prompt=knowledge]", 32) == (1, 7, 31)
    assert read("token-prepending[prompt=metaeol]", 32) == (1, 7, 27)
    assert read("token-prepending[layer=last]", 32) == (1, 7, 32)
    assert read("token-prepending[layer=-2,stop=3]", 32) == (1, 3, 31)
    assert read("token-prepending@Qwen/Qwen2-7B@abc", 28) == (1, 6, 27)
    assert read("token-prepending@google/gemma-2-9b", 42) == (1, 6, 41)
    assert read("token-prepending[base=other/model]", 32) == (1, 7, 27)
    assert read("token-prepending[base=other/model]", 24) == (1, 5, 20)
    assert read("token-prepending", 6, "local") == (1, 2, 5)
    assert read("token-prepending[base=other/model]", 1) == (1, 1, 1)
    assert set(PUBLISHED) >= {"meta-llama/Llama-2-13b-hf", "meta-llama/Meta-Llama-3-8B"}


@pytest.mark.parametrize("options", ["layer=5", "layer=0", "layer=-5", "stop=5"])
def test_layers_that_are_not_there(folders: Callable[[str], Path], options: str) -> None:
    with pytest.raises(UsageError, match=rf"{options} is out of range: .* has 4 layers"):
        build_method(f"token-prepending@{folders('llama')}[{options}]")


def test_checkpoints_are_decoders_too(folders: Callable[[str], Path]) -> None:
    folder = folders("gpt2")
    built, _ = build_method(f"token-prepending@{folder}[stop=3,layer=3]")
    expected = encoder(folder, stop=3, layer=3).encode(TEXTS)
    np.testing.assert_array_equal(built.encoder.encode(TEXTS), expected)


def test_models_that_are_no_decoders(tmp_path: Path, folders: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="is a BertModel, which is not a decoder"):
        encoder(tiny_bert(tmp_path / "bert"))
    with pytest.raises(UsageError, match="'random' is not a transformer"):
        encoder("random")
    both = tmp_path / "both"
    transformers.T5Model(
        transformers.T5Config(vocab_size=99, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    ).save_pretrained(both)
    transformers.AutoTokenizer.from_pretrained(folders("gpt2")).save_pretrained(both)
    with pytest.raises(UsageError, match="T5EncoderModel, which is not a decoder"):
        encoder(both)


def test_prompts_that_do_not_fit(tmp_path: Path) -> None:
    folder = tiny_decoder(tmp_path / "short", "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 40}))
    with pytest.raises(UsageError, match=r"the prompt takes 42 tokens and the model has 40 pos"):
        encoder(folder)


def test_four_bits_need_a_package(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match=r"pip install 'sentence-bench\[llm4bit\]'"):
        encoder(folders("llama"), load_in_4bit="true")


def test_vectors_of_four_bits_are_near_those_of_the_weights(
    folders: Callable[[str], Path],
) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra 'llm4bit'")
    whole, small = (
        encoder(folders("llama"), load_in_4bit=flag).encode(TEXTS) for flag in ("false", "true")
    )
    assert not np.array_equal(whole, small)
    cosines = (whole * small).sum(1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(small, axis=1)
    assert cosines.min() > 0.9


def test_seeds_matter_where_the_base_is_trained(folders: Callable[[str], Path]) -> None:
    local = resolve(TokenPrepending, parse_method_spec("token-prepending"), "local")
    assert local.trains
    assert (local.base, local.parents) == ("decoder-mini", ("decoder-mini",))
    loaded = f"token-prepending@{folders('llama')}"
    assert not resolve(TokenPrepending, parse_method_spec(loaded), "local").trains


def test_the_claims_are_on_specs_that_exist() -> None:
    (paper,) = (one for one in load_papers([]) if one.arxiv == "2412.11556")
    for claim in paper.claims:
        for spec in (claim.a, claim.b):
            resolve(TokenPrepending, parse_method_spec(spec), claim.profile)
