"""Made rows, and an ensemble of tiny models that learns from them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.api import build_method
from bench.method import Answer, Composition, LabelledTexts, Question
from bench.methods.ensemble.encoder import EnsembleEncoder
from tests.support.specs import acting

LETTERS = {"a": "pos", "k": "neg"}
UNLABELLED = {"pseudo_labels": "false"}


def rows(part: str, n: int) -> list[dict[str, Any]]:
    """Words of the letter a or k, which is the label; a word of the text names the part."""
    rng = random.Random(part)
    found = []
    for i in range(n):
        letter = "ak"[i % 2]
        words = " ".join(letter * rng.randint(2, 6) for _ in range(3))
        found.append({"text": f"{words} {part}{i}", "label": LETTERS[letter]})
    return found


def pairs(part: str, n: int) -> list[dict[str, Any]]:
    """Pairs of words, which score as they share a letter."""
    rng = random.Random(part)
    found = []
    for i in range(n):
        one, two = rng.choice("ak"), rng.choice("ak")
        texts = {"sentence1": f"{one * 4} {part}{i}", "sentence2": f"{two * 3} {part}{i}x"}
        found.append({**texts, "score": float(4 * (one == two) + rng.random())})
    return found


def labelled(found: Sequence[dict[str, Any]]) -> LabelledTexts:
    *columns, label = found[0]
    return LabelledTexts(
        [tuple(one[c] for c in columns) for one in found], [one[label] for one in found]
    )


def spec(base: Path, **options: Any) -> str:
    """Settings that train fast; the members are a tiny BERT and TF-IDF."""
    settings = {
        "models": f"({base},tfidf)",
        "labeller": base,
        "retriever": base,
        "augment": "()",
        "folds": 2,
        "k": 2,
        "epochs": 1,
        "lr": "1e-3",
        "batch_size": 8,
        "max_seq_length": 24,
        **options,
    }
    return acting("hierarchical-ensemble", settings)


def built(text: str, seed: int = 0) -> EnsembleEncoder:
    encoder = build_method(text, seed=seed)[0].encoder
    assert isinstance(encoder, EnsembleEncoder)
    return encoder


def answered(encoder: EnsembleEncoder, *, of_pairs: bool = False, seed: int = 0) -> Answer:
    make: Callable[[str, int], list[dict[str, Any]]] = pairs if of_pairs else rows
    train, test, pool = (labelled(make(part, n)) for part, n in (("t", 20), ("s", 8), ("p", 16)))
    return encoder.answer(Question(texts=test.texts, train=train, pool=pool.texts, seed=seed))


def parts(given: Answer) -> Composition:
    """What an answer is made of."""
    assert given.made_of is not None
    return given.made_of


def ask(encoder: EnsembleEncoder, *, of_pairs: bool = False, seed: int = 0) -> Composition:
    """What the answer for some rows is made of."""
    return parts(answered(encoder, of_pairs=of_pairs, seed=seed))


def suite(folder: Path, *, flip: bool = False) -> Path:
    folder.mkdir()
    for part, n in (("train", 20), ("test", 10), ("pool", 16)):
        made = rows(part, n)
        if flip and part == "pool":
            made = [{**row, "label": "neg" if row["label"] == "pos" else "pos"} for row in made]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    path = folder / f"{folder.name}.toml"
    path.write_text(
        f'name = "{folder.name}"\ntitle = "x"\nconvention = "senteval"\naverage = ["words"]\n'
        '[[tasks]]\nname = "words"\nkind = "classification"\ntrack = "supervised"\n'
        'data = { file = "test.jsonl" }\ntrain = { file = "train.jsonl" }\n'
        'pool = { file = "pool.jsonl" }\n'
    )
    return path
