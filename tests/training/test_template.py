"""Templates: ids, truncation, padding, and vectors that are those of plain transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Pooling,
    StaticEmbedding,
    Transformer,
)
from tokenizers import Tokenizer, models, pre_tokenizers

from bench.core.cache import Cache
from bench.core.errors import UsageError
from bench.core.progress import Silent
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.training.template import TEMPLATES, apply_template, prompt_length
from tests.support.models import tiny_bert, tiny_decoder, tiny_llama

KINDS = ["llama", "mistral", "qwen2", "opt", "gpt2"]
TEXTS = ["a red kettle", "Two dogs run. They are fast!", "rain", "word " * 30]


def load(folder: Path, pooling: str = "lasttoken") -> SentenceTransformer:
    transformer = Transformer(str(folder))
    pool = Pooling(transformer.get_embedding_dimension(), pooling)
    return SentenceTransformer(modules=[transformer, pool], device="cpu")


def templated(folder: Path, name: str = "eol") -> SentenceTransformer:
    model = load(folder)
    apply_template(model, name)
    return model


def plain_ids(folder: Path, *texts: str) -> list[int]:
    """Ids of the texts, each tokenised alone and without special tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [i for text in texts for i in tokenizer(text, add_special_tokens=False)["input_ids"]]


def ids_of(model: SentenceTransformer, text: str) -> list[int]:
    ids: list[int] = model.preprocess([text])["input_ids"][0].tolist()
    return ids


@pytest.mark.parametrize(
    ("kind", "bos", "name"),
    [("qwen2", False, "eol"), ("opt", True, "sth"), ("gpt2", False, "sum"), ("gpt2", True, "eol")],
)
def test_ids_are_prefix_sentence_suffix(tmp_path: Path, kind: str, bos: bool, name: str) -> None:
    folder = tiny_decoder(tmp_path / "base", kind, bos=bos)
    model = templated(folder, name)
    prefix, suffix = TEMPLATES[name]
    for text in TEXTS[:3]:
        expected = [1] * bos + plain_ids(folder, prefix, text, suffix)
        assert ids_of(model, text) == expected
    # Where no token spans a quotation mark this is the tokenisation of one string.
    whole = plain_ids(folder, prefix + "a red kettle" + suffix)
    assert ids_of(model, "a red kettle") == [1] * bos + whole


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_pieces_of_a_tokenizer_that_starts_texts_with_a_space(
    tmp_path: Path, kind: str, bos: bool
) -> None:
    model = templated(tiny_decoder(tmp_path / "base", kind, bos=bos))
    pieces = model.tokenizer.convert_ids_to_tokens(ids_of(model, "a red kettle"))
    expected = '▁This▁sentence▁:▁"▁a▁red▁kettle"▁means▁in▁one▁word:"'
    assert "".join(pieces) == "<s>" * bos + expected


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_cuts_the_sentence_alone(tmp_path: Path, kind: str) -> None:
    folder = tiny_decoder(tmp_path / "base", kind)
    model = templated(folder)
    whole, sentence = ids_of(model, TEXTS[3]), plain_ids(folder, TEXTS[3])
    head = [1, *plain_ids(folder, TEMPLATES["eol"][0])]
    tail = whole[len(head) + len(sentence) :]
    assert whole == head + sentence + tail
    assert prompt_length(model) == len(head) + len(tail)
    model.max_seq_length = prompt_length(model) + 7
    assert ids_of(model, TEXTS[3]) == head + sentence[:7] + tail


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_plain_transformers_alone_or_in_a_batch(
    tmp_path: Path, kind: str
) -> None:
    folder = tiny_decoder(tmp_path / "base", kind)
    model = templated(folder)
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    ids = [torch.tensor([ids_of(model, text)]) for text in TEXTS]
    with torch.no_grad():
        expected = np.stack([reference(one).last_hidden_state[0, -1].numpy() for one in ids])
    batch = model.encode(TEXTS, batch_size=len(TEXTS))
    alone = np.stack([model.encode(text) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    np.testing.assert_allclose(batch, expected, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    mask = model.preprocess(TEXTS)["attention_mask"]
    assert bool(mask[:, -1].all()) == (kind != "gpt2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_needs_nothing_else(tmp_path: Path, kind: str) -> None:
    model = templated(tiny_decoder(tmp_path / "base", kind), "sum")
    length = model.max_seq_length
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), model.encode(TEXTS))
    assert loaded.max_seq_length == length == 256
    assert loaded.tokenizer.padding_side == ("right" if kind == "gpt2" else "left")
    assert loaded.tokenizer.pad_token == "</s>"
    assert loaded.prompts.keys() <= {"query", "document"} and not any(loaded.prompts.values())
    assert prompt_length(loaded) == prompt_length(model)


def test_the_encoding_plan_gives_the_same_vectors(tmp_path: Path) -> None:
    model = templated(tiny_llama(tmp_path / "base"))
    key = ("task", "text")
    cache = Cache(tmp_path / "cache").vectors
    encoded = encode_columns(
        model, {key: Column(TEXTS)}, model_fingerprint="one", folder=cache, progress=Silent()
    )
    np.testing.assert_allclose(encoded.vectors[key], model.encode(TEXTS), atol=1e-5)


def test_a_chat_template_is_passed_by(tmp_path: Path) -> None:
    folder = tiny_decoder(tmp_path / "base", "qwen2")
    plain = templated(folder)
    chat = "{% for message in messages %}chat {{ message['content'] }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(chat)
    assert "message" in load(folder)[0].modality_config
    chatty = templated(folder)
    assert ids_of(chatty, TEXTS[0]) == ids_of(plain, TEXTS[0])
    chatty.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), plain.encode(TEXTS))


def test_an_eos_token_is_left_out(tmp_path: Path) -> None:
    folder = tiny_decoder(tmp_path / "base", "gpt2", bos=False)
    model = load(folder)
    model.tokenizer.add_eos_token = True
    assert model.tokenizer("rain")["input_ids"][-1] == 2
    apply_template(model, "eol")
    assert ids_of(model, "rain") == ids_of(templated(folder), "rain")


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    model = templated(tiny_llama(tmp_path / "base"))
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    apply_template(loaded, "eol")
    assert ids_of(loaded, TEXTS[0]) == ids_of(model, TEXTS[0])
    with pytest.raises(UsageError, match="'sth' cannot be used: the base has another one"):
        apply_template(loaded, "sth")


def _bert(folder: Path) -> SentenceTransformer:
    return load(tiny_bert(folder))


def _mean(folder: Path) -> SentenceTransformer:
    return load(tiny_llama(folder), "mean")


def _slow(folder: Path) -> SentenceTransformer:
    model = load(tiny_llama(folder))
    model[0].processor = transformers.ByT5Tokenizer()
    return model


def _no_transformer(folder: Path) -> SentenceTransformer:
    words = Tokenizer(models.WordLevel({"rain": 0}, unk_token="rain"))
    return SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=4)], device="cpu")


def _no_padding(folder: Path) -> SentenceTransformer:
    model = load(tiny_decoder(folder, "gpt2"))
    model.tokenizer.eos_token = None
    return model


def _words_by_spaces(folder: Path) -> SentenceTransformer:
    model = load(tiny_llama(folder))
    words = Tokenizer(models.WordLevel({"x": 0, "</s>": 1, 'x"': 2}, unk_token="</s>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backed: Any = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>")
    model[0].processor = backed
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_bert, "the base is not a causal model"),
        (_mean, "the base has pooling mean, not lasttoken"),
        (_slow, "the base has no fast tokenizer"),
        (_no_transformer, "the base has no fast tokenizer"),
        (_no_padding, "neither a padding nor an EOS token"),
        (_words_by_spaces, "does not split quotation marks from words"),
    ],
)
def test_refused_bases(tmp_path: Path, make: Any, reason: str) -> None:
    model = make(tmp_path / "base")
    with pytest.raises(UsageError, match=f"template 'eol' cannot be used: .*{reason}"):
        apply_template(model, "eol")


def test_unknown_template(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown template 'one'; choose eol, sth, sum"):
        templated(tiny_llama(tmp_path / "base"), "one")


def test_a_model_without_a_tokenizer_or_template_has_no_prompt(tmp_path: Path) -> None:
    assert prompt_length(_no_transformer(tmp_path)) == 0
    assert prompt_length(_bert(tmp_path / "bert")) == 0
