"""What builds read is all in their inputs, so that a change of it makes another model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import save_file

from bench.core.cache import Cache
from bench.core.progress import Silent
from bench.core.registry import METHODS, names
from bench.core.spec import parse_method_spec
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, SplitInput, fingerprints
from bench.data.catalog import catalog, parse_refs
from bench.data.corpora import NamedCorpus
from bench.encoding.maps import Mapped
from bench.method import (
    BuildContext,
    Encoder,
    Method,
    MethodConfig,
    MethodInfo,
    make_method,
)
from bench.method.contract import SUMMARY_FILE
from bench.training import language, trainer
from tests.support.models import tiny_bert

# Settings in which more is read than by default, and such as fit random models.
SPECS = (
    "codiemb[fusion=greedy]",
    "codiemb[fusion=none,batch_size=8,sts_batch_size=8]",
    "codiemb[fusion=none,loss=infonce,dev=true,batch_size=8,sts_batch_size=8]",
    "defsent[head=false]",
    "jtcse[output=distilled]",
    "jtcse[joint=false]",
    "matryoshka[dims=(16,8),grid=(16)]",
    "matryoshka-2d[dims=(16,8),grid=(16)]",
    "minbert[tasks=multi]",
    "sct[views=synonym1,queue_size=8]",
    "sct-distill[views=synonym1,queue_size=8,student=]",
    "two-tier-simcse[tier=1]",
    "whitening[fit=corpus]",
)
# They need a server, a name, a checkpoint, weights of their own, a twin, or a real language model.
UNBUILT = (
    "api",
    "mteb",
    "sbert",
    "cross",
    "sparse",
    "minilm",
    "minilm-l2-mlm",
    "smollm2",
    "jtcse[output=distilled]",
    "token-prepending",
)
WORDS = ("kettle", "rain", "dog", "lamp")
_ROWS = 40
_NO_STEPS = '{"steps": 0, "seconds": 0.0}'


class Spy(DataAccess):
    """Has made-up rows of every data set, and notes the splits that are asked for.

    Attributes:
        named: Splits of which an identity was asked.
        read: Splits whose rows were read.
    """

    def __init__(self, folder: Path) -> None:
        cache = Cache(folder)
        super().__init__(None, cache.data, cache.hashes(), offline=True)
        self.named: set[str] = set()
        self.read: set[str] = set()

    def sha256(self, text: str) -> str:
        """Note the splits."""
        self.named |= {str(ref) for ref in parse_refs(text)}
        return text

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Note the splits, and make rows up."""
        self.read |= {str(ref) for ref in parse_refs(text)}
        columns = catalog()[parse_refs(text)[0].dataset].columns
        return [{column: _made(column, row, text) for column in columns} for row in range(_ROWS)]


def _made(column: str, row: int, ref: str) -> Any:
    if column in {"label", "score"}:
        return row % 2 if column == "label" else 1 + row % 5
    text = f"{WORDS[row % 4]} {row} of {column} in {re.sub('[^a-z]+', ' ', ref)}"
    if column in {"positive", "negative", "texts", "references"}:
        return [text, f"another {text}"]
    return "abcdefghij"[row % 10] if column == "word" else text


class Others:
    """Other models: one random transformer for all, and vectors by chance."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fingerprint(self, name: str, *, seed: int | None = None) -> str:
        """The name."""
        return name

    def load(
        self,
        name: str,
        *,
        pooling: str | None = None,
        seed: int | None = None,
        load_in_4bit: bool = False,
    ) -> Any:
        """The transformer."""
        from bench.models.checkpoints import load_folder

        return load_folder(self._folder, "cpu", pooling)

    def vectors(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Random ones."""
        return np.random.default_rng(0).normal(size=(len(texts), 16)).astype(np.float32)

    def folder(self, name: str) -> Path:
        """The folder of a model that has kept one checkpoint."""
        checkpoints = self._folder.parent / "kept" / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        save_file(self.load(name).state_dict(), checkpoints / "1.safetensors")
        (checkpoints.parent / SUMMARY_FILE).write_text(_NO_STEPS)
        return checkpoints.parent

    def mapped(self, name: str) -> Mapped:
        """The transformer without maps."""
        return Mapped(self.load(name), name, lambda texts: self.vectors(name, texts))


def _method(spec: str) -> Method:
    parsed = parse_method_spec(spec)
    return make_method(parsed, "local")


def _specs() -> list[str]:
    """Every registered method once at least, those that need more than made-up models smaller."""
    named = {parse_method_spec(spec).name for spec in SPECS}
    others = [name for name in names(METHODS) if name not in named]
    return [spec for spec in [*SPECS, *others] if spec not in UNBUILT]


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of three layers."""
    return tiny_bert(tmp_path_factory.mktemp("deep"), layers=3)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings that leave the model as it was."""

    def train(model: Any, *given: Any, **_: Any) -> Any:
        (ctx,) = (one for one in given if isinstance(one, BuildContext))
        (ctx.workdir / SUMMARY_FILE).write_text(_NO_STEPS)
        return model

    monkeypatch.setattr(trainer, "train", train)
    monkeypatch.setattr(language, "train_language_model", lambda *_, **__: None)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("spec", _specs())
def test_what_a_build_reads_is_in_its_inputs(spec: str, deep: Path, tmp_path: Path) -> None:
    data, method = Spy(tmp_path), _method(spec)
    models: Any = Others(deep)
    method.inputs(data, models)
    assert not data.read
    method.build(BuildContext(0, "local", "cpu", tmp_path, data, models, Silent()))
    assert data.read <= data.named


@pytest.mark.parametrize("spec", [*names(METHODS), *SPECS])
def test_what_is_learnt_is_in_the_inputs(spec: str, tmp_path: Path) -> None:
    method, data = _method(spec), Spy(tmp_path)
    fingerprints(method.reads(), data)
    assert not data.read
    texts = {*method.training_texts(data)}
    assert data.read <= data.named
    assert bool(texts) == bool(method.training_datasets())
    assert {*method.training_datasets()} <= {name.partition(":")[0] for name in data.read}


class Own(Method):
    """Has a corpus and says nothing of it, and rows that it does not learn from."""

    class Config(MethodConfig):
        corpus: str = "mix"
        sentences: int = 3

    info = MethodInfo(name="own", title="Own", kind="static")

    def reads(self) -> Mapping[str, BuildInput]:
        return {**super().reads(), "shown": SplitInput("sts/stsb:dev")}

    def build(self, ctx: BuildContext) -> Encoder:
        raise NotImplementedError


def test_rows_that_are_only_looked_at_are_inputs_and_not_learnt(tmp_path: Path) -> None:
    data, models = Spy(tmp_path), Others(tmp_path)
    own, loaded = Own(Own.Config()), Own(Own.Config(), "folder")
    shown = {"shown": "sts/stsb:dev"}
    assert own.inputs(data, models).keys() == {"corpus", "shown"}  # type: ignore[arg-type]
    assert loaded.inputs(data, models) == {"checkpoint": "folder"} | shown  # type: ignore[arg-type]
    assert len([*own.training_texts(data)]) == 3
    assert own.training_datasets() == ("unlabeled/mix",)
    assert ([*loaded.training_texts(data)], loaded.training_datasets()) == ([], ())
    assert data.read == {"unlabeled/mix:train"}


def test_a_hub_corpus_tells_its_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    revisions = {"org/name": "1" * 40}
    monkeypatch.setattr(NamedCorpus, "revisions", lambda self, data: revisions)
    assert _method("simcse").training_revisions(Spy(tmp_path)) == revisions
    assert _method("jtcse[output=tower-a]").training_revisions(Spy(tmp_path)) == {}
