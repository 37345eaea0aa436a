"""Time exact search against a bare product of the same blocks, in turns.

    python tests/perf/search_speed.py [DOCUMENTS] [QUERIES] [TURNS]

Documents of 384 numbers lie in a file that is mapped, 1,000 are kept of each query. The product
computes every cosine and keeps none. Prints medians and their ratio, of wall and of CPU time, and
the most memory that the search took besides the file (anonymous memory, sampled every 20 ms).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.execution.environment import machine
from bench.tasks.search import DOCUMENTS, QUERIES, nearest

DIMENSION, KEPT = 384, 1000


def write(path: Path, count: int) -> NDArray[np.float32]:
    """Write random vectors (n, 384) a block at a time, and map them."""
    rows = np.memmap(path, np.float32, "w+", shape=(count, DIMENSION))
    for start in range(0, count, DOCUMENTS):
        rng = np.random.default_rng(start)
        block = rows[start : start + DOCUMENTS]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    rows.flush()
    return rows


def product(queries: NDArray[np.float32], documents: NDArray[np.float32]) -> None:
    """Multiply all queries with all documents, a block of both at a time."""
    for start in range(0, len(queries), QUERIES):
        asked = torch.from_numpy(queries[start : start + QUERIES])
        for first in range(0, len(documents), DOCUMENTS):
            _ = asked @ torch.from_numpy(documents[first : first + DOCUMENTS]).T


def anonymous() -> int:
    """Bytes that the process holds besides mapped files."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


def most_memory(work: Callable[[], object]) -> int:
    """Most anonymous memory while something runs, less what there was before."""
    before, seen, done = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen[0] = max(seen[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return seen[0] - before


def main(documents: int = 1_000_000, asked: int = 1000, turns: int = 5) -> None:
    """Print the figures."""
    print(
        machine("cpu"),
        f"{torch.get_num_threads()} threads, {documents:,} documents, {asked:,} queries",
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = write(Path(folder) / "rows", documents)
        queries = np.random.default_rng(1).standard_normal((asked, DIMENSION), dtype=np.float32)
        work: dict[str, Callable[[], object]] = {
            "product": lambda: product(queries, rows),
            "search": lambda: nearest(queries, rows, KEPT),
        }
        seconds: dict[str, list[float]] = {name: [] for name in work}
        processor: dict[str, list[float]] = {name: [] for name in work}
        for turn in range(1, turns + 1):
            for name, run in work.items():
                started, used = time.perf_counter(), time.process_time()
                run()
                seconds[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - used)
                print(f"turn {turn} {name}: {seconds[name][-1]:.2f} s", flush=True)
        for unit, times in (("seconds", seconds), ("CPU seconds", processor)):
            medians = {name: statistics.median(of_each) for name, of_each in times.items()}
            ratio = medians["search"] / medians["product"]
            print({name: round(of_each, 2) for name, of_each in medians.items()}, unit)
            print(f"search / product: {ratio:.2f} in {unit}")
        print(f"memory of the search: {most_memory(work['search']) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
