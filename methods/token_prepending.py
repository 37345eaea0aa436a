"""Token Prepending, and the prompts it is added to: decoders that encode without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from bench.core.errors import UsageError
from bench.core.files import write_atomic
from bench.core.fingerprint import fingerprint, versions
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, SplitInput
from bench.method import (
    BuildContext,
    Encoder,
    Method,
    MethodConfig,
    MethodInfo,
    ModelAccess,
    named_method,
)
from bench.method.contract import SUMMARY_FILE
from bench.methods.parts.prompts import PROMPTS, Init, Placeholder, Position
from bench.training.method import DEV

if TYPE_CHECKING:
    from bench.methods.parts.layer_search import Search
    from bench.methods.parts.prepending import PrependingEncoder, Reading

_NAME = "token-prepending"
# The authors' wording of MetaEOL is not part of this project, and no result may look as if it were.
_OURS = {"metaeol": "metaeol-ours"}
PromptName = Annotated[
    Literal[
        "prompteol",
        "cot",
        "knowledge",
        "metaeol-ours",
        "classification",
        "clustering",
        "query",
        "passage",
        "sts",
        "none",
    ],
    BeforeValidator(lambda name: _OURS.get(name, name)),
]


@dataclass(frozen=True)
class _PublishedLayers:
    """First layer without an edit and layer to read, -2 for the last but one."""

    stop: int
    layer: int


# config.yaml of github.com/fuyuchenIfyw/token_prepending, commit cc41b58.
PUBLISHED: Mapping[str, _PublishedLayers] = {
    "meta-llama/Llama-2-7b-hf": _PublishedLayers(7, 27),
    "meta-llama/Llama-2-13b-hf": _PublishedLayers(7, -2),
    "meta-llama/Meta-Llama-3-8B": _PublishedLayers(3, -2),
    "Qwen/Qwen2-7B": _PublishedLayers(6, -2),
    "google/gemma-2-9b": _PublishedLayers(6, -2),
}
# What acts on the placeholder alone.
_EDITS = (
    "start",
    "stop",
    "position",
    "placeholder_init",
    "placeholders",
    "mask_first_layer",
    "resume",
)
# Shares of the layers that the published settings of Llama-2-7b come to, 7 and 27 of 32.
_STOP, _LAYER = 0.22, 0.84


class TokenPrepending(Method):
    """A decoder under a prompt, with or without the summary of the sentence put before it."""

    info = MethodInfo(
        name=_NAME,
        title="Token Prepending, a decoder's own summary put before the sentence",
        kind="prompt",
        paper=(
            "Token Prepending: A Training-Free Approach for Eliciting Better Sentence Embeddings "
            "from LLMs"
        ),
        arxiv="2412.11556",
        year=2025,
        loads_checkpoints=True,
    )

    class Config(MethodConfig):
        """Settings; the defaults are the paper's for Llama-2-7b.

        What the paper leaves open of an ablation is called our choice. Two cannot be known from it
        and are left out: the weaker prompts of Table 13, and, in Table 6, bidirectional attention
        for the last token, of which it is open who attends to it.

        Attributes:
            base: Decoder: method, folder or hub id.
            prompt: ``prompteol``; ``cot`` (Pretended CoT); ``knowledge`` (Knowledge Enhancement);
                ``metaeol-ours``, eight prompts in this project's own words whose vectors are
                averaged, for which ``metaeol`` will do; ``classification``, ``clustering``,
                ``query``, ``passage`` and ``sts``, prompts of kinds of task, in its words too, for
                the claims of arXiv 2506.01435; ``none`` for the text alone.
            prepend: Put the placeholder before the sentence and overwrite its states; without it
                the prompt is read as it is.
            start: First layer, from 0, whose input is edited.
            stop: First layer behind it whose input is not: a number, or ``auto`` for the one that
                does best on STS-B dev, as the paper chooses it, out of all from ``start`` + 1 to
                half of the layers. By default the published one of the base. Where none is, it is
                ``auto`` in profile ``paper``, and in the others 0.22 of the layers, at least one
                of which is edited.
            layer: Layer whose output is read: a number from 1, ``last``, -2 for the last but one,
                or ``auto`` for the one that does best on STS-B dev, out of all from ``stop`` on.
                By default the published one of the base. Where none is, it is ``auto`` in profile
                ``paper``, and in the others 0.84 of the layers.
            dev_rows: Most pairs of STS-B dev that ``auto`` looks at, the same ones for every seed,
                or None for all 1,500. What is chosen is kept with the model, and in its records.
            pooling: State of the last token, or mean over all tokens of prompt and text.
            max_seq_length: Tokens of a text; what is longer is cut.
            position: Where the placeholder stands (Table 3): ``after-colon``, in front of the
                opening quotation mark; ``before-this-sentence``, the words that PromptEOL begins
                with; ``inside-quote``, in front of the sentence; ``after-sentence``, in front of
                the closing mark. That BOS stays first and a space is between it and words is our
                choice, and so is that ``after-sentence`` is inside the marks.
            placeholder_init: Its embedding before any edit (Table 4): ``normal``, N(0, 1);
                ``uniform``, whose range of 0 to 1 is our choice; ``zeros``; ``ones``; ``space``,
                that of the token that is a space.
            placeholders: How many of it there are (Table 14). That they stand side by side, have
                one embedding and all become the last token's state is our choice.
            mask_first_layer: In the first layer no token attends to it (Table 15) but itself, which
                is our choice.
            resume: Layer, from 0, above ``stop`` and below ``layer``, from whose input on edits
                begin again (Table 16). That the table counts from 1, and that edits then go on to
                ``layer``, is our choice.
            attention: ``causal``, or ``sentence``, in which the sentence's tokens attend to all of
                it (Table 6). That they do in every layer, without a placeholder, is our choice.
            load_in_4bit: Quantise linear layers to 4 bits (NF4, extra ``llm4bit``).
        """

        base: str = "meta-llama/Llama-2-7b-hf"
        prompt: PromptName = "prompteol"
        prepend: bool = True
        start: int = Field(1, ge=0)
        stop: Annotated[int, Field(ge=0)] | Literal["auto"] | None = None
        layer: int | Literal["last", "auto"] | None = None
        dev_rows: int | None = Field(None, gt=1)
        pooling: Literal["lasttoken", "mean"] = "lasttoken"
        max_seq_length: int = Field(500, gt=0)
        position: Position = "after-colon"
        placeholder_init: Init = "normal"
        placeholders: int = Field(1, ge=1)
        mask_first_layer: bool = False
        resume: int | None = Field(None, ge=1)
        attention: Literal["causal", "sentence"] = "causal"
        load_in_4bit: bool = False

        def idle(self) -> Mapping[str, str]:
            """What editing states and choosing layers need."""
            idle = {} if self.prepend else dict.fromkeys(_EDITS, "it needs prepend=true")
            if self.prepend:
                idle["attention"] = "it needs prepend=false, which it is compared with"
                if self.prompt == "none":
                    idle["position"] = "it needs a prompt"
                if self.start == 0 and self.stop != 0:
                    idle["placeholder_init"] = "it needs start=1 or more, else it is overwritten"
            if "auto" not in (self.layer, self.stop if self.prepend else None):
                idle["dev_rows"] = "it needs stop=auto or layer=auto"
            return idle

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"base": "decoder-mini"},
        "local": {"base": "decoder-mini"},
    }

    @property
    def trains(self) -> bool:
        """Whether the decoder is trained here."""
        base = named_method(self.config.base, self.profile) if self.checkpoint is None else None
        return base is not None and base.trains

    @property
    def _source(self) -> str:
        return self.checkpoint or self.config.base

    @property
    def _published(self) -> _PublishedLayers | None:
        return PUBLISHED.get(self._source.partition("@")[0])

    @property
    def chosen(self) -> tuple[str, ...]:
        """Which of ``stop`` and ``layer`` are chosen on STS-B dev."""
        config = self.config
        by_default = self.profile == "paper" and self._published is None
        given: dict[str, int | str | None] = {"layer": config.layer}
        if config.prepend:
            given = {"stop": config.stop, **given}
        auto = ("auto", None) if by_default else ("auto",)
        return tuple(name for name, value in given.items() if value in auto)

    def reads(self) -> Mapping[str, BuildInput]:
        """The pairs that layers are chosen by."""
        return {"dev": SplitInput(DEV)} if self.chosen else {}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the decoder, what its layers are chosen by, and what quantises it."""
        inputs = dict(super().inputs(data, models))
        if self.config.load_in_4bit:
            inputs |= versions(["bitsandbytes"])
        return inputs

    def build(self, ctx: BuildContext) -> Encoder:
        """Load the decoder, and choose its layers where that is asked for.

        Raises:
            DataError: There is no such model, or the pairs to choose by are missing.
            UsageError: It is not a decoder, has fewer layers than the settings name, or cannot be
                quantised here.
            CellError: No layer tells the pairs apart.
        """
        from bench.methods.parts.prepending import PrependingEncoder, refuse_others
        from bench.models.layers import find_blocks

        source, four_bit = self._source, self.config.load_in_4bit
        first: Any = ctx.models.load(source, load_in_4bit=four_bit)[0]
        backbone = getattr(first, "auto_model", None)
        if backbone is None:
            raise UsageError(f"{_NAME}: {source} is a {type(first).__name__}, not a decoder")
        if not four_bit:
            # Published weights are often of half precision, in which Gemma overflows.
            backbone = backbone.float()
        refuse_others(backbone, source)
        layers = len(find_blocks(backbone)[1])
        encoder = PrependingEncoder(backbone, first.tokenizer, self.reading(layers))
        if self.chosen:
            encoder = self._choose(encoder, layers, ctx)
        layer = encoder.reading.layer
        edited = ", ".join(map(str, encoder.reading.edited(layer)))
        ctx.progress.note(
            f"  {source}: layer {layer} of {layers}, "
            + (f"inputs {edited} edited" if edited else "plain")
        )
        return encoder

    def _choose(
        self, encoder: PrependingEncoder, layers: int, ctx: BuildContext
    ) -> PrependingEncoder:
        """Read a decoder at the layers that do best on STS-B dev, which are then kept."""
        from bench.methods.parts.layer_search import remembered, search, some
        from bench.models.build import model_fingerprint

        def choose() -> Search:
            rows = some(ctx.data.rows(DEV), self.config.dev_rows)
            return search(encoder, self.candidates(layers), rows, ctx.progress)

        own = model_fingerprint(self, ctx.data, ctx.models, ctx.seed)
        done = remembered(ctx.models.kept(fingerprint(["layers", own])), choose)
        facts = {"chosen": {"options": list(self.chosen), "on": DEV, **done.facts()}}
        write_atomic(ctx.workdir / SUMMARY_FILE, json.dumps(facts, indent=2).encode())
        best = done.best
        return encoder.reading_as(replace(encoder.reading, stop=best.stop, layer=best.layer))

    def candidates(self, layers: int) -> Mapping[int, Sequence[int]]:
        """Layers to try to read from a decoder of a number of layers, by the ``stop`` to try.

        Raises:
            UsageError: There is none.
        """
        config, usual = self.config, self.reading(layers)
        stops: Sequence[int] = [usual.stop]
        if "stop" in self.chosen:
            most = max(layers // 2, config.start + 1)
            if config.resume is not None:
                most = min(most, config.resume - 1)
            stops = range(config.start + 1, most + 1)
        grid: dict[int, Sequence[int]] = {}
        for stop in stops:
            # What is behind the layer that is read changes nothing.
            least = max(stop, 1) if config.prepend else 1
            if config.resume is not None:
                least = config.resume + 1
            reads = range(least, layers + 1) if "layer" in self.chosen else [usual.layer]
            if reads and least <= reads[0]:
                grid[stop] = reads
        if not grid:
            raise UsageError(
                f"{_NAME}: stop=auto has nothing to choose from: it has to be above "
                f"start={config.start} and at most the layer that is read; {self._source} has "
                f"{layers} layers"
            )
        return grid

    def reading(self, layers: int) -> Reading:
        """How a decoder of a number of layers is read, before any layer is chosen.

        Raises:
            UsageError: It has fewer layers than the settings name.
        """
        from bench.methods.parts.prepending import Reading

        config, published = self.config, self._published
        stop = None if config.stop == "auto" else config.stop
        layer = None if config.layer == "auto" else config.layer
        if stop is None:
            least = min(config.start + 1, layers)
            stop = published.stop if published else max(least, round(_STOP * layers))
        if layer is None:
            layer = published.layer if published else max(1, round(_LAYER * layers))
            if published and config.prompt == "knowledge":
                layer = -2
        layer = layers if layer == "last" else layer
        depth = layers + 1 + layer if layer < 0 else layer
        for name, value, least in (("stop", stop, 0), ("layer", depth, 1)):
            if not least <= value <= layers:
                raise UsageError(
                    f"{_NAME}: {name}={getattr(config, name)} is out of range: "
                    f"{self._source} has {layers} layers"
                )
        self._check_resume(stop, depth, layers)
        return Reading(
            PROMPTS[config.prompt],
            config.prepend,
            config.start,
            stop,
            depth,
            config.pooling,
            config.max_seq_length,
            Placeholder(
                config.position,
                config.placeholder_init,
                config.placeholders,
                config.mask_first_layer,
            ),
            config.resume,
            config.attention,
        )

    def _check_resume(self, stop: int, depth: int, layers: int) -> None:
        """Check that edits end before they begin again, and begin before a layer is read.

        Where one of both is chosen later, all of its values count.
        """
        resume, chosen = self.config.resume, self.chosen
        above = self.config.start + 1 if "stop" in chosen else stop
        below = layers if "layer" in chosen else depth
        if resume is not None and not above < resume < below:
            raise UsageError(
                f"{_NAME}: resume={resume} is out of range: it has to be above stop, {above}, and "
                f"below the layer that is read, {below}"
            )
