"""Small worlds that the campaign breaks, and what has to be there in the end."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.suites import write_suite

# What differs between runs that measure the same.
_TIMES = ("timings", "peak_memory_bytes", "peak_memory", "created", "machine", "record_sha256")
_CLAIM = """
paper = "A Paper"
arxiv = "2401.00001"
[[claims]]
name = "above"
claim = "The one is above the other."
source = "Table 1"
a = "good"
b = "random"
suite = "small.toml"
"""


@dataclass(frozen=True)
class Scenario:
    """A command, and commands that come before it.

    Attributes:
        name: What it is called in the report.
        arguments: Arguments of ``bench``.
        before: Arguments of earlier ones, which nobody kills.
    """

    name: str
    arguments: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()


def make(folder: Path) -> Path:
    """Make the world that every scenario starts from."""
    from tests.support.models import tiny_bert

    folder.mkdir(parents=True)
    write_suite(folder)
    tiny_bert(folder / "tiny")
    rows = [f"text {i}\tthe text {i}\n" for i in range(40)]
    (folder / "pairs.tsv").write_text("".join(rows))
    (folder / "claims.toml").write_text(_CLAIM)
    return folder


def scenarios() -> list[Scenario]:
    """All commands that the campaign kills."""
    run = ("run", "--suite", "small.toml", "--profile", "smoke", "--output", "out", "--methods")
    short = "base=tiny,dev=false,batch_size=8,lr=1e-2,epochs=1,corpus=pairs.tsv"
    sct = f"sct[{short},queue_size=8,momentum=0.9,sentences=40]"
    conan = (
        "conan[base=tiny,stage1=,queries=6,batch_size=4,graded_batch_size=6,negatives=3,"
        "check_every=2,factor=0.5,cap=2,epochs=1,lr=1e-2,dev=false]"
    )
    encode = (*run, "good,sbert@./tiny")
    table = ("table", "out", "--write", "--leaderboards", "boards")
    claims = ("claims", "claims.toml", "--records", "out", "--run")
    return [
        Scenario("plan, encode, score, write", encode),
        Scenario("train with a queue and momentum", (*run, sct)),
        Scenario("train with mined negatives", (*run, conan)),
        Scenario("table --write", table, (encode,)),
        Scenario("claims --run", claims),
    ]


def copy(world: Path, to: Path) -> Path:
    """Copy a world."""
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(world, to, symlinks=True))


def state(folder: Path) -> dict[str, Any]:
    """What is kept below a world, without what may differ: times, and the order of writing."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name.startswith("cache/locks/") or name == "cache/hashes.json":
            continue
        content = path.read_bytes()
        if path.name in ("training.json", "checksums.json", "README.md"):
            found[name] = "there"
        elif path.suffix == ".json" and name.startswith("out/"):
            found[name] = _record(json.loads(content))
        elif path.name == "tokenizer.json":
            # How the last texts were cut and padded, which every call sets again.
            found[name] = {**json.loads(content), "truncation": None, "padding": None}
        elif name.startswith("cache/vectors/"):
            # Shards hold what was missing, which depends on where a run was killed.
            found[str(Path(name).parent)] = "there"
        else:
            found[name] = content
    return found


def shown(out: str) -> str:
    """What is printed, without the columns of costs, which are those of one run."""
    lines, cut = [], None
    printed = out.splitlines()
    for line, rule in zip(printed, [*printed[1:], ""], strict=True):
        costs = [line.index(name) for name in ("Time", "Texts/s", "Memory") if name in line]
        if costs and "Method" in line:
            # Numbers may be wider than the name above them, as the rule tells.
            cut = rule.rfind("  ", 0, min(costs) + 1)
        elif not line.strip():
            cut = None
        lines.append(line[:cut].rstrip())
    return "\n".join(lines)


def _record(record: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in record.items() if key not in _TIMES}
    kept.pop("encoding", None)
    if isinstance(kept.get("training"), dict):
        kept["training"] = {k: v for k, v in kept["training"].items() if k != "seconds"}
    return kept


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names of what is missing, more or other."""
    return sorted(
        name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    )
