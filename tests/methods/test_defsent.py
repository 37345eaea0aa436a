"""DefSent: what is frozen, its logits, what it learns from and what it measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

from bench.api import build_method, make_settings
from bench.core.errors import DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.data.definitions import part_of
from bench.method import BuildContext, Built, named_method, resolve
from bench.methods.defsent import DefSent
from bench.methods.losses.definitions import (
    WordLoss,
    def_to_word,
    freeze_embeddings,
    head_logits,
    tied_logits,
)
from bench.models.checkpoints import load_folder
from tests.support.models import tiny_bert, tiny_llama
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again

# Each word is told by a pair of features.
FIRST, SECOND = ("red", "blue", "green", "pink", "grey", "black"), ("big", "wet", "old", "hot")
WORDS = [f"{a}{b}t" for a, b in product("bdfgkl", "aeiu")]
DEFINED = dict(zip(WORDS, product(FIRST, SECOND), strict=True))
DEFINITIONS = {
    word: [f"a {one} {two} thing", f"the {two} thing that is {one}"]
    for word, (one, two) in DEFINED.items()
}
SMALL: Mapping[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXTS = ["a red thing", "the old thing is blue"]


def tiny_masked_lm(folder: Path) -> Path:
    """Save a random BERT with a head, whose words are tokens, and return its path."""
    others = [*FIRST, *SECOND, "a", "the", "thing", "that", "is"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *others, *WORDS]
    folder.mkdir()
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(pieces), initializer_range=0.1, **SMALL)
        BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tiny_masked_lm(tmp_path / "tiny")


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "words.tsv"
    lines = [f"{word}\t{text}\n" for word, texts in DEFINITIONS.items() for text in texts]
    path.write_text("".join(lines) + "red thing\ta thing that is red\n")
    return path


def spec(base: Path | str, data: Path, **options: Any) -> str:
    settings = {"base": base, "data": data, "dev": "false", "batch_size": 8, "lr": 1e-2, **options}
    return f"defsent[{','.join(f'{name}={value}' for name, value in settings.items())}]"


def encoder(built: Built) -> SentenceTransformer:
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def build(base: Path | str, data: Path, **options: Any) -> Built:
    return build_method(spec(base, data, **options))[0]


def measured(built: Built) -> dict[str, dict[str, float]]:
    assert built.folder is not None
    return dict(json.loads((built.folder / "def_to_word.json").read_text()))


@pytest.mark.parametrize("head", ["true", "false"])
def test_only_layers_change(base: Path, dictionary: Path, head: str) -> None:
    trained = encoder(build(base, dictionary, head=head, epochs=2))
    before = load_folder(base, "cpu").state_dict()
    for name, after in trained.state_dict().items():
        same = torch.equal(before[name], after)
        if ".embeddings." in name:
            assert same, name
        elif ".encoder." in name:
            # A bias of keys shifts all scores of a query alike, so that it has no gradient.
            assert not same or name.endswith("key.bias"), name
    saved = [type(module).__name__ for module in trained]
    assert saved == ["Transformer", "Pooling"]


def test_the_head_gets_no_gradient(base: Path) -> None:
    model, masked_lm = load_folder(base, "cpu"), BertForMaskedLM.from_pretrained(base)
    before = {name: tensor.clone() for name, tensor in masked_lm.cls.state_dict().items()}
    freeze_embeddings(model)
    loss = WordLoss(model.train(), head_logits(masked_lm))
    assert not [name for name in loss.state_dict() if not name.startswith("model.")]
    optimizer = torch.optim.AdamW(loss.parameters(), lr=0.1)
    loss([model.preprocess(TEXTS)], torch.tensor([20.0, 21.0])).backward()
    optimizer.step()
    first: Any = model[0]
    block = first.auto_model.embeddings
    for parameter in (*masked_lm.cls.parameters(), *block.parameters()):
        assert parameter.grad is None
    for name, tensor in masked_lm.cls.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert first.auto_model.encoder.layer[0].output.dense.weight.grad.abs().sum() > 0


def test_logits_are_those_of_the_stock_head() -> None:
    ids = torch.arange(12).reshape(2, 6)
    config = {"vocab_size": 40, **SMALL}
    bert = BertForMaskedLM(BertConfig(**config)).eval()
    roberta = RobertaForMaskedLM(RobertaConfig(**config)).eval()
    for masked_lm, inner in ((bert, bert.bert), (roberta, roberta.roberta)):
        states = inner(ids).last_hidden_state
        expected = masked_lm(ids).logits
        torch.testing.assert_close(head_logits(masked_lm)(states[:, 2]), expected[:, 2])


def test_logits_without_a_head(base: Path) -> None:
    model = load_folder(base, "cpu")
    vectors = torch.randn(3, 16)
    first: Any = model[0]
    weight = first.auto_model.embeddings.word_embeddings.weight
    torch.testing.assert_close(tied_logits(model)(vectors), vectors @ weight.T)


def test_heads_and_bases_that_cannot_be_used(tmp_path: Path, dictionary: Path) -> None:
    other = DistilBertForMaskedLM(DistilBertConfig(vocab_size=40, dim=16, n_heads=2, n_layers=1))
    with pytest.raises(UsageError, match="head of DistilBertForMaskedLM is neither"):
        head_logits(other)
    letters = tmp_path / "letters.tsv"
    letters.write_text("".join(f"{letter}\tthe letter {letter}\n" for letter in "abcdefghijkl"))
    bare = tiny_bert(tmp_path / "bare")
    with pytest.raises(UsageError, match="no head for masked language modelling"):
        build(bare, letters)
    assert encoder(build(bare, letters, head="false")).encode(TEXTS).shape == (2, 16)
    with pytest.raises(UsageError, match="LlamaModel has no block of embeddings"):
        freeze_embeddings(load_folder(tiny_llama(tmp_path / "llama"), "cpu"))
    with pytest.raises(DataError, match="has no word in its train part that is one token"):
        build(bare, dictionary, head="false")


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_a_saved_model_gets_the_pooling_of_the_settings(
    base: Path, dictionary: Path, tmp_path: Path, pooling: str
) -> None:
    saved = load_folder(base, "cpu")
    saved.append(Normalize())
    saved.save_pretrained(str(tmp_path / "saved"))
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "saved")
    BertForMaskedLM.from_pretrained(base).save_pretrained(tmp_path / "saved")
    settings = {"pooling": pooling, "lr": 1e-30, "max_steps": 1}
    one = encoder(build(tmp_path / "saved", dictionary, **settings)).encode(TEXTS)
    other = load_folder(base, "cpu", pooling).encode(TEXTS)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_examples_are_words_of_one_token_and_their_definitions(
    base: Path, dictionary: Path
) -> None:
    method = resolve(DefSent, parse_method_spec(spec(base, dictionary)), "paper")
    ctx = context(dictionary.parent)
    assert isinstance(method, DefSent)
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = {part: method.examples(part, ctx) for part in ("train", "dev", "test")}
    for part, examples in found.items():
        assert examples
        for text, token in examples:
            word = str(tokenizer.decode([token]))
            assert text in DEFINITIONS[word]
            assert part_of(word) == part
    assert sum(map(len, found.values())) == 2 * len(WORDS)
    rows = method.rows(ctx)
    assert [text for text, _ in found["train"]] == [text for (text,) in rows]
    assert [token for _, token in found["train"]] == method.labels(rows, ctx)
    texts = set(method.training_texts(ctx.data))
    assert texts >= {text for (text,) in rows}
    assert not texts & {text for part in ("dev", "test") for text, _ in found[part]}


def context(folder: Path) -> BuildContext:
    settings = make_settings(profile="paper")
    models = settings.models
    return BuildContext(0, "paper", "cpu", folder, settings.data, models, settings.progress)


def test_a_method_with_a_masked_language_model_is_a_base(base: Path, tmp_path: Path) -> None:
    letters, corpus = tmp_path / "letters.tsv", tmp_path / "corpus.tsv"
    letters.write_text("".join(f"{letter}\tthe letter {letter}\n" for letter in "abcdefghijkl"))
    corpus.write_text("".join(f"text {i}\n" for i in range(8)))
    bare = tiny_bert(tmp_path / "bare")
    method = f"minilm-l2-mlm[base={bare},corpus={corpus},batch_size=4,max_steps=2]"
    one, other = (build(method, letters, head=head) for head in ("true", "false"))
    assert measured(one).keys() == {"dev", "test"}
    assert not np.allclose(encoder(one).encode(TEXTS), encoder(other).encode(TEXTS), atol=1e-4)


def test_number_of_definitions_and_fingerprints(base: Path, dictionary: Path) -> None:
    some = build(base, dictionary, sentences=10)
    assert some.training is not None
    assert some.training["pairs"] == 10
    dictionary.write_text(dictionary.read_text() + "bat\tanother\n")
    assert build(base, dictionary, sentences=10).fingerprint != some.fingerprint


def test_words_are_learned_and_what_is_found_is_measured(base: Path, dictionary: Path) -> None:
    built = build(base, dictionary, epochs=40, lr=3e-2)
    masked_lm = BertForMaskedLM.from_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    learned = [word for word in WORDS if part_of(word) == "train"]
    texts = [text for word in learned for text in DEFINITIONS[word]]
    tokens = [tokenizer.convert_tokens_to_ids(word) for word in learned for _ in range(2)]
    scores = [
        def_to_word(model, head_logits(masked_lm), texts, tokens)
        for model in (load_folder(base, "cpu"), encoder(built))
    ]
    assert scores[0]["mrr@10"] < 0.4
    assert scores[1]["mrr@10"] > scores[0]["mrr@10"] + 0.3
    held_out = measured(built)
    assert [*held_out] == ["dev", "test"]
    for part, values in held_out.items():
        assert values["n"] == 2 * sum(part_of(word) == part for word in WORDS)
        assert 0 <= values["mrr@10"] <= values["mrr"] <= 1


def test_a_definition_that_training_has_seen_measures_nothing(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "same.tsv"
    path.write_text("".join(f"{word}\tthe same thing\n" for word in WORDS))
    assert measured(build(base, path, max_steps=1)) == {}


def test_ranks_of_words(base: Path) -> None:
    model = load_folder(base, "cpu")
    scores = torch.arange(40.0, 0, -1).repeat(4, 1)
    scores[3] = 1.0
    found = def_to_word(model, lambda vectors: scores, ["a thing"] * 4, [0, 2, 19, 5])
    ranks = np.array([1, 3, 20, 40])
    assert found == pytest.approx(
        {
            "n": 4,
            "mrr@10": (1 + 1 / 3) / 4,
            "mrr": (1 / ranks).mean(),
            "top1": 0.25,
            "top3": 0.5,
            "top10": 0.5,
        }
    )


def method(options: str = "", profile: str = "paper") -> Any:
    return named_method(f"defsent[{options}]" if options else "defsent", profile)


def test_the_published_settings_of_bert_base_with_the_mean() -> None:
    # Tsukagoshi et al., ACL 2021, and the authors' code; the rate is 2^3.5 millionths.
    config = method().config
    assert config.lr == pytest.approx(2**3.5 * 1e-6, rel=2e-3)
    assert (config.batch_size, config.epochs, config.max_seq_length) == (16, 1, 512)
    assert (config.base, config.pooling, config.head) == ("bert-base-uncased", "mean", True)
    assert (config.data, config.sentences) == ("oewn", None)
    settings = method().train_settings(1000)
    # Adam without decay or clipping; a warm-up, then a constant rate; the order of the file.
    assert (settings.weight_decay, settings.max_grad_norm, settings.adam_epsilon) == (0, 0, 1e-8)
    assert (settings.warmup_ratio, settings.schedule, settings.shuffle) == (0.1, "constant", False)
    # The model of the last step is the one that is kept.
    assert (settings.dev_every, settings.patience) == (0, 0)
    assert "dev" not in method().reads()


def test_the_local_profile_chooses_and_shuffles() -> None:
    settings = method(profile="local").train_settings(1000)
    assert (settings.schedule, settings.shuffle, settings.dev_every) == ("linear", True, 64)


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("lr=0.01", "lr", 0.01),
        ("epochs=3", "epochs", 3),
        ("batch_size=32", "batch_size", 32),
        ("max_seq_length=17", "max_seq_length", 17),
        ("max_steps=9", "max_steps", 9),
        ("dev=true,dev_every=5", "dev_every", 5),
        ("micro_batch=4", "micro_batch", 4),
        ("schedule=linear", "schedule", "linear"),
        ("shuffle=true", "shuffle", True),
    ],
)
def test_settings_reach_the_trainer(option: str, name: str, value: Any) -> None:
    usual, changed = (method(given).train_settings(1000) for given in ("", option))
    assert getattr(changed, name) == value != getattr(usual, name)


def test_logits_are_the_heads_or_the_embeddings(base: Path, tmp_path: Path) -> None:
    model, masked_lm = load_folder(base, "cpu"), BertForMaskedLM.from_pretrained(base).eval()
    features, words = [model.preprocess(TEXTS)], torch.tensor([5.0, 6.0])
    expected = {"true": head_logits(masked_lm), "false": tied_logits(model)}
    found = []
    for head, logits in expected.items():
        loss = method(f"base={base},head={head}").loss(model, [], context(tmp_path))
        torch.testing.assert_close(loss(features, words), WordLoss(model, logits)(features, words))
        found.append(loss(features, words).item())
    assert abs(found[0] - found[1]) > 1e-3


def test_pooling_is_that_of_training_and_inference() -> None:
    assert [method(f"pooling={one}").pooling for one in ("cls", "max")] == ["cls", "max"]


def test_what_it_learns_from() -> None:
    assert method().training_datasets() == ("definitions/oewn",)
    loaded = resolve(DefSent, parse_method_spec("defsent@x"), "local")
    assert loaded.training_datasets() == ()


@pytest.mark.nightly
def test_stopped_and_run_again(
    base: Path, dictionary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent_checkpoints(monkeypatch)
    whole = encoder(build(base, dictionary)).encode(TEXTS)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    again = stopped_and_run_again(lambda: encoder(build(base, dictionary)), monkeypatch)
    np.testing.assert_array_equal(again.encode(TEXTS), whole)
