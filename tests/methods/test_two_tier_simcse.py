"""2-Tier SimCSE: its tiers are those of SimCSE, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import UsageError
from bench.data.corpora import NamedCorpus
from bench.method import named_method
from bench.methods.parts.dropout import thaw_adaptive
from bench.methods.parts.dropout_rates import dropout_sites
from bench.training.heads import fresh_linear
from tests.support.models import pooler_outputs, tiny_bert
from tests.support.specs import acting
from tests.training.test_trainer import context

TEXTS = ["a red kettle", "two dogs run", "rain"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A base and text for both tiers."""
    sentences, triplets = tmp_path / "sentences.txt", tmp_path / "triplets.tsv"
    sentences.write_text("".join(f"one text {i}\n" for i in range(40)))
    triplets.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    return {
        "base": tiny_bert(tmp_path / "tiny"),
        "pooling": "mean",
        "tier1_corpus": sentences,
        "corpus": triplets,
        "tier1_batch_size": 8,
        "batch_size": 8,
        "tier1_lr": 1e-2,
        "lr": 1e-2,
        "epochs": 1,
        "dev": "false",
    }


def spec(name: str, options: dict[str, Any]) -> str:
    return acting(name, options)


def train(name: str, options: dict[str, Any]) -> SentenceTransformer:
    built, _ = build_method(spec(name, options))
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def vectors(options: dict[str, Any], **more: Any) -> NDArray[np.float32]:
    return train("two-tier-simcse", {**options, **more}).encode(TEXTS)


def simcse(options: dict[str, Any]) -> str:
    kept = {name: options[name] for name in ("base", "pooling", "dev")}
    first = {
        "corpus": options["tier1_corpus"],
        "lr": options["tier1_lr"],
        "batch_size": options["tier1_batch_size"],
    }
    return spec("simcse", {**kept, **first, "head": "false"})


def sup_simcse(options: dict[str, Any]) -> dict[str, Any]:
    second = {name: value for name, value in options.items() if not name.startswith("tier1")}
    return {**second, "head": "false"}


def test_a_tier_alone_is_simcse(options: dict[str, Any]) -> None:
    first, _ = build_method(simcse(options))
    np.testing.assert_array_equal(vectors(options, tier=1), first.encoder.encode(TEXTS))
    second = train("sup-simcse", sup_simcse(options))
    np.testing.assert_array_equal(vectors(options, tier=2), second.encode(TEXTS))


def test_the_second_tier_starts_from_the_first(options: dict[str, Any]) -> None:
    chained = train("sup-simcse", {**sup_simcse(options), "base": simcse(options)})
    both = vectors(options)
    np.testing.assert_array_equal(both, chained.encode(TEXTS))
    assert not np.allclose(both, vectors(options, tier=2), atol=1e-4)


def test_the_pooler_is_carried_over(options: dict[str, Any]) -> None:
    models = {
        tier: train("two-tier-simcse", {**options, "pooling": "pooler", "tier": tier})
        for tier in ("1", "both")
    }
    base = transformers.AutoModel.from_pretrained(options["base"])
    start = base.pooler.dense.weight.detach()
    first, last = (model[2].linear.weight.detach() for model in models.values())
    assert not torch.allclose(first, start, atol=1e-3)
    # Fresh or reset weights of the second tier would be much further away.
    steps = (first - start).norm(), (last - first).norm(), (last - start).norm()
    assert steps[1] < 2 * steps[0]
    assert steps[2] > steps[0] / 2


@pytest.mark.nightly
def test_schemes_of_dropout_differ(options: dict[str, Any]) -> None:
    found = [
        vectors(options, **more)
        for more in (
            {},
            {"dropout": "curriculum"},
            {"dropout": "curriculum", "p_min": 0.05},
            {"dropout": "adaptive"},
            {"p_max": 0.0},
            {"p_max": 0.4},
            {"dropout": "curriculum", "p_max": 0.4},
            {"dropout": "adaptive", "p_max": 0.4},
            {"fixed_mask": "true"},
        )
    ]
    for i, one in enumerate(found):
        assert all(not np.allclose(one, other, atol=1e-4) for other in found[i + 1 :])


@pytest.mark.nightly
@pytest.mark.parametrize("tier", ["1", "2"])
@pytest.mark.parametrize("scheme", ["standard", "curriculum"])
def test_a_model_keeps_the_dropout_of_its_base(
    options: dict[str, Any], tmp_path: Path, tier: str, scheme: str
) -> None:
    text = spec("two-tier-simcse", {**options, "p_max": 0.4, "dropout": scheme, "tier": tier})
    ctx = context(tmp_path)
    model = named_method(text, "local").build(ctx)
    assert isinstance(model, SentenceTransformer)
    assert {site.rate for site in dropout_sites(model)} == {0.1}


@pytest.mark.parametrize(
    ("of_simcse", "own"),
    [("dropout=0.3", {"p_max": 0.3}), ("fixed_mask=true", {"fixed_mask": "true"})],
)
def test_dropout_of_a_tier_alone_is_that_of_simcse(
    options: dict[str, Any], of_simcse: str, own: dict[str, Any]
) -> None:
    first, _ = build_method(f"{simcse(options).removesuffix(']')},{of_simcse}]")
    np.testing.assert_array_equal(vectors(options, tier=1, **own), first.encoder.encode(TEXTS))


def test_what_a_mask_and_a_curriculum_need(options: dict[str, Any]) -> None:
    for name, more in (("fixed_mask", {"tier": "2"}), ("p_min", {"dropout": "curriculum"})):
        given = {**options, name: {"fixed_mask": "true"}.get(name, 0.1), "p_max": 0.0, **more}
        inner = ",".join(f"{key}={value}" for key, value in given.items())
        with pytest.raises(UsageError, match=f"{name} does nothing here; it needs a p_max above 0"):
            named_method(f"two-tier-simcse[{inner}]", "local")


def test_the_gate_is_one_and_goes_through_both_tiers(options: dict[str, Any]) -> None:
    models = {
        tier: train("two-tier-simcse", {**options, "dropout": "adaptive", "tier": tier})
        for tier in ("1", "both")
    }
    gates = []
    for model in models.values():
        assert [type(module).__name__ for module in model][2:] == ["Dense", "Dense"]
        thaw_adaptive(model)
        gates.append(model[2].linear.weight.detach())
    fresh = fresh_linear(len(gates[0]), len(gates[0]), seed=0).weight
    first, second = (gates[0] - fresh).norm(), (gates[1] - gates[0]).norm()
    assert first > 0 and second > 0
    assert second < 2 * first


def test_labels_of_the_first_tiers_text_are_not_read() -> None:
    class Rows:
        def __init__(self, scores: list[float]) -> None:
            self.scores = scores

        def remembered(self, key: str, load: Callable[[], Any]) -> Any:
            return load()

        def rows(self, ref: str) -> list[dict[str, Any]]:
            assert ref == "sts/stsb:train"
            texts = [("a b", "c d"), ("e f", "a b")]
            return [
                {"sentence1": one, "sentence2": two, "score": score}
                for (one, two), score in zip(texts, self.scores, strict=True)
            ]

    found = [NamedCorpus("stsb").load(Rows(scores)) for scores in ([0, 5], [5, 0])]  # type: ignore[arg-type]
    assert found[0] == found[1]
    assert sorted(found[0].sentences()) == ["a b", "c d", "e f"]


def test_a_published_checkpoint_keeps_its_pooler(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "published")
    built, _ = build_method(f"two-tier-simcse@{folder}")
    expected = pooler_outputs(folder, TEXTS)
    np.testing.assert_allclose(built.encoder.encode(TEXTS), expected, atol=1e-6)


def test_a_base_that_cannot_be_trained(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is not a transformer"):
        train("two-tier-simcse", {**options, "base": "tfidf[corpus=pydoc]"})
