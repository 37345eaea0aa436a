"""DefSent+: embeddings of entries, stages that share targets alone, independent components."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, RobertaForMaskedLM, RobertaModel

from bench.api import build_method, make_settings
from bench.core.errors import DataError, UsageError
from bench.core.progress import Silent
from bench.core.spec import parse_method_spec
from bench.data.definitions import Definitions, DictionaryEntry
from bench.method import BuildContext, Built, named_method, resolve
from bench.methods.defsent_plus import DefSentPlus
from bench.methods.losses.definitions import (
    ICA_SCALE,
    EntryLoss,
    entry_embeddings,
    entry_pooler,
    independent_components,
)
from bench.methods.parts.mask_prompt import with_mask_prompt
from bench.metrics.isotropy import isoscore
from bench.models.checkpoints import load_folder, with_pooling
from bench.training import trainer
from bench.training.heads import fresh_linear
from tests.support.models import tiny_bert, tiny_roberta
from tests.support.specs import acting
from tests.support.stopping import Stopped, frequent_checkpoints

TEXTS = ["a red kettle", "two dogs run", "rain"]
ENTRIES = [
    DictionaryEntry("tea", ("a hot drink made of leaves", "a leaf")),
    DictionaryEntry("ice cream", ("frozen",)),
    DictionaryEntry(
        "cat", ("a small animal", "it", "an animal that is kept in a house and hunts mice")
    ),
]
N, U = 40, 16


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tiny_bert(tmp_path / "tiny")


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "words.tsv"
    lines = [f"word {i}\tmeaning {j} of {i}\n" for i in range(20) for j in range(1 + i % 2)]
    path.write_text("".join(lines))
    return path


def spec(base: Path, data: Path, **options: Any) -> str:
    settings = {"base": base, "data": data, "dev": "false", "batch_size": 8, "lr": 1e-2}
    settings |= {"stages": 1, **options}
    return acting("defsent-plus", settings)


def build(base: Path, data: Path, **options: Any) -> Built:
    return build_method(spec(base, data, **options))[0]


def encoder(built: Built) -> SentenceTransformer:
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def measured(built: Built) -> dict[str, float]:
    assert built.folder is not None
    return dict(json.loads((built.folder / "entries.json").read_text()))


def opened(base: Path, data: Path, **options: Any) -> tuple[DefSentPlus, BuildContext]:
    """The method, and a context to call its parts in."""
    method = resolve(DefSentPlus, parse_method_spec(spec(base, data, **options)), "local")
    settings = make_settings(profile="local")
    models = settings.models
    ctx = BuildContext(0, "local", "cpu", data.parent, settings.data, models, settings.progress)
    assert isinstance(method, DefSentPlus)
    return method, ctx


def states(model: SentenceTransformer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def dense(pooler: torch.nn.Sequential) -> torch.nn.Linear:
    first = pooler[0]
    assert isinstance(first, torch.nn.Linear)
    return first


def random_loss(model: SentenceTransformer, size: float = 1.0) -> EntryLoss:
    vectors = np.random.default_rng(0).normal(scale=size, size=(N, U)).astype(np.float32)
    return EntryLoss(model, vectors, entry_pooler(model, 0))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_entries_are_means_of_vectors_without_padding(base: Path, pooling: str) -> None:
    model = load_folder(base, "cpu", pooling)
    found = entry_embeddings(model, ENTRIES, 150, Silent())
    bert, tokenizer = AutoModel.from_pretrained(base).eval(), AutoTokenizer.from_pretrained(base)
    for row, entry in zip(found, ENTRIES, strict=True):
        vectors = []
        for text in entry.definitions:
            with torch.no_grad():
                hidden = bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            vectors.append(hidden[0] if pooling == "cls" else hidden.mean(dim=0))
        np.testing.assert_allclose(row, torch.stack(vectors).mean(dim=0).numpy(), atol=1e-4)
    assert found.shape == (3, U)
    assert found.dtype == np.float32
    cut = entry_embeddings(model, ENTRIES, 6, Silent())
    assert not np.allclose(cut[0], found[0], atol=1e-4)
    assert model.max_seq_length == load_folder(base, "cpu").max_seq_length


def test_entries_are_frozen_and_the_pooler_learns(base: Path) -> None:
    model = load_folder(base, "cpu").train()
    loss = random_loss(model)
    entries, pooler = loss.entries.clone(), dense(loss.pooler).weight.detach().clone()
    optimizer = torch.optim.AdamW(loss.parameters(), lr=0.1)
    loss([model.preprocess(TEXTS)], torch.arange(3.0)).backward()
    optimizer.step()
    assert torch.equal(loss.entries, entries)
    assert not loss.entries.requires_grad
    assert not torch.allclose(dense(loss.pooler).weight, pooler)
    own = [name for name in loss.state_dict() if not name.startswith("model.")]
    assert own == ["pooler.0.weight", "pooler.0.bias"]


def test_logits_and_their_first_loss(base: Path) -> None:
    model = load_folder(base, "cpu")
    loss = random_loss(model)
    vectors, pooler = torch.randn(3, U), dense(loss.pooler)
    expected = torch.tanh(vectors @ pooler.weight.T + pooler.bias) @ loss.entries.T
    torch.testing.assert_close(loss.logits(vectors), expected)
    assert loss.logits(vectors.bfloat16()).dtype == torch.float32
    encoded = torch.from_numpy(model.encode(TEXTS))
    assert loss.mean_logit(TEXTS) == pytest.approx(loss.logits(encoded).abs().mean().item())
    small = random_loss(model, size=1e-3)
    value = small([model.preprocess(TEXTS)], torch.tensor([5.0, 30.0, 11.0])).item()
    assert value == pytest.approx(math.log(N), abs=1e-3)
    assert small.mean_logit(TEXTS) < 1e-2


def test_the_pooler_is_the_trained_one_or_fresh(base: Path) -> None:
    model = load_folder(base, "cpu")
    first: Any = model[0]
    own = first.auto_model.pooler.dense
    assert torch.equal(dense(entry_pooler(model, 3)).weight, fresh_linear(U, U, 3).weight)
    with torch.no_grad():
        own.bias[0] = 0.5
    copied = dense(entry_pooler(model, 3))
    assert torch.equal(copied.weight, own.weight)
    assert torch.equal(copied.bias, own.bias)
    assert copied.weight is not own.weight


def test_the_pooler_of_a_roberta_is_of_its_head(tmp_path: Path, dictionary: Path) -> None:
    roberta = tiny_roberta(tmp_path / "roberta")
    head = RobertaForMaskedLM.from_pretrained(roberta).lm_head
    with torch.no_grad():
        head.dense.bias.add_(0.1)
    vectors = torch.randn(3, U)
    pooler = entry_pooler(load_folder(roberta, "cpu"), 0, head)
    expected = torch.nn.functional.gelu(vectors @ head.dense.weight.T + head.dense.bias)
    torch.testing.assert_close(pooler(vectors), expected)
    assert dense(pooler).weight is not head.dense.weight
    assert all(parameter.requires_grad for parameter in pooler.parameters())
    # The base of bases has the head; an encoder without one needs to be told where it is.
    of = f"simcse[corpus={dictionary},dev=false,batch_size=8,max_steps=1,base={roberta}]"
    RobertaModel.from_pretrained(roberta).save_pretrained(tmp_path / "bare")
    AutoTokenizer.from_pretrained(roberta).save_pretrained(tmp_path / "bare")
    bare = {"base": tmp_path / "bare"}
    for given in ({"base": roberta}, {"of": of}, {**bare, "backbone": roberta}):
        method, ctx = opened(given.pop("base", roberta), dictionary, **given)
        loss = method.loss(method.start(ctx), method.rows(ctx), ctx)
        torch.testing.assert_close(dense(loss.pooler).weight, head.dense.weight)
        assert isinstance(loss.pooler[1], torch.nn.GELU)
    with pytest.raises(UsageError, match=r"bare' is no RoBERTa with a head .* by backbone="):
        build(tmp_path / "bare", dictionary)
    with pytest.raises(UsageError, match="backbone does nothing here; it is for a RoBERTa alone"):
        build(tiny_bert(tmp_path / "bert"), dictionary, backbone=roberta)


@pytest.mark.parametrize("pooling", ["cls", "prompt"])
def test_pooling_at_inference_is_another_one(base: Path, dictionary: Path, pooling: str) -> None:
    plain = encoder(build(base, dictionary, pooling="mean", stages=2))
    found = encoder(build(base, dictionary, pooling="mean", stages=2, inference_pooling=pooling))
    first: Any = plain[0]
    weights, others = first.auto_model.state_dict(), found[0].auto_model.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    expected = with_mask_prompt(plain) if pooling == "prompt" else with_pooling(plain, "cls")
    np.testing.assert_array_equal(found.encode(TEXTS), expected.encode(TEXTS))


def test_a_start_that_has_a_prompt(base: Path, dictionary: Path) -> None:
    of = f"{spec(base, dictionary, max_steps=1)[:-1]},inference_pooling=prompt]"
    with pytest.raises(UsageError, match="puts a prompt around texts; name a model without one"):
        build(base, dictionary, of=of)


def test_independent_components() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.laplace(size=(2000, 6)) @ rng.normal(size=(6, 6)) + 5
    skewed = mixed.astype(np.float32)
    found = independent_components(skewed).astype(np.float64)
    assert found.shape == skewed.shape
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=ICA_SCALE / 100)
    covariance = np.cov(found.T, ddof=0) / ICA_SCALE**2
    np.testing.assert_allclose(covariance, np.eye(6), atol=0.01)
    assert isoscore(skewed) < 0.9
    assert isoscore(found) == pytest.approx(1, abs=1e-3)
    # Dot products of whitened rows are the same in every rotation.
    centred = skewed - skewed.astype(np.float64).mean(axis=0)
    whitened = centred @ np.linalg.inv(np.cov(centred.T, ddof=0)) @ centred.T
    np.testing.assert_allclose(found @ found.T / ICA_SCALE**2, whitened, atol=0.02)


def test_components_need_more_entries_than_dimensions(base: Path, dictionary: Path) -> None:
    with pytest.raises(UsageError, match=r"ica=true needs more entries than the 16 dimensions"):
        build(base, dictionary, ica="true", entries=16)


def test_stages_share_targets_and_no_weights(base: Path, dictionary: Path) -> None:
    first = build(base, dictionary)
    method, ctx = opened(base, dictionary, stages=2)
    original, start = states(load_folder(base, "cpu")), states(method.start(ctx))
    assert original.keys() == start.keys()
    assert all(torch.equal(original[name], start[name]) for name in original)
    loss = method.loss(method.start(ctx), method.rows(ctx), ctx)
    entries = Definitions(str(dictionary)).load(ctx.data)
    after, before = (
        entry_embeddings(model, entries, 32, Silent())
        for model in (encoder(first), load_folder(base, "cpu"))
    )
    np.testing.assert_array_equal(loss.entries.numpy(), after)
    assert not np.allclose(after, before, atol=1e-2)
    second = build(base, dictionary, stages=2)
    assert not np.allclose(encoder(first).encode(TEXTS), encoder(second).encode(TEXTS), atol=1e-3)
    untouched = build(base, dictionary, stages=2, lr=1e-30)
    np.testing.assert_allclose(
        encoder(untouched).encode(TEXTS), load_folder(base, "cpu").encode(TEXTS), atol=1e-6
    )


def test_components_are_those_of_the_last_stage_only(base: Path, dictionary: Path) -> None:
    plain, _ = opened(base, dictionary, stages=2)
    turned, ctx = opened(base, dictionary, stages=2, ica="true")
    assert plain._encoder_before == turned._encoder_before
    targets, notes = turned._targets(ctx)
    assert notes["isoscore_after_ica"] == pytest.approx(1, abs=1e-3)
    assert notes["isoscore"] < 0.9
    np.testing.assert_allclose(targets.std(axis=0), ICA_SCALE, rtol=1e-3)
    known = {
        model.inputs(ctx.data, ctx.models).get("scikit-learn", "none") for model in (plain, turned)
    }
    assert len(known) == 2


def test_entries_are_learned_and_what_is_measured(base: Path, dictionary: Path) -> None:
    built = build(base, dictionary, epochs=50, lr=2e-2)
    assert built.training is not None
    assert built.training["final_loss"] < math.log(20) - 0.5
    assert built.training["pairs"] == 30
    notes = measured(built)
    assert (notes["entries"], notes["several"]) == (20, 10)
    assert 0 < notes["isoscore"] < 1
    assert notes["mean_logit"] > 0
    saved = [type(module).__name__ for module in encoder(built)]
    assert saved == ["Transformer", "Pooling"]
    some = build(base, dictionary, entries=5)
    assert measured(some)["entries"] == 5


def test_rows_and_their_entries(base: Path, dictionary: Path) -> None:
    method, ctx = opened(base, dictionary, entries=7)
    rows = method.rows(ctx)
    entries = Definitions(str(dictionary), 7).load(ctx.data)
    for (text,), number in zip(rows, method.labels(rows, ctx), strict=True):
        assert text in entries[int(number)].definitions
    assert [*method.training_texts(ctx.data)] == [text for (text,) in rows]
    broken = dictionary.parent / "broken.tsv"
    broken.write_text("tea\n")
    with pytest.raises(DataError, match=r"broken.tsv: line 1: expected a word"):
        build(base, broken)


@pytest.mark.nightly
def test_it_goes_on_from_another_method(base: Path, dictionary: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("".join(f"text {i}\n" for i in range(24)))
    of = f"simcse[corpus={corpus},dev=false,batch_size=8,lr=2e-3]"
    named = of[:-1] + f",base={base}]"
    simcse = build_method(named)[0]
    for stages in (1, 2):
        start = build(base, dictionary, of=of, stages=stages, lr=1e-30)
        np.testing.assert_allclose(
            encoder(start).encode(TEXTS), encoder(simcse).encode(TEXTS), atol=1e-6
        )
    trained = build(base, dictionary, of=of)
    other = build(base, dictionary, of=of.replace("2e-3", "4e-3"))
    assert trained.fingerprint != other.fingerprint
    assert measured(trained)["isoscore"] != measured(other)["isoscore"]


def published(options: str = "", profile: str = "paper") -> Any:
    return named_method(f"defsent-plus[{options}]" if options else "defsent-plus", profile)


def test_the_published_settings_of_bert_base() -> None:
    # The authors' read-me and TrainEncoder.py; no rate is given for BERT-base.
    config = published().config
    assert (config.stages, config.ica, config.pooling) == (3, True, "cls")
    assert (config.lr, config.batch_size, config.epochs) == (2e-5, 32, 1)
    assert (config.max_seq_length, config.base, config.of) == (150, "bert-base-uncased", "")
    assert (config.data, config.entries, config.inference_pooling) == ("oewn", None, None)
    settings = published().train_settings(1000)
    # AdamW without decay, a rate that falls to zero at once, a random order.
    assert (settings.adam_epsilon, settings.weight_decay, settings.max_grad_norm) == (1e-6, 0, 1)
    assert (settings.warmup_ratio, settings.schedule, settings.shuffle) == (0, "linear", True)
    # The model of the last step is the one that is kept.
    assert (settings.dev_every, settings.patience) == (0, 0)
    assert "dev" not in published().reads()
    assert published(profile="local").train_settings(1000).dev_every == 32


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("lr=0.01", "lr", 0.01),
        ("epochs=3", "epochs", 3),
        ("batch_size=8", "batch_size", 8),
        ("max_seq_length=17", "max_seq_length", 17),
        ("max_steps=9", "max_steps", 9),
        ("dev=true,dev_every=5", "dev_every", 5),
        ("micro_batch=4", "micro_batch", 4),
    ],
)
def test_settings_reach_the_trainer(option: str, name: str, value: Any) -> None:
    usual, changed = (published(given).train_settings(1000) for given in ("", option))
    assert getattr(changed, name) == value != getattr(usual, name)


def test_what_it_learns_from() -> None:
    assert published().training_datasets() == ("definitions/oewn",)
    loaded = resolve(DefSentPlus, parse_method_spec("defsent-plus@x"), "local")
    assert loaded.training_datasets() == ()
    with pytest.raises(UsageError, match="stages: input should be less than or equal to 3"):
        resolve(DefSentPlus, parse_method_spec("defsent-plus[stages=4]"), "local")


@pytest.mark.nightly
def test_stopped_in_the_second_stage_and_run_again(
    base: Path, dictionary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent_checkpoints(monkeypatch)
    compute = trainer._Trainer.compute_loss
    whole = encoder(build(base, dictionary, stages=2)).encode(TEXTS)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    steps: list[int] = []

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(steps) == 7:
            raise Stopped
        steps.append(self.state.global_step)
        return compute(self, *args, **kwargs)

    monkeypatch.setattr(trainer._Trainer, "compute_loss", noting)
    with pytest.raises(Stopped):
        build(base, dictionary, stages=2)
    assert steps == [0, 1, 2, 3, 0, 1, 2]
    steps.append(-1)
    np.testing.assert_array_equal(encoder(build(base, dictionary, stages=2)).encode(TEXTS), whole)
    assert steps[8:] == [2, 3]
