"""Methods that map the vectors of any other method, and cost no encoding of their own."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from bench.core.errors import UsageError
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, fingerprints
from bench.data.corpora import NamedCorpus
from bench.encoding.maps import Affine, FitSource, Floats, Link, Mapped
from bench.method import BuildContext, Encoder, Method, MethodConfig, ModelAccess, named_method

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# What maps the vectors, by no import of ours.
SOURCES = (
    "bench.encoding.batches",
    "bench.encoding.encode",
    "bench.tasks.probes.mapped",
    "bench.execution.fitting",
)


class TransformConfig(MethodConfig):
    """Settings of every transform.

    Attributes:
        of: Method, folder or hub id of the model whose vectors are mapped.
    """

    of: str = "minilm"


class SizedConfig(TransformConfig):
    """Settings of a transform that shortens vectors, by ``dim`` or by ``fraction`` or not at all.

    Attributes:
        dim: Numbers that stay.
        fraction: Share of the numbers that stays, rounded, at least one.
    """

    dim: int | None = Field(None, gt=0)
    fraction: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_size(self) -> SizedConfig:
        if self.dim is not None and self.fraction is not None:
            raise ValueError("dim and fraction both set the size; leave one out")
        return self


class FittedConfig(MethodConfig):
    """Settings of a map that is fitted on text.

    Attributes:
        corpus: The text, see ``bench.data.corpora``; every text of a row counts.
        sentences: Number of rows of the corpus, or None for all.
    """

    corpus: str = "nli"
    sentences: int | None = Field(None, gt=0)


class Transform(Method):
    """Maps the vectors of ``config.of``, which may be any method, folder or hub id."""

    config: TransformConfig

    @abstractmethod
    def link(self, ctx: BuildContext) -> Link:
        """The map, or how it is fitted."""

    @property
    def source(self) -> FitSource:
        """What the map is fitted on."""
        return "known"

    @property
    def maps_features(self) -> bool:
        """Whether it maps the features of pairs that a probe sees, and not their vectors."""
        return False

    @property
    def wrapped(self) -> Method | None:
        """The method whose vectors are mapped; None where it is a folder or hub id."""
        return named_method(self.config.of, self.profile)

    @property
    def trains(self) -> bool:
        """Whether the model whose vectors are mapped is trained here."""
        return self.checkpoint is None and self.wrapped is not None and self.wrapped.trains

    @property
    def seeded(self) -> bool:
        """Whether seeds matter to that model."""
        return self.checkpoint is None and self.wrapped is not None and self.wrapped.seeded

    @property
    def base(self) -> str | None:
        """Base of that model."""
        return self.wrapped.base if self.wrapped else None

    @property
    def parents(self) -> tuple[str, ...]:
        """That model."""
        return (self.config.of,)

    @property
    def wraps(self) -> str | None:
        """That model."""
        return self.config.of

    def reads(self) -> Mapping[str, BuildInput]:
        """The corpus of a map that may be fitted on one."""
        fitted = self.checkpoint is None and self.source in ("corpus", "train")
        return {"corpus": self._corpus} if fitted else {}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """That model, and the corpus of a map that may be fitted on one.

        Raises:
            UsageError: There is a checkpoint, or the fits of this map and of one within differ.
        """
        name = self.info.name
        if self.checkpoint is not None:
            raise UsageError(
                f"{name}@{self.checkpoint}: {name} has no checkpoints; write "
                f"{name}[of={self.checkpoint}]"
            )
        if self.wrapped is not None and self.wrapped.info.output != "vectors":
            raise UsageError(
                f"{name} maps one vector a text, which {self.config.of} does not give; name "
                "another model"
            )
        self._refuse_mixed()
        return {"of": models.fingerprint(self.config.of), **fingerprints(self.reads(), data)}

    def _refuse_mixed(self) -> None:
        inner, own = _fitted_to_tasks(self.wrapped), self.source
        if any(one.maps_features for one in _transforms_from(self.wrapped)):
            raise UsageError(
                f"{self.info.name} maps vectors, and {self.config.of} features that are made of "
                "them; put pairs=features outside of all other transforms"
            )
        if self.maps_features and inner is not None:
            raise UsageError(
                f"{self.info.name}[pairs=features] cannot wrap {self.config.of}, which is fitted "
                "to each task too; fit that on a corpus"
            )
        if inner is None or own in ("known", inner):
            return
        why = "needs a model" if own == "corpus" else f"is fitted with fit={own}"
        raise UsageError(
            f"{self.info.name} {why}, and {self.config.of} is fitted to each task with "
            f"fit={inner}; choose the same fit for both"
        )

    @property
    def _corpus(self) -> NamedCorpus:
        if not isinstance(self.config, FittedConfig):
            raise TypeError(f"{self.info.name} is fitted on text and has no setting that names it")
        return NamedCorpus(self.config.corpus, self.config.sentences)

    def corpus_texts(self, data: DataAccess) -> list[str]:
        """Every text of the corpus of the settings, each once.

        Raises:
            DataError: The text is missing.
        """
        return list(dict.fromkeys(self._corpus.texts(data)))

    def build(self, ctx: BuildContext) -> Encoder | SentenceTransformer:
        """Take the encoder that is wrapped, and add the map.

        Raises:
            UsageError: The map does not fit vectors of this size.
            CellError: It cannot be fitted on the vectors of its corpus.
        """
        mapped = ctx.models.mapped(self.config.of).with_link(self.link(ctx))
        return mapped if mapped.rest else replace(mapped, model=_as_model(mapped))


def _transforms_from(method: Method | None) -> Iterator[Transform]:
    """A method, if it is a transform, and those that it wraps, from the outermost on."""
    while isinstance(method, Transform) and method.wraps is not None:
        yield method
        method = method.wrapped


def _fitted_to_tasks(method: Method | None) -> FitSource | None:
    """What the maps of a method and of those it wraps are fitted on in each task, if any are."""
    sources = (one.source for one in _transforms_from(method))
    return next((source for source in sources if source in ("train", "test")), None)


def size(config: SizedConfig, width: int) -> int:
    """Numbers that stay of vectors of a width.

    Raises:
        UsageError: The vectors are shorter than ``dim``.
    """
    if config.fraction is not None:
        return max(1, round(config.fraction * width))
    if config.dim is not None and config.dim > width:
        raise UsageError(f"dim={config.dim} is out of range: the vectors have {width} dimensions")
    return config.dim or width


def picking(columns: Sequence[int], width: int) -> Affine:
    """The map to some of the ``width`` columns, in their order."""
    matrix: Floats = np.eye(width)[:, columns]
    return Affine(np.zeros(width), matrix)


def _as_model(mapped: Mapped) -> SentenceTransformer | None:
    """A sentence transformer with the maps as its last layers; None for other encoders and maps."""
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    model: Any = mapped.encoder
    # One of a class of its own may compute its vectors without looking at its last layers.
    if library is None or type(model) is not library.SentenceTransformer:
        return None
    affine = [one for one in mapped.done if isinstance(one, Affine)]
    if len(affine) < len(mapped.done):
        return None
    made: SentenceTransformer = library.SentenceTransformer(
        modules=[*model, *(as_dense(one, str(model.device)) for one in affine)],
        device=str(model.device),
        prompts={name: text or "" for name, text in model.prompts.items()},
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
    )
    return made


def as_dense(affine: Affine, device: str) -> Any:
    """A linear layer of sentence-transformers, float32, that computes the map."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    width, dim = affine.matrix.shape
    weight = torch.tensor(affine.matrix.T, dtype=torch.float32)
    bias = torch.tensor(-affine.mean @ affine.matrix, dtype=torch.float32)
    return Dense(
        width,
        dim,
        activation_function=torch.nn.Identity(),
        init_weight=weight.contiguous(),
        init_bias=bias,
    ).to(device)
