"""Seconds and peak memory of large sets: texts by the million, long lists and many classes.

    python tests/perf/large_sets.py
    python tests/perf/large_sets.py --texts 1000,10000 --queries 20 --candidates 50 --rows 3000

Each line is a run of ``bench run`` in a process of its own, with the largest memory that it ever
had. The texts have ten words and are all different; half of them are the first and half the second
sides of pairs. The models are ``random`` and a static one of 16 dimensions, which is made here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.memory import watched

WORDS, LENGTH, DIMENSION, SEED = 20_000, 10, 16, 0
CLASSES = 150
_RUN = """
import resource, sys
from bench.cli.main import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
sys.exit(code)
"""


def texts(n: int) -> Iterator[str]:
    """N different texts of ten words."""
    # Sets of different sizes share no text.
    rng = np.random.default_rng(n)
    for start in range(0, n, 10_000):
        for offset, row in enumerate(rng.integers(0, WORDS, size=(10_000, LENGTH - 2))):
            high, low = divmod(start + offset, WORDS)
            if start + offset < n:
                yield " ".join(f"w{word}" for word in (high, low, *row))


def write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def pairs(n: int) -> Iterator[dict[str, Any]]:
    """Half as many pairs as there are texts, with gold scores of 0 to 5."""
    several = texts(n)
    scores = np.random.default_rng(1).integers(0, 51, size=n // 2) / 10
    for first, score in zip(several, scores.tolist(), strict=False):
        yield {"sentence1": first, "sentence2": next(several), "score": score}


def lists(queries: int, candidates: int) -> Iterator[dict[str, Any]]:
    """Queries with lists of candidates, of which a tenth are relevant."""
    several = texts(queries * (candidates + 1))
    relevant = max(1, candidates // 10)
    for query in several:
        listed = [next(several) for _ in range(candidates)]
        yield {"query": query, "positive": listed[:relevant], "negative": listed[relevant:]}


def labelled(rows: int) -> Iterator[dict[str, Any]]:
    """Rows of 150 classes, each with words of its own beside ten others."""
    for number, text in enumerate(texts(rows)):
        label = number % CLASSES
        yield {"text": f"{text} w{label} w{label}", "label": f"class {label}"}


def make_static(folder: Path) -> Path:
    """Save a static model of random vectors of 16 dimensions."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"[UNK]": 0, **{f"w{word}": word + 1 for word in range(WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(SEED).normal(size=(len(vocabulary), DIMENSION))
    static = StaticEmbedding(tokenizer, embedding_weights=weights.astype(np.float32))
    SentenceTransformer(modules=[static], device="cpu").save(str(folder))
    return folder


def suite(folder: Path, name: str, kind: str, rows: Iterator[dict[str, Any]]) -> Path:
    """Write a suite of one task and its rows."""
    write(folder / f"{name}.jsonl", rows)
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ntitle = "{name}"\nconvention = "senteval"\naverage = ["T"]\n'
        f'[[tasks]]\nname = "T"\nkind = "{kind}"\ndata = {{ file = "{name}.jsonl" }}\n',
        encoding="utf-8",
    )
    return path


def timed(folder: Path, path: Path, method: str, label: str, *more: str) -> float:
    """Run a method on a suite; print what it took, and return its processor seconds."""
    output = folder / "out" / f"{path.stem}-{method.partition('@')[0]}"
    given = ["run", "--suite", str(path), "--methods", method, "--output", str(output), *more]
    started = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN, *given],
        cwd=folder,
        env={**os.environ, "BENCH_CACHE": str(folder / "cache"), "BENCH_OFFLINE": "1"},
        stdout=(folder / "stdout").open("w"),
        stderr=(folder / "stderr").open("w"),
    )
    peak = watched(run)
    seconds = time.perf_counter() - started
    if run.returncode:
        sys.exit((folder / "stderr").read_text())
    processor = float((folder / "stdout").read_text().split()[-1])
    (record,) = (json.loads(one.read_text()) for one in output.rglob("*-seed0.json"))
    phases = " ".join(f"{name} {spent:.1f}" for name, spent in record["timings"].items())
    print(
        f"{label:<32} {seconds:7.1f} s  processor {processor:6.1f} s  "
        f"peak {peak / 1e6:5.2f} GB  ({phases})  "
        f"encoded {record['encoding']['encoded']:,}",
        flush=True,
    )
    return processor


def measure(folder: Path, given: argparse.Namespace) -> None:
    """Print a line for every size, model and kind."""
    models = {"random": "random", "static": f"sbert@{make_static(folder / 'static')}"}
    shapes = [("sts", size, pairs(size)) for size in given.texts]
    for kind, size, rows in shapes:
        path = suite(folder, f"pairs-{size}", kind, rows)
        for name, method in models.items():
            first = timed(folder, path, method, f"{name} {size:,} texts")
            print(f"{'':<32} {1e6 * first / size:7.1f} µs of processor a text", flush=True)
            timed(folder, path, method, "  the same command again")
            timed(folder, path, method, "  scored again", "--rerun", "all")
    path = suite(folder, "lists", "reranking", lists(given.queries, given.candidates))
    timed(folder, path, models["static"], f"{given.queries} queries x {given.candidates}")
    path = suite(folder, "classes", "classification", labelled(given.rows))
    timed(folder, path, models["static"], f"{CLASSES} classes x {given.rows:,} rows")


def main(arguments: Sequence[str]) -> int:
    """Measure sets of the sizes that are given."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--texts",
        type=lambda sizes: [int(size) for size in sizes.split(",")],
        default=[10_000, 100_000, 1_000_000],
    )
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=22_500)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), given)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
