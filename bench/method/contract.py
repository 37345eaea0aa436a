"""The contract of a method: what it is, its settings, and how it becomes an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bench.core.compute import FULL, Precision
from bench.core.errors import UsageError
from bench.core.outputs import MethodOutput
from bench.data.build_inputs import BuildInput, TrainingSet, fingerprints
from bench.encoding.encoder import Encoder
from bench.encoding.maps import Mapped

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder

    from bench.core.progress import Progress
    from bench.data.access import DataAccess

Kind = Literal["static", "contrastive", "supervised", "transform", "prompt", "ensemble"]
# What a build leaves in its work folder, and what of it becomes part of the model's folder:
# a folder of any files, and what it reports, a JSON object, see ``Built.training``.
EXTRA = "extra"
SUMMARY_FILE = "training.json"
TORCH_STACK = ("sentence-transformers", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class MethodInfo:
    """Facts about a method.

    Attributes:
        name: Registered name.
        title: One line for lists and tables.
        kind: Family of the method.
        paper: Title of the paper, where there is one.
        arxiv: Its arXiv identifier.
        year: Year of publication.
        trains: Whether ``build`` trains when no checkpoint is given.
        requires: Distributions whose version changes the vectors.
        sources: Modules whose code changes the vectors and that the adapter does not import; those
            that it imports are found, see ``bench.models.build.code_modules``.
        gathers: Whether the loss is of the rows of all processes, so that their number does not
            count.
        loads_checkpoints: Whether ``build`` heeds a checkpoint; by default it does where it trains.
        output: What ``build`` gives, which decides the kinds of tasks that can score it.
        example: Options of ``bench run`` for whoever tries it first, where its name alone on a
            suite of vectors is none.
    """

    name: str
    title: str
    kind: Kind
    paper: str | None = None
    arxiv: str | None = None
    year: int | None = None
    trains: bool = False
    requires: tuple[str, ...] = TORCH_STACK
    sources: tuple[str, ...] = ()
    gathers: bool = False
    loads_checkpoints: bool | None = None
    output: MethodOutput = "vectors"
    example: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(
                f"method {self.name!r}: kind {self.kind!r} is none of {', '.join(get_args(Kind))}"
            )


class MethodConfig(BaseModel):
    """Base of all settings: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def idle(self) -> Mapping[str, str]:
        """Options that do nothing beside the others, each with what would make it act.

        Who asks for one of them gets an error, as the same model under another name would pass for
        an experiment. What a profile sets is not asked for.
        """
        return {}

    def options(self, *without: str) -> dict[str, Any]:
        """Options by name as a spec of the same settings names them, but for some.

        Args:
            without: Names that are left out, as are those that are None or do nothing.
        """
        return self.model_dump(exclude_none=True, exclude={*without, *self.idle()})


@dataclass(frozen=True)
class BuildContext:
    """What the framework hands to ``Method.build``.

    Attributes:
        seed: Seed of everything random in the build.
        profile: Name of the profile, for messages; its settings are in the config already.
        device: Torch device, e.g. ``cpu`` or ``cuda``.
        workdir: Folder of this build alone, kept after a crash so that training resumes.
        data: Rows, texts and their checksums.
        models: Bases and checkpoints, by name, folder or hub id.
        progress: Where long work reports.
        precision: Numbers that a training multiplies; weights and losses stay fp32.
    """

    seed: int
    profile: str
    device: str
    workdir: Path
    data: DataAccess
    models: ModelAccess
    progress: Progress
    precision: Precision = FULL

    @property
    def extra(self) -> Path:
        """Folder, to be made by whoever writes to it, whose files the kept model has too.

        Checkpoints of the training hold them as well, so that they are as they were then where it
        is resumed.
        """
        return self.workdir / EXTRA


@dataclass(frozen=True)
class TrainingLoad:
    """What one step of a training encodes at a time, from which its memory follows.

    Attributes:
        texts: Texts whose activations are kept until the backward pass.
        tokens: Most tokens of each.
        lora_rank: Rank of adapters that are trained in place of the weights, or 0.
        encoders: Encoders that are trained together.
        checkpointed: Whether of a layer only its input is kept, and the rest computed again.
        four_bit: Whether linear layers are of 4 bits.
    """

    texts: int
    tokens: int
    lora_rank: int = 0
    encoders: int = 1
    checkpointed: bool = False
    four_bit: bool = False


@dataclass(frozen=True)
class Built:
    """A built encoder.

    Attributes:
        encoder: The encoder.
        fingerprint: Identity of the model.
        seconds: Time it took now, little where the model was trained before.
        training: What its build reported: a training, or a search of settings; None where there
            was neither.
        folder: Where a trained sentence transformer is kept.
        mapped: For a method that maps the vectors of another one: whose, and the maps.
    """

    encoder: Encoder | SentenceTransformer
    fingerprint: str
    seconds: float
    training: dict[str, Any] | None = None
    folder: Path | None = None
    mapped: Mapped | None = None


class ModelAccess(Protocol):
    """How a method reaches other models."""

    def load(
        self,
        name: str,
        *,
        pooling: str | None = None,
        seed: int | None = None,
        load_in_4bit: bool = False,
    ) -> SentenceTransformer:
        """Load a registered method, a folder or a hub checkpoint as a sentence transformer.

        A method trains with the build's seed unless another one is given. Linear layers may be of
        4 bits, for adapters to be trained on.
        """

    def cross_encoder(self, name: str) -> CrossEncoder:
        """Load a folder or a hub checkpoint that scores pairs of texts."""

    def sparse_encoder(self, name: str) -> SparseEncoder:
        """Load a folder or a hub checkpoint whose vectors are sparse."""

    def fingerprint(self, name: str, *, seed: int | None = None) -> str:
        """Identify the same model without loading it."""

    def vectors(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts with any method, folder or hub checkpoint, (n, d)."""

    def mapped(self, name: str) -> Mapped:
        """Build any method, folder or hub checkpoint as an encoder and the maps of its vectors."""

    def build(self, method: Method, *, seed: int | None = None) -> Built:
        """Build a method that may have no name, or find its model.

        It trains with the build's seed unless another one is given.
        """

    def masked_lm(self, name: str) -> tuple[Any, Any]:
        """Load model and tokenizer of a masked language model."""

    def folder(self, name: str) -> Path:
        """Folder in which the model of a method that trains is kept."""

    def kept(self, identity: str) -> Path:
        """Folder for what a method learns from the rows of a task, which may not exist yet."""


class Method(ABC):
    """One method. The constructor stores its settings; all work happens in ``build``.

    Args:
        config: Resolved settings.
        checkpoint: Folder or hub id of a published or saved model; nothing is trained then.
        profile: Name of the profile that the settings are of, for methods within this one.
    """

    info: ClassVar[MethodInfo]
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(
        self, config: MethodConfig, checkpoint: str | None = None, profile: str = "paper"
    ) -> None:
        self.config = config
        self.checkpoint = checkpoint
        self.profile = profile

    @abstractmethod
    def build(self, ctx: BuildContext) -> Encoder | SentenceTransformer:
        """Train or load the encoder."""

    @property
    def trains(self) -> bool:
        """Whether building trains."""
        return self.info.trains and self.checkpoint is None

    @property
    def seeded(self) -> bool:
        """Whether seeds matter; by default they do where building trains."""
        return self.trains

    @property
    def cached(self) -> bool:
        """Whether vectors and records are kept for later runs, as they follow from ``inputs``."""
        return True

    @property
    def gathers(self) -> bool:
        """Whether the loss is of the rows of all processes, by default as ``info`` says."""
        return self.info.gathers

    @property
    def wraps(self) -> str | None:
        """Name of the model whose vectors this method maps, encoded in its place, or None."""
        return None

    @property
    def base(self) -> str | None:
        """The model that training starts from, or None."""
        return getattr(self.config, "base", None) if self.checkpoint is None else None

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the models that the build learns from, by default the base alone."""
        return (self.base,) if self.base is not None else ()

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """What a step of the build's own training encodes, by the model that is trained.

        By default nothing is known of it.
        """
        return {}

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Published text that this build learns nothing from, and what is in its place."""
        return {}

    @property
    def grid(self) -> tuple[int, ...]:
        """Lengths of vectors at which every layer of the transformer is scored too, or none."""
        return ()

    @property
    def fixed_documents(self) -> bool:
        """Whether documents keep all layers there, as they are encoded once for queries of each."""
        return False

    def prompt(self, role: str | None, of_suite: str | None) -> str | None:
        """What is put before texts of a role in place of the encoder's own prompt.

        By default that is nothing, as most methods take no prompts.

        Args:
            role: ``query``, ``document`` or None.
            of_suite: What the suite says for these texts, or None.

        Returns:
            The prompt, or None for the encoder's own.
        """
        return None

    def reads(self) -> Mapping[str, BuildInput]:
        """Data that the build itself reads, by keys under which ``inputs`` has the fingerprints.

        What is a ``TrainingSet`` is learnt from, and the answers of ``training_texts``,
        ``training_datasets`` and ``training_revisions`` follow from it. By default that is the
        corpus ``config.corpus``, where the settings name one and there is no checkpoint, or
        nothing.
        """
        name: str | None = getattr(self.config, "corpus", None)
        if name is None or self.checkpoint is not None:
            return {}
        from bench.data.corpora import NamedCorpus

        return {"corpus": NamedCorpus(name, getattr(self.config, "sentences", None))}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Fingerprints of everything outside the settings that the build reads.

        By default those of the checkpoint or the base, and of what the build ``reads``.
        """
        inputs: dict[str, Any] = {}
        if self.checkpoint is not None:
            inputs["checkpoint"] = models.fingerprint(self.checkpoint)
        elif self.base is not None:
            inputs["base"] = models.fingerprint(self.base)
        return inputs | fingerprints(self.reads(), data)

    def training_texts(self, data: DataAccess) -> Iterable[str]:
        """Texts that the build itself learns from, to be compared with those of test sets.

        What its ``parents`` learnt from is theirs to say.
        """
        for learnt in self._training_sets():
            yield from learnt.texts(data)

    def training_datasets(self) -> tuple[str, ...]:
        """Data sets of datasets.toml that the build itself learns from, ``family/set``.

        Test rows of the same set are marked as in-domain in tables.
        """
        return tuple(name for learnt in self._training_sets() for name in learnt.datasets)

    def training_revisions(self, data: DataAccess) -> Mapping[str, str]:
        """Commit of each data set on the hub that the build itself learns from, by its id."""
        return {
            name: commit
            for learnt in self._training_sets()
            for name, commit in learnt.revisions(data).items()
        }

    def _training_sets(self) -> list[TrainingSet]:
        inputs = self.reads().values()
        return [build_input for build_input in inputs if isinstance(build_input, TrainingSet)]
