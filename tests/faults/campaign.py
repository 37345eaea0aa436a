"""Breaks runs in all ways that a machine can, and looks whether every number is still right.

    python tests/faults/campaign.py --kills 200 --seed 0

Runs are killed at random moments and at file-system events, several work in one place at once,
disks get full, and bytes of kept files change. After each the same command is run again and has to
give what a run that nobody disturbed gives, or to refuse in one line. Prints tried, held, failed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The package of the tests is found last, since the checkout's bench would hide the installed one.
# Threads that a library has started do not survive a fork.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
sys.path.append(str(Path(__file__).parents[2]))
from tests.faults import forked, worlds
from tests.faults.forked import Ended, Kill
from tests.faults.worlds import Scenario

_REFUSED = {2, 3, 4}
_ROOM = "make room"
_SETTLED = 2.1


@dataclass
class Report:
    """Counts by kind of fault.

    Attributes:
        tried: Faults that were made.
        failed: What went wrong, in words.
    """

    tried: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, what: str, wrong: list[str]) -> None:
        """Count a fault and what is wrong after it."""
        self.tried[kind] = self.tried.get(kind, 0) + 1
        if wrong:
            self.failed.setdefault(kind, []).append(f"{what}: {'; '.join(wrong)}")
            print(f"FAILED {kind}: {what}: {'; '.join(wrong)}", flush=True)

    def show(self) -> int:
        """Print the counts; the exit code."""
        for kind, tried in self.tried.items():
            failed = len(self.failed.get(kind, []))
            print(f"{kind:<32} tried {tried:>4}  held {tried - failed:>4}  failed {failed:>4}")
        tried, failed = sum(self.tried.values()), sum(map(len, self.failed.values()))
        print(f"{'all':<32} tried {tried:>4}  held {tried - failed:>4}  failed {failed:>4}")
        return 1 if failed else 0


@dataclass(frozen=True)
class Whole:
    """What a scenario gives where nothing disturbs it.

    Attributes:
        scenario: The scenario.
        world: Copy of the world before it.
        ended: The run.
        state: What it left.
    """

    scenario: Scenario
    world: Path
    ended: Ended
    state: dict[str, Any]

    def wrong(self, folder: Path, ended: Ended) -> list[str]:
        """What is wrong in a world after the command was run for the last time."""
        found = [] if ended.code == 0 else [f"exit {ended.code}: {ended.err[-300:]}"]
        if worlds.shown(ended.out) != worlds.shown(self.ended.out):
            found.append("another table")
        if "Traceback" in ended.err:
            found.append("a traceback")
        found += worlds.differences(worlds.state(folder), self.state)
        return found + [f"{path} is left" for path in (folder / "cache/work").glob("*")]


class Campaign:
    """All faults, from one seed.

    Args:
        folder: Where worlds are made.
        seed: Seed of all choices.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self.report = Report()
        self._wholes = [self._whole(one, i) for i, one in enumerate(worlds.scenarios())]

    def _whole(self, scenario: Scenario, number: int) -> Whole:
        world = self._folder / "worlds" / str(number)
        if not (self._folder / "worlds/made").exists():
            _in_child(lambda: worlds.make(self._folder / "worlds/made"))
        worlds.copy(self._folder / "worlds/made", self._at)
        for arguments in scenario.before:
            forked.run(self._at, arguments)
        worlds.copy(self._at, world)
        ended = forked.run(self._at, scenario.arguments)
        if ended.code:
            raise SystemExit(f"{scenario.name} fails undisturbed: {ended.err}")
        return Whole(scenario, world, ended, worlds.state(self._at))

    @property
    def _at(self) -> Path:
        """The world that runs see, always at one path, which names of methods hold."""
        return self._folder / "now"

    def kill(self, count: int) -> None:
        """Kill runs: half of them at file-system events, half of them at any moment."""
        events = [
            (whole, Kill(event=event + 1))
            for whole in self._wholes
            for event in range(whole.ended.events)
        ]
        share = min(len(events), count // 2)
        # Evenly over all events, so that each scenario has its part.
        first = self._random.random()
        chosen = [
            events[int((i + first) * len(events) / share) % len(events)] for i in range(share)
        ]
        for _ in range(count - share):
            whole = self._random.choice(self._wholes)
            chosen.append((whole, Kill(seconds=self._random.random() * whole.ended.seconds)))
        for whole, kill in chosen:
            worlds.copy(whole.world, self._at)
            killed = forked.run(self._at, whole.scenario.arguments, kill)
            wrong = [] if killed.code in (-9, 0) else [f"exit {killed.code}: {killed.err[-300:]}"]
            again = forked.run(self._at, whole.scenario.arguments)
            what = f"{whole.scenario.name} at {kill}"
            kind = "kill at an event" if kill.event else "kill at any moment"
            self.report.add(kind, what, wrong + whole.wrong(self._at, again))

    def together(self, rounds: int) -> None:
        """Run a command two to four times at once, on one cache and output."""
        for number in range(rounds):
            whole = self._wholes[number % len(self._wholes)]
            worlds.copy(whole.world, self._at)
            count = self._random.randint(2, 4)
            started = [forked.start(self._at, whole.scenario.arguments) for _ in range(count)]
            wrong = []
            for one in started:
                ended = forked.wait(one)
                if ended.code or worlds.shown(ended.out) != worlds.shown(whole.ended.out):
                    wrong.append(f"exit {ended.code}: {ended.err[-300:]}")
            wrong += whole.wrong(self._at, forked.run(self._at, whole.scenario.arguments))
            self.report.add("several at once", f"{count} of {whole.scenario.name}", wrong)

    def fill(self, sizes: int) -> None:
        """Let the disk of the cache, and that of the output, get full."""
        for place in ("cache", "out"):
            for i in range(sizes):
                whole = self._wholes[i % 3]
                worlds.copy(whole.world, self._at)
                size = int(4096 * 1.55**i)
                with _small_disk(self._at / place, size) as disk:
                    room = None if disk else size
                    full = forked.run(self._at, whole.scenario.arguments, room=room)
                    wrong = _badly_refused(full)
                    if disk:
                        _grow(self._at / place)
                    again = forked.run(self._at, whole.scenario.arguments)
                    wrong += whole.wrong(self._at, again)
                how = "disk" if disk else "file size"
                what = f"{whole.scenario.name}: {size} bytes of {place} ({how})"
                self.report.add("disk full", what, wrong)

    def change(self, count: int) -> None:
        """Change a byte in every kind of kept file."""
        kinds = [*_KINDS.items()]
        for number in range(count):
            kind, (scenario, pattern) = kinds[number % len(kinds)]
            whole = self._wholes[scenario]
            paths = self._kept(whole, pattern)
            path = self._random.choice(paths)
            place = self._change(path)
            if "vectors" in kind:
                worlds.shutil.rmtree(self._at / "out")
            again = forked.run(self._at, whole.scenario.arguments)
            refused = again.code in _REFUSED and not again.out and _one_line(again)
            what = f"{kind}: byte {place} of {path.relative_to(self._at)}"
            wrong = [] if refused else self._shown(whole, again)
            self.report.add("a byte changed", what, wrong)

    def _shown(self, whole: Whole, again: Ended) -> list[str]:
        if again.code or "Traceback" in again.err:
            return [f"exit {again.code}: {again.err[-300:]}"]
        same = worlds.shown(again.out) == worlds.shown(whole.ended.out)
        return [] if same else ["another table"]

    def _kept(self, whole: Whole, pattern: str) -> list[Path]:
        """Run a command, and find files that it leaves, or leaves where it is killed."""
        kills = [
            Kill(event=event + 1) for event in range(whole.ended.events // 2, whole.ended.events)
        ]
        self._random.shuffle(kills)
        for kill in kills if "cache/work" in pattern else [None]:
            worlds.copy(whole.world, self._at)
            # Checksums of files that were just written are not remembered.
            time.sleep(_SETTLED if "hashes" in pattern else 0)
            forked.run(self._at, whole.scenario.arguments, kill)
            found = sorted(path for path in self._at.glob(pattern) if path.is_file())
            if found:
                return found
        raise SystemExit(f"{whole.scenario.name} leaves no {pattern}")

    def _change(self, path: Path) -> int:
        content = bytearray(path.read_bytes())
        place = self._random.randrange(len(content))
        content[place] ^= 1 << self._random.randrange(8)
        path.write_bytes(content)
        return place


# Number of the scenario that leaves a file, and where.
_KINDS: dict[str, tuple[int, str]] = {
    "remembered checksums": (1, "cache/hashes.json"),
    "weights of a model": (1, "cache/models/*/*.safetensors"),
    "other files of a model": (1, "cache/models/*/*.json"),
    "summary of a training": (2, "cache/models/*/training.json"),
    "what a method left": (2, "cache/models/*/mining.json"),
    "checksums of a model": (1, "cache/models/*/checksums.json"),
    "vectors": (0, "cache/vectors/*/*.safetensors"),
    "weights of a checkpoint": (1, "cache/work/*/checkpoints/*/*.safetensors"),
    "other files of a checkpoint": (1, "cache/work/*/checkpoints/*/*"),
    "what a method left in a checkpoint": (2, "cache/work/*/**/mining.json"),
    "items": (0, "out/*/*.items.safetensors"),
    "record": (0, "out/*/*-seed0.json"),
}


def _one_line(ended: Ended) -> bool:
    last = ended.err.strip().splitlines()[-1:]
    return "Traceback" not in ended.err and bool(last) and last[0].startswith("bench: ")


def _badly_refused(ended: Ended) -> list[str]:
    if ended.code == 0:
        return []
    if (
        ended.code in _REFUSED
        and _one_line(ended)
        and (_ROOM in ended.err or "written" in ended.err)
    ):
        return []
    return [f"exit {ended.code} where the disk is full: {ended.err[-300:]}"]


@contextmanager
def _small_disk(place: Path, size: int) -> Iterator[bool]:
    """Mount a file system of a size where that is allowed; whether it was."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def _grow(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=100m", str(place)], check=True)


def _in_child(function: Callable[[], object]) -> None:
    """Call a function that computes, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _prepare() -> None:
    """Import what runs use, have made-up data and frequent checkpoints, and add the stubs."""
    import pytest
    import sentence_transformers  # noqa: F401 - imported once for all runs
    import sklearn.linear_model  # noqa: F401

    import bench.api
    import bench.execution.grid
    import bench.training.trainer  # noqa: F401
    from bench.data.graded import Graded, GradedPairs
    from bench.data.retrieval import Queries
    from tests.support import models, rows, stub_methods  # noqa: F401
    from tests.support.stopping import frequent_checkpoints

    patch = pytest.MonkeyPatch()
    frequent_checkpoints(patch)
    queries = rows.QUERIES
    graded = Graded(rows.PAIRS, rows.SCORES)
    patch.setattr(Queries, "load", lambda self, data: queries[: self.limit])
    patch.setattr(GradedPairs, "load", lambda self, data: graded)
    for read in (Queries, GradedPairs):
        patch.setattr(read, "fingerprint", lambda self, data: "made up")
    stub_methods.register()


def main() -> int:
    """Run the campaign; 0 where all held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20, help="of several runs at once")
    parser.add_argument("--sizes", type=int, default=10, help="of disks that get full")
    parser.add_argument("--bytes", type=int, default=60, help="that change")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    _prepare()
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as folder:
        campaign = Campaign(Path(folder), given.seed)
        campaign.change(given.bytes)
        campaign.fill(given.sizes)
        campaign.together(given.rounds)
        campaign.kill(given.kills)
        return campaign.report.show()


if __name__ == "__main__":
    sys.exit(main())
