"""Pcc-tuning: what it starts from, what it trains on, its criteria and its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.data.graded import Graded, GradedPairs
from bench.method import named_method, resolve
from bench.methods import pcc_tuning
from bench.methods.sup_simcse import SupSimCSE
from bench.metrics.pearson import pearson
from bench.models.access import Models
from bench.training.template import prompt_length
from bench.training.trainer import TrainSettings
from tests.support.models import tiny_bert, tiny_llama
from tests.support.specs import acting

TEXTS = ["a red kettle", "two dogs run", "rain"]
LETTERS = "abcdefghij"
# Alike as their first letters are near in the alphabet.
PAIRS = [(f"{one} {one}{one}", f"{two}{two} {two}") for one in LETTERS for two in LETTERS]
SCORES = [1 - abs(i - j) / 9 for i in range(10) for j in range(10)]


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(GradedPairs, "load", lambda self, data: Graded(PAIRS, SCORES))
    monkeypatch.setattr(GradedPairs, "fingerprint", lambda self, data: "made up")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A training without a first stage."""
    return {
        "base": tiny_bert(tmp_path / "tiny"),
        "stage1": "",
        "pooling": "mean",
        "lora_rank": 0,
        "batch_size": 20,
        "epochs": 10,
        "lr": 1e-2,
        "warmup_steps": 5,
        "dev": "false",
    }


def train(options: dict[str, Any], **more: Any) -> SentenceTransformer:
    built, _ = build_method(acting("pcc-tuning", {**options, **more}))
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def correlation(model: SentenceTransformer) -> float:
    first, second = (torch.tensor(model.encode(list(texts))) for texts in zip(*PAIRS, strict=True))
    return pearson(torch.cosine_similarity(first, second).double().numpy(), np.array(SCORES))


def test_training_raises_the_correlation(options: dict[str, Any]) -> None:
    before = correlation(train(options, lr=1e-30))
    after = {loss: correlation(train(options, loss=loss)) for loss in ("pearson", "cosent", "mse")}
    assert before < 0.6
    assert all(value > before + 0.2 for value in after.values()), (before, after)


@pytest.mark.nightly
def test_criteria_and_their_settings_differ(options: dict[str, Any]) -> None:
    choices: list[dict[str, Any]] = [
        {"loss": "pearson"},
        {"loss": "cosent"},
        {"loss": "mse"},
        {"loss": "translated-relu"},
        {"loss": "smooth-k2"},
        {"loss": "smooth-k2", "t": 0.2},
    ]
    found = [train(options, epochs=1, **choice).encode(TEXTS) for choice in choices]
    for i, one in enumerate(found):
        assert all(not np.allclose(one, other, atol=1e-5) for other in found[i + 1 :])


def test_the_factor_reaches_the_loss() -> None:
    scores, grades = torch.tensor([0.1, 0.9]), torch.tensor([0.0, 0.5])
    for loss in ("smooth-k2", "translated-relu"):
        values = [
            resolve(
                pcc_tuning.PccTuning,
                parse_method_spec(f"pcc-tuning[loss={loss},k={k},t=0.1]"),
                "local",
            )._criterion()(scores, grades)
            for k in (1, 3)
        ]
        assert values[1].item() == pytest.approx(3 * values[0].item())
        assert values[0] > 0


def test_the_first_stage_is_a_method_on_the_base(options: dict[str, Any], tmp_path: Path) -> None:
    triplets = tmp_path / "triplets.tsv"
    triplets.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    stage1 = f"sup-simcse[corpus={triplets},dev=false,head=true,batch_size=8,epochs=1,lr=1e-2]"
    named = stage1[:-1] + f",base={options['base']}]"
    trained, _ = build_method(named)
    untouched = train(options, stage1=stage1, lr=1e-30)
    np.testing.assert_allclose(
        untouched.encode(TEXTS), trained.encoder.encode(TEXTS), rtol=0, atol=1e-6
    )
    assert len(list(untouched)) == 3
    again = train(options, stage1=named, lr=1e-30, base="minilm-l2")
    np.testing.assert_array_equal(untouched.encode(TEXTS), again.encode(TEXTS))
    other, _ = build_method(named.replace("lr=1e-2", "lr=2e-2"))
    assert not np.allclose(other.encoder.encode(TEXTS), untouched.encode(TEXTS), atol=1e-4)


def test_a_published_checkpoint_is_loaded_as_it_is(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "published")
    built, _ = build_method(f"pcc-tuning@{folder}")
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
        states, mask = reference(**tokens).last_hidden_state, tokens["attention_mask"]
    last = states[torch.arange(len(TEXTS)), mask.sum(1) - 1].numpy()
    np.testing.assert_allclose(built.encoder.encode(TEXTS), last, atol=1e-6)


@pytest.fixture
def decoder(options: dict[str, Any], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Options of a decoder with adapters, of which the first stage has some too."""
    triplets = tmp_path / "triplets.tsv"
    triplets.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(16)))
    base = tiny_llama(tmp_path / "llama")

    def made(**stage1: Any) -> dict[str, Any]:
        inner: dict[str, Any] = {"corpus": triplets, "dev": "false", "batch_size": 8, "epochs": 1}
        inner |= {"lr": 1e-2, "template": "eol", "pooling": "lasttoken", "head": "false"}
        inner |= {"lora_rank": 2, **stage1}
        stage = f"sup-simcse[{','.join(f'{key}={value}' for key, value in inner.items())}]"
        return options | {"base": base, "stage1": stage, "lora_rank": 2, "epochs": 1}

    return made


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("template", "ending"), [("eol", 'word:"'), ("sth", "something"), ("sum", "summarized as")]
)
def test_a_decoder_keeps_its_prompt_and_ends_without_adapters(
    decoder: Callable[..., dict[str, Any]], template: str, ending: str
) -> None:
    settings = decoder(template=template)
    one, other = (train(settings, lr=lr) for lr in (1e-30, 5e-3))
    assert not np.allclose(one.encode(TEXTS), other.encode(TEXTS), atol=1e-3)
    assert prompt_length(other) > 0
    pieces = other.tokenizer.convert_ids_to_tokens(other.tokenizer("rain")["input_ids"])
    assert "".join(pieces).replace("▁", " ").endswith(ending)
    assert not [name for name, _ in other.named_parameters() if "lora" in name]
    for name, before in one.named_parameters():
        after = other.get_parameter(name)
        adapted = name.endswith("proj.weight")
        assert torch.allclose(before, after, atol=1e-6) != adapted, name


def ranks(model: SentenceTransformer, base: Path) -> set[int]:
    """Ranks of what was added to the weights of a base."""
    before = transformers.AutoModel.from_pretrained(base).state_dict()
    added = [
        weight.detach() - before[name.removeprefix("0.model.")]
        for name, weight in model.named_parameters()
        if name.endswith("proj.weight")
    ]
    return {int(torch.linalg.matrix_rank(one, rtol=1e-3)) for one in added}


def test_the_adapters_of_the_first_stage_go_on_being_trained(
    decoder: Callable[..., dict[str, Any]],
) -> None:
    settings = decoder()
    stage1, _ = build_method(f"{settings['stage1'][:-1]},base={settings['base']}]")
    untouched = train(settings, lr=1e-30)
    np.testing.assert_allclose(
        untouched.encode(TEXTS), stage1.encoder.encode(TEXTS), rtol=0, atol=1e-5
    )
    continued, fresh = (
        train(settings, lr=1e-2, adapter=adapter) for adapter in ("continued", "fresh")
    )
    assert not np.allclose(continued.encode(TEXTS), untouched.encode(TEXTS), atol=1e-3)
    # One adapter of rank 2 adds no more than that, two add 4.
    assert ranks(continued, settings["base"]) == {2}
    assert ranks(fresh, settings["base"]) == {4}


def test_adapters_that_cannot_go_on_are_refused(decoder: Callable[..., dict[str, Any]]) -> None:
    for stage1, said in (({"lora_rank": 0}, "has none"), ({"lora_rank": 4}, "has rank 4")):
        with pytest.raises(
            UsageError, match=rf"rank 2 \(lora_rank\), and sup-simcse.* {said}; make"
        ):
            train(decoder(**stage1))
        assert train(decoder(**stage1), adapter="fresh", lr=1e-30)
    with pytest.raises(UsageError, match="and sup-simcse@x has none; make"):
        train(decoder() | {"stage1": "sup-simcse@x"})
    with pytest.raises(UsageError, match="add head=false to it, or say adapter=fresh"):
        train(decoder(template="none", head="true"))
    with pytest.raises(UsageError, match="adapter does nothing here; it needs stage1 and"):
        build_method("pcc-tuning[stage1=,adapter=fresh]", profile="paper")


def test_what_it_learns_from_is_known(options: dict[str, Any]) -> None:
    plain = resolve(pcc_tuning.PccTuning, parse_method_spec("pcc-tuning"), "local")
    assert plain.training_datasets() == ("sts/stsb", "sts/sick")
    loaded = resolve(pcc_tuning.PccTuning, parse_method_spec("pcc-tuning@x"), "local")
    assert loaded.training_datasets() == ()


def test_a_first_stage_that_gives_no_transformer(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is not a transformer"):
        train(options, stage1="", base="tfidf[corpus=pydoc]")
    with pytest.raises(UsageError, match="has no option 'base'"):
        train(options, stage1="tfidf[corpus=pydoc]")


def test_the_published_settings_of_both_stages() -> None:
    # The authors' settings.py and train.py for Mistral-7B and the template EOL.
    tuning = resolve(pcc_tuning.PccTuning, parse_method_spec("pcc-tuning"), "paper")
    assert isinstance(tuning, pcc_tuning.PccTuning)
    config, settings = tuning.config, tuning.train_settings(10_000)
    assert (config.base, config.loss, config.lora_rank) == (
        "mistralai/Mistral-7B-v0.1",
        "pearson",
        64,
    )
    assert settings == TrainSettings(
        lr=5e-4, epochs=8, batch_size=216, max_seq_length=64, warmup_steps=100, dev_every=25
    )
    first = named_method(tuning.parents[0], "paper")
    assert isinstance(first, SupSimCSE)
    stage1 = first.config
    assert (stage1.base, stage1.template, stage1.pooling, stage1.head) == (
        config.base,
        "eol",
        "lasttoken",
        False,
    )
    assert (stage1.temperature, stage1.hard_negatives, stage1.lora_rank) == (0.05, True, 64)
    assert (stage1.corpus, stage1.sentences) == ("nli", None)
    assert first.train_settings(10_000) == TrainSettings(
        lr=5e-4, epochs=1, batch_size=256, max_seq_length=32, warmup_steps=100, dev_every=250
    )


def test_saving_memory_reaches_the_trainer() -> None:
    spec = parse_method_spec("pcc-tuning[gradient_checkpointing=true]")
    assert resolve(pcc_tuning.PccTuning, spec, "paper").train_settings(9).gradient_checkpointing


def test_four_bits_are_of_the_stage_that_makes_the_adapters(
    decoder: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    load = Models.load

    def noted(self: Any, name: str, *, load_in_4bit: bool = False, **options: Any) -> Any:
        asked.append(load_in_4bit)
        return load(self, name, **options)

    monkeypatch.setattr(Models, "load", noted)
    train(decoder(load_in_4bit="true"), lr=1e-30)
    # Once for each stage; finished models are loaded as they are.
    assert sum(asked) == 2
    asked.clear()
    train(decoder(), lr=1e-30, adapter="fresh", load_in_4bit="true")
    assert sum(asked) == 1
    for options, said in (
        ("lora_rank=64", "add it to stage1, or say adapter=fresh"),
        ("lora_rank=0", "it needs lora_rank"),
    ):
        with pytest.raises(UsageError, match=f"load_in_4bit does nothing here; {said}"):
            build_method(f"pcc-tuning[{options},load_in_4bit=true]", profile="paper")


def test_all_of_it_with_weights_of_four_bits(decoder: Callable[..., dict[str, Any]]) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra 'llm4bit'")
    settings = decoder(load_in_4bit="true")
    stage1, _ = build_method(f"{settings['stage1'][:-1]},base={settings['base']}]")
    untouched = train(settings, lr=1e-30)
    np.testing.assert_allclose(
        untouched.encode(TEXTS), stage1.encoder.encode(TEXTS), rtol=0, atol=1e-4
    )
    trained = train(settings, lr=5e-3, gradient_checkpointing="true")
    assert not np.allclose(trained.encode(TEXTS), untouched.encode(TEXTS), atol=1e-3)
