"""Time token prepending against the same prompt without it, at the same layer.

    python tests/perf/prepending_speed.py BASE [ROUNDS]

BASE is a decoder: a folder, a hub id or ``decoder-mini``. All variants encode the sentences of
the embedded suite sts-mini from scratch in fp32, in turns, so that a busy machine slows all of
them down. Prints the median seconds of each and its ratio to the prompt read at the last layer;
the paper's Table 1 has 1.04 for prepending.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from bench.api import build_method, make_settings
from bench.method import Encoder
from bench.suite import load_suite
from bench.tasks.loading import load_tasks

VARIANTS = {
    "prompt, last layer": "prepend=false,layer=last",
    "prepending, last layer": "prepend=true,layer=last",
    "prompt, early exit": "prepend=false",
    "prepending, early exit": "prepend=true",
}


def _seconds(encoder: Encoder, texts: list[str]) -> float:
    started = time.perf_counter()
    encoder.encode(texts)
    return time.perf_counter() - started


def main(base: str, rounds: int = 9) -> None:
    """Print seconds and ratios."""
    tasks = load_tasks(load_suite("sts-mini"), make_settings(profile="local").data)
    texts = [text for task in tasks for column in task.texts().values() for text in column.texts]
    encoders = {}
    for name, options in VARIANTS.items():
        encoders[name] = build_method(f"token-prepending[base={base},{options}]")[0].encoder
        encoders[name].encode(texts[:64])
    taken: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encoder in encoders.items():
            taken[name].append(_seconds(encoder, texts))
    unit = median(taken["prompt, last layer"])
    for name, seconds in taken.items():
        print(f"{name:24} {median(seconds):8.3f} s  {median(seconds) / unit:5.2f}")


if __name__ == "__main__":
    main(sys.argv[1], *(int(text) for text in sys.argv[2:3]))
