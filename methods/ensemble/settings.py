"""Settings of the ensemble that its parts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.core.errors import UsageError
from bench.core.spec import split_list
from bench.method import MethodConfig

Arm = Literal["syn", "bt", "ctx"]
# Of the winning entry of the CommonLit prize (repository mathislucka/kaggle_clrp_1st_place_solution
# at 6145325): peak learning rate, batch and epochs by encoder.
PUBLISHED = {
    "albert-xxlarge-v2": (9e-6, 3, 5.0),
    "roberta-large": (1e-5, 8, 4.0),
    "microsoft/deberta-large": (9e-6, 3, 4.0),
}
OTHERS = (2e-5, 16, 3.0)
TFIDF = "tfidf"
LABELLER = "labeller"
# What is reported beside the members, by name.
RESERVED = ("ridge", "mean", "best_single", "logistic", LABELLER)
_COMBINING = ("ensemble", "ridge_lambda")
# What becomes of retrieved texts that are labelled.
_OF_LABELS = (
    "labeller",
    "labeller_epochs",
    "snippets",
    "filter",
    "sigma_scale",
    "confidence",
    "schedule",
)
# What members learn from and are built of, besides their names and the arms of augmentation.
_OF_MEMBERS = (
    "frozen",
    "filter",
    "sigma_scale",
    "confidence",
    "masked_lm",
    "translators",
    "least_similarity",
    "cross_attention",
    "context",
    "refine_conv",
    "attn_pool",
    "schedule",
)


class EnsembleConfig(MethodConfig):
    """Settings; the defaults are the paper's, and where it says nothing those of a public solution.

    The paper (arXiv 2501.15876) was available only as a summary by others. Its steps are those of
    the winning entry of the CommonLit prize, whose settings fill in what the summary leaves
    open; that the paper used the same is not known. Tolerances of single gold labels, which that
    data has, no task here has: the filter takes one tolerance for all.

    Attributes:
        models: The members: methods, folders or hub ids of transformers, or ``tfidf`` for ridge
            regression on TF-IDF weights.
        frozen: Those of them that stay as they are: a ridge regression learns from their vectors.
            For models that are too large to train, or that are no transformers.
        labeller: Transformer that labels retrieved texts.
        retriever: What makes the vectors that texts are retrieved and compared by.
        k: Retrieved texts of each text.
        pseudo_labels: Learn from labelled retrieved texts.
        snippets: Label the ``nearest`` texts, or as a control as many at ``random``, unfiltered.
        filter: Which labels are believed, see ``bench.methods.ensemble.pseudo_labels``.
        sigma_scale: Factor of the tolerance of filter ``sigma``.
        confidence: Least probability of filter ``confidence``.
        augment: Variants of gold texts: ``syn`` (synonyms of Open English WordNet), ``bt``
            (translated there and back), ``ctx`` (words guessed by a masked language model).
        masked_lm: The model of ``ctx``.
        translators: Two translation models, there and back, folders or hub ids; without them
            ``bt`` is left out, which a warning says.
        least_similarity: Least cosine of a variant to its text.
        cross_attention: Let the members attend to retrieved texts.
        context: What they attend to: texts ``retrieved``, drawn at ``random``, or ``none``.
        refine_conv: Convolutions over the tokens.
        attn_pool: Pooling by learned attention in place of the mean.
        ensemble: How outputs are combined, see ``bench.methods.ensemble.stack``.
        ridge_lambda: Penalty of the ridge regression, 0 to choose it out of 0.01 to 10.
        loss: ``mse``, of probabilities where there are classes, or ``ce``.
        schedule: Learn from the union of all examples, or from pseudo-labelled texts first and
            then from the others.
        folds: Folds of the gold rows, whose models predict together.
        gold: Most gold rows, the same for every seed, or None for all.
        lr: Peak learning rate of the transformers; None for the published one of each, 2e-5 for
            others.
        head_lr: That of all that stands on them; None for the same.
        batch_size: Texts in a batch; None for the published one, 16 for others.
        epochs: Passes over the examples; None for the published ones, 3 for others.
        labeller_epochs: Passes of the labeller over the gold rows, None for the same.
        weight_decay: Decay of the weights.
        warmup: Share of the steps over which learning rates rise.
        max_seq_length: Tokens that a text, or a pair together, is cut to.
    """

    models: tuple[str, ...] = (*PUBLISHED,)
    frozen: tuple[str, ...] = ()
    labeller: str = "roberta-base"
    retriever: str = "minilm"
    k: int = Field(5, gt=0)
    pseudo_labels: bool = True
    snippets: Literal["nearest", "random"] = "nearest"
    filter: Literal["none", "sigma", "confidence", "agree"] = "sigma"
    sigma_scale: float = Field(1.0, gt=0)
    confidence: float = Field(0.9, gt=0, le=1)
    augment: tuple[Arm, ...] = ("syn", "bt", "ctx")
    masked_lm: str = "roberta-base"
    translators: tuple[str, ...] = ()
    least_similarity: float = Field(0.7, ge=-1, le=1)
    cross_attention: bool = True
    context: Literal["retrieved", "random", "none"] = "retrieved"
    refine_conv: bool = True
    attn_pool: bool = True
    ensemble: Literal["ridge", "mean", "best_single", "logistic"] = "ridge"
    ridge_lambda: float = Field(1.0, ge=0)
    loss: Literal["mse", "ce"] = "mse"
    schedule: Literal["union", "pretrain_then_gold"] = "union"
    folds: int = Field(6, gt=1)
    gold: int | None = Field(None, gt=1)
    lr: float | None = Field(None, gt=0)
    head_lr: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    labeller_epochs: float | None = Field(None, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup: float = Field(0.06, ge=0, lt=1)
    max_seq_length: int = Field(256, gt=2)

    @field_validator("models", "frozen", "augment", "translators", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Names as a spec has them, ``(minilm,tfidf)`` or ``minilm``."""
        if not isinstance(value, str):
            return value
        inner = value[1:-1] if value.startswith("(") and value.endswith(")") else value
        try:
            return tuple(split_list(inner))
        except UsageError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _fits(self) -> EnsembleConfig:
        if not self.models or len(set(self.models)) != len(self.models):
            raise ValueError("models: name at least one, and none twice")
        if taken := [name for name in self.models if name in RESERVED]:
            raise ValueError(f"models: {taken[0]} names a part of the report; write ./{taken[0]}")
        if others := [name for name in self.frozen if name not in self.models or name == TFIDF]:
            raise ValueError(f"frozen: {others[0]} is none of the models that could be trained")
        if len(set(self.augment)) != len(self.augment):
            raise ValueError("augment: name each arm once")
        if len(self.translators) not in (0, 2):
            raise ValueError("translators: name two models, there and back")
        return self

    def idle(self) -> Mapping[str, str]:
        """What labels of retrieved texts, variants and attention need."""
        idle: dict[str, str] = {}
        if not self.cross_attention:
            idle["context"] = "it needs cross_attention=true"
        if not self.arms:
            idle["least_similarity"] = "it needs an arm in augment"
        for arm, option in (("ctx", "masked_lm"), ("bt", "translators")):
            if arm not in self.augment:
                idle[option] = f"it needs {arm} in augment"
        for kind, option in (("sigma", "sigma_scale"), ("confidence", "confidence")):
            if self.filter != kind:
                idle[option] = f"it needs filter={kind}"
        if not self.pseudo_labels:
            idle |= dict.fromkeys(_OF_LABELS, "it needs pseudo_labels=true")
            if not self.cross_attention or self.context == "none":
                idle["k"] = "it needs pseudo_labels=true, or texts that members attend to"
        return idle

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms of augmentation that there are models for."""
        return tuple(arm for arm in self.augment if arm != "bt" or self.translators)

    @property
    def trained(self) -> tuple[str, ...]:
        """Members with a transformer that is trained."""
        return tuple(name for name in self.models if name != TFIDF and name not in self.frozen)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Arms of augmentation that there are no models for."""
        return tuple(arm for arm in self.augment if arm not in self.arms)

    def of_members(self) -> Self:
        """The same for all ways to combine the members, which are trained once for all of them."""
        return self._by_default(_COMBINING)

    def of_labeller(self) -> Self:
        """The same for all that the labeller has no part in; it is trained once for all of it."""
        alike = self._by_default((*_COMBINING, *_OF_MEMBERS))
        return alike.model_copy(update={"models": (TFIDF,), "augment": ()})

    def _by_default(self, names: Sequence[str]) -> Self:
        fields = type(self).model_fields
        return self.model_copy(update={name: fields[name].default for name in names})
