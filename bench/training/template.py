"""Prompts around a sentence, kept in the tokenizer of a decoder (Pcc-tuning, arXiv 2406.09790)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers.processors import TemplateProcessing

from bench.core.errors import UsageError
from bench.models.layers import is_causal

TEMPLATES: Mapping[str, tuple[str, str]] = {
    "eol": ('This sentence : "', '" means in one word:"'),
    "sth": ('This sentence : "', '" means something'),
    "sum": ('This sentence : "', '" can be summarized as'),
}
# Their positions are rotary or follow the attention mask, so that padding in front shifts none.
_PADDED_LEFT = frozenset({"llama", "mistral", "opt", "qwen2"})
# The prompt of ``bench.methods.parts.mask_prompt``.
MASK = "mask"
_LETTER = "x"


def apply_template(model: SentenceTransformer, name: str) -> None:
    """Put a prompt around every sentence that a model encodes from now on, also once saved.

    Prefix and suffix become part of the tokenizer's post-processor. Truncation cuts the sentence
    and never the prompt; ``max_seq_length`` counts both, see ``prompt_length``. A BOS token that
    the tokenizer adds stays in front; an EOS token is left out, as the last token of the prompt
    is what is pooled. A chat template is no longer used. A model that has the template already
    stays as it is.

    Prompt and sentence are tokenised apart. The ids differ from those of one string where a token
    would span a quotation mark and what is beside it, such as ``."`` at the end of a sentence in
    GPT-2, and where the tokenizer puts a space before every text (Llama, Mistral): it puts one
    before the sentence too, as if a space followed the quotation mark.

    Llama, Mistral, Qwen2 and OPT are padded on the left, as by the authors: the last token of a
    row is always in the last column. Others are padded on the right, because padding in front
    shifts the positions of GPT-2; the last token is then the last one of the attention mask. The
    pooling ``lasttoken`` finds it on either side.

    Args:
        model: Causal transformer with pooling ``lasttoken``, changed in place.
        name: Name in ``TEMPLATES``.

    Raises:
        UsageError: There is no such template, or the model cannot have it.
    """
    if name not in TEMPLATES:
        raise UsageError(f"unknown template {name!r}; choose {', '.join(TEMPLATES)}")
    reason = _refusal(model, name)
    if reason is not None:
        raise UsageError(f"template {name!r} cannot be used: {reason}")
    transformer: Any = model[0]
    tokenizer = transformer.tokenizer
    if _template_ids(tokenizer):
        return
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    side = "left" if transformer.config.model_type in _PADDED_LEFT else "right"
    # A tokenizer saves only those settings that it was made with.
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = side
    tokenizer.backend_tokenizer.post_processor = _post_processor(tokenizer, name)
    # The library would hand texts to a chat template, which passes the post-processor by.
    transformer.modality_config = {"text": transformer.modality_config["text"]}
    transformer.input_formatter.supported_modalities = ["text"]


def prompt_length(model: SentenceTransformer) -> int:
    """Count the tokens that a model's template, with BOS before it, adds to a sentence.

    Args:
        model: Any model.

    Returns:
        The number, 0 for a model without a template.
    """
    return sum(map(len, _template_ids(getattr(model[0], "tokenizer", None)).values()))


def _refusal(model: SentenceTransformer, name: str) -> str | None:
    transformer: Any = model[0]
    poolings = [module.pooling_mode for module in model if isinstance(module, Pooling)]
    if not isinstance(transformer, Transformer) or not getattr(
        transformer.tokenizer, "is_fast", False
    ):
        return "the base has no fast tokenizer"
    tokenizer: Any = transformer.tokenizer
    if poolings != ["lasttoken"]:
        return f"the base has pooling {', '.join(map(str, poolings))}, not lasttoken"
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        return "the base's tokenizer has neither a padding nor an EOS token"
    if _template_ids(tokenizer).keys() - set(part_names(name)):
        return "the base has another one"
    if not is_causal(transformer.model):
        return "the base is not a causal model, a decoder"
    return None


def part_names(template: str) -> tuple[str, str]:
    """Names under which a tokenizer's post-processor has what is before and behind a sentence."""
    return f"{template}-prefix", f"{template}-suffix"


def _template_ids(tokenizer: Any) -> dict[str, list[int]]:
    """Ids of prefix, with BOS, and suffix by their names; none where there is no template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.post_processor is None:
        return {}
    # The pickled state is its JSON; no other way to read it leaves out the vocabulary.
    state = json.loads(backend.post_processor.__getstate__())
    special = state.get("special_tokens", {})
    names = [part for template in (*TEMPLATES, MASK) for part in part_names(template)]
    return {part: special[part]["ids"] for part in names if part in special}


def _post_processor(tokenizer: Any, name: str) -> TemplateProcessing:
    prefix, suffix = TEMPLATES[name]
    bare = tokenizer(_LETTER, add_special_tokens=False)["input_ids"]
    ending = tokenizer(_LETTER + suffix, add_special_tokens=False)["input_ids"]
    # After a letter, as a tokenizer may put a space before what starts a text.
    if ending[: len(bare)] != bare:
        raise UsageError(
            f"template {name!r} cannot be used: the base's tokenizer does not split "
            "quotation marks from words"
        )
    whole = tokenizer(_LETTER, return_special_tokens_mask=True)
    bos = whole["input_ids"][: whole["special_tokens_mask"].index(0)]
    start = tokenizer(prefix, add_special_tokens=False)["input_ids"]
    parts = zip(part_names(name), ([*bos, *start], ending[len(bare) :]), strict=True)
    special = [
        {"id": part, "ids": ids, "tokens": tokenizer.convert_ids_to_tokens(ids)}
        for part, ids in parts
    ]
    before, after = part_names(name)
    return TemplateProcessing(single=[before, "$A", after], special_tokens=special)
