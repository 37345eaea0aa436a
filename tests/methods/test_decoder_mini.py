"""The small decoder: that it learns, what is kept of it, and that it is a decoder like others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from bench.api import build_method
from bench.core.errors import DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.method import Built, resolve
from bench.methods.decoder_mini import DecoderMini
from bench.methods.parts import causal
from bench.records.files import find_records, read_record
from bench.training import language, watching
from tests.support.suites import Bench, write_suite

SENTENCES = [f"The {a} sees a {b}, and the {b} runs." for a in "abcdefghij" for b in "klmnopqrst"]
TEXTS = ["The a sees a k", "rain", "the B runs"]
TINY = {
    "vocabulary": 300,
    "layers": 3,
    "hidden": 16,
    "heads": 2,
    "max_seq_length": 32,
    "max_steps": 6,
    "batch_size": 4,
    "lr": "1e-2",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"{text}\n" for text in SENTENCES))
    return path


def spec(corpus: Path, **more: Any) -> str:
    options = {**TINY, "corpus": corpus, **more}
    return f"decoder-mini[{','.join(f'{key}={value}' for key, value in options.items())}]"


def train(corpus: Path, seed: int = 0, **more: Any) -> Built:
    return build_method(spec(corpus, **more), seed=seed)[0]


def perplexity_of(built: Built) -> float:
    assert built.training is not None
    found = built.training["held_out_perplexity"]
    assert isinstance(found, float)
    return found


def test_it_learns_and_says_how_well(corpus: Path) -> None:
    start, end = train(corpus, lr=1e-30), train(corpus, max_steps=60)
    vocabulary = start.encoder[0].config.vocab_size  # type: ignore[index] # a sentence transformer
    assert vocabulary <= 300
    assert abs(math.log(perplexity_of(start)) - math.log(vocabulary)) < 0.3
    assert 1.0 < perplexity_of(end) < 0.2 * perplexity_of(start)
    assert end.training is not None
    assert end.training["steps"] == 60
    assert end.training["held_out_sentences"] == 2


def test_the_folder_is_a_language_model_for_anyone(corpus: Path) -> None:
    built = train(corpus, max_steps=30)
    assert built.folder is not None
    names = {path.name for path in built.folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "modules.json"}
    lm: Any = transformers.AutoModelForCausalLM.from_pretrained(built.folder)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(built.folder)
    assert lm.lm_head.weight is lm.model.embed_tokens.weight
    held_out = causal.join_ids(SENTENCES[::50], tokenizer)
    again = causal.perplexity(lm, held_out, int(str(TINY["max_seq_length"])))
    assert again == pytest.approx(perplexity_of(built), rel=1e-4)
    assert tokenizer("A Dog")["input_ids"] == tokenizer("a dog")["input_ids"]
    assert tokenizer("a dog")["input_ids"][0] == tokenizer.bos_token_id
    assert tokenizer.decode(tokenizer('naïve 犬 :"')["input_ids"][1:]) == 'naïve 犬 :"'


def test_held_out_sentences_are_not_learnt(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = []

    def noted(sentences: Any, tokenizer: Any) -> list[int]:
        joined.append(list(sentences))
        return original(sentences, tokenizer)

    original = causal.join_ids
    monkeypatch.setattr(causal, "join_ids", noted)
    train(corpus, max_steps=1)
    learnt, held_out = joined
    assert held_out == SENTENCES[::50]
    assert sorted(learnt + held_out) == sorted(SENTENCES)


def test_rows_are_joined_sentences() -> None:
    tokenizer = causal.train_tokenizer(SENTENCES, 300, 32)
    first, last = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids = causal.join_ids(["ab", "c"], tokenizer)
    assert ids[0] == ids[ids.index(last) + 1] == first
    assert ids[-1] == last
    assert tokenizer.decode(ids, skip_special_tokens=True) == "abc"
    assert causal.full_rows(range(7), 3) == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match="has 2 tokens, fewer than the 3 of one row"):
        causal.full_rows([0, 1], 3)


@pytest.mark.nightly
def test_seeds_repeat(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = train(corpus), train(corpus, seed=1)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "again"))
    again = train(corpus)
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), first.encoder.encode(TEXTS))
    assert not np.allclose(other.encoder.encode(TEXTS), first.encoder.encode(TEXTS), atol=1e-3)


class _Stopped(BaseException):
    pass


@pytest.mark.nightly
def test_stopped_and_run_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(corpus)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    on_step_end = watching.ProgressCallback.on_step_end
    monkeypatch.setattr(language, "_CHECKPOINT_EVERY", 2)
    steps: list[int] = []

    def stopping(self: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
        steps.append(state.global_step)
        on_step_end(self, args, state, control, **given)
        if len(steps) == 4:
            raise _Stopped

    monkeypatch.setattr(watching.ProgressCallback, "on_step_end", stopping)
    with pytest.raises(_Stopped):
        train(corpus)
    again = train(corpus)
    assert steps == [1, 2, 3, 4, 3, 4, 5, 6]
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), whole.encoder.encode(TEXTS))
    assert perplexity_of(again) == perplexity_of(whole)


def test_the_local_model_is_small() -> None:
    method = resolve(DecoderMini, parse_method_spec("decoder-mini"), "local")
    config = method.config
    assert isinstance(config, DecoderMini.Config)
    tokenizer = causal.train_tokenizer(SENTENCES, 4096, 128)
    lm: Any = causal.make_llama(
        tokenizer, layers=config.layers, hidden=config.hidden, heads=config.heads, positions=128
    )
    missing = (config.vocabulary - len(tokenizer)) * config.hidden
    assert sum(one.numel() for one in lm.parameters()) + missing <= 4_000_000
    assert method.training_datasets() == ("unlabeled/mix",)


def test_settings_that_do_not_fit(corpus: Path) -> None:
    with pytest.raises(UsageError, match="multiple of twice the heads, 8"):
        train(corpus, hidden=12, heads=4)
    corpus.write_text("one\ntwo\nthree\n")
    with pytest.raises(DataError, match="fewer than the 32 of one row; name more text"):
        train(corpus)


def test_token_prepending_trains_it_once_for_all_of_its_rows(
    bench: Bench, corpus: Path, tmp_path: Path
) -> None:
    base, suite = spec(corpus, layers=4, max_seq_length=64), write_suite(tmp_path)
    cells = ["", "prepend=false,", "layer=last,", "layer=last,prepend=false,"]
    cells.append("layer=last,pooling=mean,prepend=false,prompt=none,")
    options = [f"token-prepending[{cell}base={base}]" for cell in cells]
    code, _, err = bench(
        "run", "--suite", suite, "--methods", ",".join([*options, base]), "--seeds", "2"
    )
    assert code == 0, err
    models = tmp_path / "cache" / "models"
    assert len(list(models.iterdir())) == 2
    records = [read_record(path) for path in find_records([Path("results/runs")])]
    assert len(records) == 12
    of_seed = [record for record in records if record.seed == 0]
    average = {record.method.spec: record.average for record in of_seed}
    (plain,) = (value for name, value in average.items() if "pooling=mean" in name)
    (own,) = (value for name, value in average.items() if name.startswith("decoder-mini"))
    assert plain == pytest.approx(own, abs=1e-6)
    prompted = [value for name, value in average.items() if "prompt=none" not in name]
    assert len(set(prompted)) == 5
    (trained,) = (record for record in of_seed if record.method.name == "decoder-mini")
    assert trained.training is not None
    assert trained.training["held_out_perplexity"] > 1
    one = next(record for record in of_seed if "pooling=mean" in record.method.spec)
    assert (one.method.base, one.method.trained, one.parameters) == (base, True, trained.parameters)
    assert one.tasks["pairs"].contamination is not None
    summary = json.loads(next(models.glob("*/training.json")).read_text())
    assert summary["pairs"] > 0
