"""2D Matryoshka: prefixes of the vectors of every layer are trained to be vectors of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.errors import UsageError
from bench.data.build_inputs import BuildInput
from bench.data.corpora import Texts
from bench.data.retrieval import Queries
from bench.method import BuildContext, MethodInfo
from bench.methods.matryoshka import Matryoshka
from bench.methods.parts.mixture import Mixture
from bench.models.layers import count_layers

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.matryoshka import VectorLoss
    from bench.training.batches import Batches
    from bench.training.sub_models import SubModels

_ANGLE = ("angle_weight", "in_batch_weight", "angle_scale")
_ALIGNED = ("score_align", "compare_to_last_layer", "sub_layer_full_dim", "passage_to_last_layer")
# Options of one variant alone, and of two.
_OF_ST = ("dims_per_step", "layer_weighting", "detached")
_OF_ESE = ("size", "embedding_layer", *_ANGLE)
_OF_RETRIEVAL = ("retrieval", "queries", "negatives", "similarity", *_ALIGNED)
_OF_STS = ("divergence_temperature", "corpus", "sentences")
_OF_SUB_LAYERS = (
    "layer_weighting",
    "detached",
    "embedding_layer",
    "compare_to_last_layer",
    "sub_layer_full_dim",
    "passage_to_last_layer",
)
# Defaults of the variants, where they are not those of ``st``.
_PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "st": {},
    "ese": {"pooling": "cls", "max_seq_length": 128, "layers_per_step": -1},
    "retrieval": {
        "pooling": "cls",
        "temperature": 1.0,
        "dims": (128,),
        "layers_per_step": -1,
        "lr": 1e-4,
        "epochs": 3,
        "max_seq_length": 196,
        "warmup_steps": None,
    },
}
_LOCAL: Mapping[str, Mapping[str, Any]] = {
    "st": {"dims": (384, 192, 96, 48), "max_seq_length": 32, "warmup_steps": 6, "dev": True},
    "ese": {"max_seq_length": 32, "warmup_steps": 6, "dev": True},
    "retrieval": {
        "dims": (96,),
        "queries": 1_500,
        "negatives": 1,
        "similarity": "cosine",
        "temperature": 0.05,
        "max_seq_length": 64,
    },
}


class Matryoshka2d(Matryoshka):
    """2D Matryoshka of sentence-transformers, Espresso, or the reproduction's for retrieval."""

    info = MethodInfo(
        name="matryoshka-2d",
        title="2D Matryoshka, trained for prefixes of every layer",
        kind="supervised",
        paper="2D Matryoshka Sentence Embeddings",
        arxiv="2402.14776",
        year=2024,
        trains=True,
        gathers=True,
    )

    class Config(Matryoshka.Config):
        """Settings; the defaults are those of the reproduction (arXiv 2411.17299) for BERT-base.

        It has three trainings, the variants, with defaults of their own: its first version for
        STS, its second one, and its training for retrieval. The first two add up the gradients of
        128 batches before each step, which is not done here. The third learns from MS MARCO with
        queries of at most 32 tokens; here it is from the sets below, and queries are cut as
        passages are. Suites compare vectors by cosine, whichever similarity is trained. Where
        ``dev`` is set, a checkpoint is chosen by the mean over all layers and the lengths of
        ``grid``.

        Attributes:
            variant: ``st`` draws layers and prefixes in each step, as sentence-transformers does;
                ``ese`` is Espresso, which compresses every layer into ``size`` numbers;
                ``retrieval`` learns from queries and passages, with all layers in each step.
            dims: Lengths of the prefixes that are trained; with ``retrieval`` besides the whole
                vectors of the last layer.
            dims_per_step: With ``st``, prefixes in each sum, or -1 for all.
            layers_per_step: Layers besides the last in a step, -1 for all, or 0 for none, which is
                one-dimensional Matryoshka.
            layer_weighting: With ``st``, weight of layer l: 1, 1 / (1 + ln l) or 1 / l. The
                reproduction's is ``linear``, by the date of its library.
            detached: With ``st``, whether the divergence leaves the last layer alone; the
                reproduction's did not.
            size: With ``ese``, the trained prefix.
            embedding_layer: With ``ese``, whether the embedding output is trained in place of the
                layer before the last, as in the authors' code and the reproduction.
            angle_weight: With ``ese``, weight of AnglE's angle loss.
            in_batch_weight: With ``ese``, weight of in-batch and hard negatives.
            angle_scale: With ``ese``, factor of the differences in the angle loss.
            divergence_temperature: Temperature of the divergence; None is 0.3 with ``st``, 1 with
                ``ese``.
            retrieval: With ``retrieval``, queries with positives and negatives, see
                ``bench.data.retrieval``, joined with ``+``.
            queries: Number of queries of each set, all by default.
            negatives: Hard negatives that are drawn for a query in every epoch, where it has any.
            similarity: With ``retrieval``, dot product or cosine.
            score_align: With ``retrieval``, draw scores of prefixes to those of whole vectors.
            compare_to_last_layer: These are of the last layer, in place of the prefix's own.
            sub_layer_full_dim: Train whole vectors of layers below the last too.
            passage_to_last_layer: Compare queries of every layer with passages of the last one;
                ``truncate[whole_documents=true]`` cuts such a model.
        """

        variant: Literal["st", "ese", "retrieval"] = "st"
        dims_per_step: int = Field(1, ge=-1)
        layers_per_step: int = Field(1, ge=-1)
        layer_weighting: Literal["uniform", "log", "linear"] = "linear"
        detached: bool = False
        size: int = Field(128, gt=0)
        embedding_layer: bool = True
        angle_weight: float = Field(1.0, ge=0)
        in_batch_weight: float = Field(30.0, ge=0)
        angle_scale: float = Field(20.0, gt=0)
        divergence_temperature: float | None = Field(None, gt=0)
        retrieval: str = "wikiqa+trecqa+semeval16_qq+quora"
        queries: int | None = Field(None, gt=0)
        negatives: int = Field(7, ge=0)
        similarity: Literal["dot", "cosine"] = "dot"
        score_align: bool = False
        compare_to_last_layer: bool = False
        sub_layer_full_dim: bool = False
        passage_to_last_layer: bool = False

        @model_validator(mode="before")
        @classmethod
        def _settings_of_the_variant(cls, values: dict[str, Any]) -> dict[str, Any]:
            values = dict(values)
            of_profile = values.pop("presets", {})
            variant = str(values.get("variant", "st"))
            return {**_PUBLISHED.get(variant, {}), **of_profile.get(variant, {}), **values}

        @model_validator(mode="after")
        def _something_is_trained(self) -> Matryoshka2d.Config:
            if self.compare_to_last_layer and not self.score_align:
                raise ValueError("compare_to_last_layer needs score_align=true")
            if not (self.angle_weight or self.in_batch_weight):
                raise ValueError("angle_weight and in_batch_weight cannot both be 0")
            return self

        def idle(self) -> Mapping[str, str]:
            """What the other variants, other layers and the parts of an objective need."""
            idle = dict(super().idle())
            of_variants = {"st": _OF_ST, "ese": _OF_ESE, "retrieval": _OF_RETRIEVAL}
            for variant, options in of_variants.items():
                if variant != self.variant:
                    idle |= dict.fromkeys(options, f"it needs variant={variant}")
            if self.variant == "ese":
                idle["dims"] = "it needs variant=st or variant=retrieval"
                if not self.angle_weight:
                    idle["angle_scale"] = "it needs an angle_weight above 0"
                if not self.in_batch_weight:
                    idle["temperature"] = "it needs an in_batch_weight above 0"
            if self.variant == "retrieval":
                idle |= dict.fromkeys(_OF_STS, "it needs variant=st or variant=ese")
            if not self.layers_per_step:
                others = dict.fromkeys(_OF_SUB_LAYERS, "it needs layers_per_step")
                if self.variant == "st":
                    others["divergence_temperature"] = "it needs layers_per_step"
                idle = others | idle
            return idle

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm",
            "pooling": "mean",
            "grid": (384, 192, 96, 48, 24),
            "size": 96,
            "corpus": "triplets",
            "sentences": 3_840,
            "batch_size": 64,
            "epochs": 1,
            "dev_every": 30,
            "presets": _LOCAL,
        },
    }

    @property
    def cuts(self) -> SubModels:
        """Prefixes of every layer, or of the last one where no other is trained."""
        return replace(super().cuts, every_layer=self.config.layers_per_step != 0)

    @property
    def fixed_documents(self) -> bool:
        """Whether queries of every layer are compared with documents of the last one."""
        return self.config.passage_to_last_layer

    @property
    def _learns_retrieval(self) -> bool:
        return self.config.variant == "retrieval"

    @property
    def texts_per_row(self) -> int:
        """A triplet, or a query with its passages."""
        return 2 + self.config.negatives if self._learns_retrieval else super().texts_per_row

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of every training, with queries in place of the corpus where they are learnt."""
        reads = dict(super().reads())
        if self._learns_retrieval and reads.pop("corpus", None) is not None:
            reads["retrieval"] = self._queries
        return reads

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """What is in the place of the reproduction's passages."""
        learns = self.trains and self._learns_retrieval
        return {"passages of MS MARCO": self.config.retrieval} if learns else {}

    @property
    def _queries(self) -> Queries:
        return Queries(self.config.retrieval, each=self.config.queries)

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Triplets, or queries with their passages as they are drawn for each epoch."""
        return self._mixture(ctx).rows if self._learns_retrieval else super().rows(ctx)

    def batches(self, rows: list[Texts], ctx: BuildContext) -> Batches | None:
        """For retrieval, batches of queries of all sets, with the passages of the epoch."""
        return self._mixture(ctx).batches if self._learns_retrieval else None

    def _mixture(self, ctx: BuildContext) -> Mixture:
        config = self.config
        queries = [*chain.from_iterable(self._queries.load_sets(ctx.data).values())]
        mixture = Mixture(positives=1, negatives=config.negatives)
        mixture.add_queries(
            "all sets", queries, config.batch_size, epochs=math.ceil(config.epochs), seed=ctx.seed
        )
        return mixture

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The base.

        Raises:
            UsageError: It has one layer only, or a prefix is longer than its vectors.
        """
        model = super().start(ctx)
        width = int(model.get_embedding_dimension() or 0)
        if self.config.variant == "ese" and self.config.size > width:
            raise UsageError(
                f"size={self.config.size} is out of range: vectors of {self.config.base} have "
                f"{width} dimensions"
            )
        if self._learns_retrieval:
            self._refuse_whole_vectors(width)
        if count_layers(model) < 2:
            raise UsageError(
                f"matryoshka-2d: {self.config.base} has a single layer; use matryoshka"
            )
        return model

    def _refuse_whole_vectors(self, width: int) -> None:
        config = self.config
        if width in config.dims and (len(config.dims) > 1 or config.layers_per_step):
            raise UsageError(
                f"dims: whole vectors of the last layer, {width} numbers, are trained in any case, "
                f"those of others with sub_layer_full_dim=true; leave {width} out"
            )

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """The loss of the variant."""
        if self._learns_retrieval:
            return self._loss_of_retrieval(model, ctx.seed)
        from bench.methods.losses.matryoshka import EspressoLoss, Matryoshka2dLoss

        config = self.config
        base = self.contrast(model, ctx).from_vectors
        if config.variant == "ese":
            return EspressoLoss(
                model,
                self._angle(base),
                size=config.size,
                layers_per_step=config.layers_per_step,
                temperature=config.divergence_temperature or 1.0,
                embedding_layer=config.embedding_layer,
                seed=ctx.seed,
            )
        return Matryoshka2dLoss(
            model,
            base,
            config.dims,
            dims_per_step=config.dims_per_step,
            layers_per_step=config.layers_per_step,
            layer_weighting=config.layer_weighting,
            temperature=config.divergence_temperature or 0.3,
            detached=config.detached,
            seed=ctx.seed,
        )

    def _angle(self, contrast: VectorLoss) -> VectorLoss:
        from bench.methods.losses.angle import AngleObjective

        weights = {name: getattr(self.config, name) for name in _ANGLE}
        return AngleObjective(contrast, **weights).from_vectors

    def _loss_of_retrieval(self, model: SentenceTransformer, seed: int) -> torch.nn.Module:
        from bench.methods.losses.passages import PassageLoss

        config = self.config
        return PassageLoss(
            model,
            config.dims,
            layers_per_step=config.layers_per_step,
            similarity=config.similarity,
            temperature=config.temperature,
            score_align=config.score_align,
            compare_to_last_layer=config.compare_to_last_layer,
            sub_layer_full_dim=config.sub_layer_full_dim,
            passage_to_last_layer=config.passage_to_last_layer,
            seed=seed,
        )
