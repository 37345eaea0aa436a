"""An ensemble of encoders that learn from gold, pseudo-labelled and augmented texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.errors import UsageError
from bench.core.spec import MethodSpec
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, fingerprints
from bench.method import (
    TORCH_STACK,
    BuildContext,
    Method,
    MethodInfo,
    ModelAccess,
    TrainingLoad,
)
from bench.methods.ensemble.settings import OTHERS, PUBLISHED, TFIDF, EnsembleConfig

if TYPE_CHECKING:
    from bench.methods.ensemble.encoder import EnsembleEncoder


class HierarchicalEnsemble(Method):
    """Predicts on supervised tasks; it learns there, from the task's rows and its pool.

    Retrieved texts of the pool are labelled by a model and filtered, gold texts are varied, and
    the members learn from all three. They attend to retrieved texts, and a regression on their
    out-of-fold outputs weighs them.
    """

    info = MethodInfo(
        name="hierarchical-ensemble",
        title="Pseudo-labels, augmentation and a ridge-weighted ensemble with cross-attention",
        kind="ensemble",
        paper=(
            "Optimizing Sentence Embedding with Pseudo-Labeling and Model Ensembles: "
            "A Hierarchical Framework for Enhanced NLP Tasks"
        ),
        arxiv="2501.15876",
        year=2025,
        trains=True,
        requires=(*TORCH_STACK, "scikit-learn"),
        example="--suite pseudo-label --methods hierarchical-ensemble",
    )

    class Config(EnsembleConfig):
        """Settings, see ``bench.methods.ensemble.settings``.

        In profile ``local`` the members are of three families: an encoder, a decoder that was
        trained on other text, and characters counted. ``models=(minilm,smollm2,tfidf)`` with
        ``frozen=smollm2`` has a stronger decoder.
        """

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "models": ("minilm", "decoder-mini", TFIDF),
            "labeller": "minilm",
            "masked_lm": "minilm-l2-mlm",
            "folds": 3,
            "gold": 1_000,
            "lr": 2e-4,
            "head_lr": 1e-3,
            "batch_size": 32,
            "epochs": 1,
            "labeller_epochs": 2,
            "max_seq_length": 64,
        },
        "smoke": {
            "models": ("minilm-l2", TFIDF),
            "labeller": "minilm-l2",
            "retriever": "minilm-l2",
            "augment": ("syn",),
            "folds": 2,
            "gold": 96,
            "lr": 2e-4,
            "head_lr": 1e-3,
            "batch_size": 32,
            "epochs": 1,
            "max_seq_length": 32,
        },
    }

    @property
    def base(self) -> str:
        """The members, as none of them alone is where the training starts from."""
        return " + ".join(self.config.models)

    @property
    def parents(self) -> tuple[str, ...]:
        """Transformers of the members, and all other models that take part."""
        config = self.config
        others = [config.retriever]
        if config.pseudo_labels:
            others.append(config.labeller)
        if "ctx" in config.arms:
            others.append(config.masked_lm)
        models = [name for name in config.models if name != TFIDF]
        return tuple(dict.fromkeys([*models, *others]))

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Of variants that are translated there and back, where nothing translates."""
        arms = self.config.arms
        if "bt" not in self.config.left_out:
            return {}
        return {"back-translated variants": f"only those of {', '.join(arms)}" if arms else "none"}

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """Those of the members, and of what labels retrieved texts."""
        config = self.config
        learners = [*config.trained, *([config.labeller] if config.pseudo_labels else [])]
        sizes = {name: config.batch_size or PUBLISHED.get(name, OTHERS)[1] for name in learners}
        return {name: TrainingLoad(size, config.max_seq_length) for name, size in sizes.items()}

    def reads(self) -> Mapping[str, BuildInput]:
        """The word net of synonyms, where texts are varied by them."""
        if "syn" not in self.config.arms:
            return {}
        from bench.methods.parts.views import SYNSETS

        return {"synonyms": SYNSETS}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify all models, and the word net of synonyms.

        Raises:
            UsageError: There is a checkpoint; the method learns on each task separately.
        """
        if self.checkpoint is not None:
            own = MethodSpec(self.info.name, None, (("models", f"({self.checkpoint})"),))
            raise UsageError(
                f"{self.info.name}@{self.checkpoint}: there are no checkpoints, as it learns on "
                f"each task; to name the members, write {own}"
            )
        config = self.config
        inputs: dict[str, Any] = {name: models.fingerprint(name) for name in self.parents}
        if "bt" in config.arms:
            from bench.models.checkpoints import find_folder

            folders = [
                find_folder(translator, offline=data.offline) for translator in config.translators
            ]
            inputs["translators"] = [models.fingerprint(str(folder)) for folder in folders]
        return inputs | fingerprints(self.reads(), data)

    def build(self, ctx: BuildContext) -> EnsembleEncoder:
        """Make the encoder, which trains when a task asks it to predict."""
        from bench.methods.ensemble.encoder import EnsembleEncoder

        return EnsembleEncoder(
            self.config,
            ctx,
            members=self._identity(self.config.of_members(), ctx),
            labeller=self._identity(self.config.of_labeller(), ctx),
        )

    def _identity(self, config: EnsembleConfig, ctx: BuildContext) -> str:
        from bench.models.build import model_fingerprint

        alike = type(self)(config, profile=self.profile)
        return model_fingerprint(alike, ctx.data, ctx.models, ctx.seed)
