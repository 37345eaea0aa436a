"""Profile ``paper`` of every method that trains begins with its published settings.

Bases are small ones under the ids of the published ones, with their layout of special tokens, in a
cache of the hub; texts are a few rows under the names of the published sets. All settings are the
published ones, but for the number of steps, and for SCT's queues, which have to be filled by rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.api import build_method
from bench.core.registry import METHODS, names, owner
from bench.data.rows import Row
from bench.method import LabelledTexts, method_class, named_method
from bench.models.checkpoints import snapshot
from bench.training import trainer
from tests.support.classifiers import asked
from tests.support.hub import BASES, COMMIT, WORDS, bert, in_cache
from tests.support.sets import small_sets, write_sets

QUEUE = "queue_size=32"
ROWS = 130
# Enough for a batch of CoDiEmb of each set.
QUERIES = 70
# What each is asked for besides three steps.
BESIDE = {
    "sct": QUEUE,
    "sct-distill": f"{QUEUE},student=sct[max_steps=3,{QUEUE}]",
    "jtcse": "stage1=simcse[max_steps=3]",
    "conan": "stage1={stage1}",
    "pcc-tuning": "stage1={stage1}",
    "three-phase": "dae_steps=3,cl_steps=3",
}
OF_TASKS = ("ft", "three-phase")
# An ensemble that has no number of steps, and bases of this project's own, that no paper has.
LEFT_OUT = ("hierarchical-ensemble", "minilm-l2-mlm", "decoder-mini")
TRAINED = [
    name
    for name in names(METHODS)
    if owner(METHODS, name) == "sentence-bench"
    and method_class(name).info.trains
    and name not in LEFT_OUT
]


def sentence(number: int) -> str:
    """One of many sentences of few words."""
    return " ".join(WORDS[(number // 10**place + place) % 10] for place in range(4))


def graded(name: str) -> list[Row]:
    """Pairs that no other set has, enough for a batch of CoDiEmb."""
    return [
        {
            "sentence1": f"{name} {sentence(i)}",
            "sentence2": f"the {name} {sentence(i)}",
            "score": float(1 + i % 5),
        }
        for i in range(40)
    ]


def more_sets() -> dict[str, dict[str, list[Row]]]:
    """Sets that the smallest forms of methods do without."""
    pairs: list[Row] = [
        {"sentence1": sentence(i), "sentence2": f"the {sentence(i)}"} for i in range(40)
    ]
    captions: list[Row] = [{"texts": [f"a {sentence(i)}", sentence(i)]} for i in range(40)]
    ranked: list[Row] = [
        {
            "query": f"what {sentence(i)}",
            "positive": [sentence(i)],
            "negative": [sentence(7 * i + k) for k in range(1, 7)],
        }
        for i in range(QUERIES)
    ]
    # Three of five rows are of the part that is learnt from.
    duplicates: list[Row] = [
        {"sentence1": f"why {sentence(i)}", "sentence2": f"say why {sentence(i)}", "label": 1}
        for i in range(3 * QUERIES)
    ]
    entries: list[Row] = [
        {"word": word, "definition": f"{sentence(i)} {i}", "pos": "n", "synset": str(i % 30)}
        for i in range(120)
        for word in [[*WORDS, *"abcdefghijklmnopqrstuvwxyz"][i % 36]]
    ]
    return {
        "sts/stsb": {name: graded(name) for name in ("train", "dev", "test")},
        "sts/sick": {name: graded(f"sick {name}") for name in ("train", "test")},
        **{f"sts/sts{year}": {"test": graded(f"{year}")} for year in range(12, 17)},
        "paraphrase/wikisplit": dict.fromkeys(("tune", "validation", "test"), pairs),
        "paraphrase/multi30k_captions": {"train": captions},
        "paraphrase/asset": {"valid": [{"text": sentence(9), "references": [sentence(8)]}]},
        "paraphrase/quora": {"dev": duplicates},
        "reranking/trecqa": {"train": ranked},
        "reranking/wikiqa": {"train": ranked},
        "reranking/semeval16_qq": dict.fromkeys(("train_part1", "train_part2"), ranked),
        "definitions/oewn": dict.fromkeys(("train", "valid", "test"), entries),
    }


def write_corpora(hub: Path, data: Path) -> None:
    """Text of the hub, and what its user makes."""
    texts = in_cache(hub, "princeton-nlp/datasets-for-simcse", "datasets")
    (texts / "wiki1m_for_simcse.txt").write_text("".join(f"{sentence(i)}\n" for i in range(ROWS)))
    with (texts / "nli_for_simcse.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["sent0", "sent1", "hard_neg"])
        table.writerows([sentence(i), f"a {sentence(i)}", sentence(3 * i + 1)] for i in range(ROWS))
    (data / "corpus").mkdir(parents=True)
    pairs = "".join(f"{sentence(i)}\tthe {sentence(i)}\n" for i in range(ROWS))
    (data / "corpus" / "back-translated.tsv").write_text(pairs)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All bases and texts that profile ``paper`` names; the cache of the hub."""
    folder = tmp_path_factory.mktemp("paper")
    hub, data = folder / "hub", folder / "data"
    for name, write in BASES.items():
        write(in_cache(hub, name))
    write_corpora(hub, data)
    snapshot.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
        write_sets(data, patch, {**small_sets(), **more_sets()})
        patch.setenv("BENCH_DATA", str(data))
        yield hub
    snapshot.cache_clear()


pytestmark = [pytest.mark.nightly, pytest.mark.usefixtures("own_cache")]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[trainer.TrainSettings]:
    """Settings of each training that begins."""
    seen: list[trainer.TrainSettings] = []
    own = trainer.train

    def train(model: Any, loss: Any, rows: Any, settings: Any, *rest: Any, **options: Any) -> Any:
        seen.append(settings)
        return own(model, loss, rows, settings, *rest, **options)

    monkeypatch.setattr(trainer, "train", train)
    return seen


def spec(name: str) -> str:
    """The method with its published settings, for three steps of each of its stages."""
    usual = getattr(method_class(name).Config(), "stage1", "")
    beside = BESIDE.get(name, "").format(stage1=usual.replace("[", "[max_steps=3,", 1))
    return f"{name}[{','.join(filter(None, ['max_steps=3', beside]))}]"


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in OF_TASKS])
def test_the_published_training_begins(
    name: str, published: Path, started: list[trainer.TrainSettings]
) -> None:
    base = published / "models--bert-base-uncased" / "snapshots" / COMMIT
    # Prefixes are of up to 768 numbers.
    bert(base, hidden=768 if name.startswith("matryoshka") else 32)
    built, _ = build_method(spec(name), profile="paper")
    assert built.encoder.encode(["red kettle", "dog"]).shape[0] == 2
    method: Any = named_method(spec(name), "paper")
    if built.training is not None:
        assert built.training["steps"] == 3
    last, config = started[-1], method.config
    assert {settings.max_steps for settings in started} == {3}
    assert last.lr == config.lr
    tasks = getattr(config, "graded_batch_size", 0)
    assert last.batch_size == config.batch_size + tasks
    assert last.epochs == config.epochs


@pytest.mark.parametrize("name", OF_TASKS)
def test_the_published_classifier_begins(name: str, published: Path) -> None:
    built, _ = build_method(spec(name), profile="paper")
    rows = [(f"{WORDS[number % 2]} {sentence(number)}",) for number in range(40)]
    labels = [number % 2 for number in range(40)]
    answer = asked(built.encoder, rows[:4], LabelledTexts(rows, labels))
    assert len(answer.labels) == 4
