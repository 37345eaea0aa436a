"""Second views of a sentence where no paraphrases are available (SCT paper, ablation of views).

Each maker gives one list of views for a list of sentences, in order. Two calls with different
seeds give the two views of a pair.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.progress import Progress
from bench.data.access import DataAccess
from bench.data.build_inputs import SplitInput
from bench.method import ModelAccess

SYNSETS = SplitInput("definitions/oewn:train+valid+test")
MASKED_SHARE = 0.15
_BATCH = 128
_WORD = re.compile(r"[A-Za-z]{3,}")


def synonyms(data: DataAccess) -> Mapping[str, tuple[str, ...]]:
    """Single words that share a synset of Open English WordNet with each single word.

    Raises:
        DataError: The word net is missing.
    """
    members: dict[str, set[str]] = defaultdict(set)
    for row in SYNSETS.load(data):
        if _WORD.fullmatch(row["word"]):
            members[row["synset"]].add(row["word"].lower())
    by_word: dict[str, set[str]] = defaultdict(set)
    for words in members.values():
        for word in words:
            by_word[word] |= words - {word}
    return {word: tuple(sorted(others)) for word, others in by_word.items() if others}


def replace_one_word(
    sentences: Sequence[str], table: Mapping[str, tuple[str, ...]], seed: int
) -> list[str]:
    """Replace one word of each sentence by a synonym; those with none stay as they are."""
    chance = random.Random(seed)
    return [_replaced(sentence, table, chance) for sentence in sentences]


def _replaced(sentence: str, table: Mapping[str, tuple[str, ...]], chance: random.Random) -> str:
    places = words_with_synonyms(sentence, table)
    return put_synonyms(sentence, [chance.choice(places)] if places else [], table, chance)


def words_with_synonyms(text: str, table: Mapping[str, tuple[str, ...]]) -> list[re.Match[str]]:
    """Find the words of a text that a table has synonyms of, in order."""
    return [match for match in _WORD.finditer(text) if match.group().lower() in table]


def put_synonyms(
    text: str,
    places: Sequence[re.Match[str]],
    table: Mapping[str, tuple[str, ...]],
    chance: random.Random,
) -> str:
    """Put a synonym in each of some places of a text, which are in order.

    Args:
        text: The text.
        places: Words of it, see ``words_with_synonyms``.
        table: Synonyms of words in lower case.
        chance: Where the choices come from, the last place first.
    """
    for place in reversed(places):
        word = chance.choice(table[place.group().lower()])
        text = text[: place.start()] + word + text[place.end() :]
    return text


def fill_masks(
    sentences: Sequence[str],
    name: str,
    models: ModelAccess,
    *,
    seed: int,
    max_seq_length: int,
    progress: Progress,
) -> list[str]:
    """Mask 15% of the tokens of each sentence, at least one, and let a model guess them.

    The likeliest token is taken. Sentences are cut to ``max_seq_length`` tokens.

    Args:
        sentences: Sentences.
        name: Model with a head for masked language modelling.
        models: Access to it.
        seed: Seed of the masks.
        max_seq_length: Tokens of a sentence.
        progress: Where the guessing reports.

    Raises:
        UsageError: The model has no such head.
    """
    import torch

    model, tokenizer = models.masked_lm(name)
    generator = torch.Generator().manual_seed(seed)
    progress.start("guess masked words", len(sentences))
    views: list[str] = []
    for start in range(0, len(sentences), _BATCH):
        batch = tokenizer(
            list(sentences[start : start + _BATCH]),
            truncation=True,
            max_length=max_seq_length,
            padding=True,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = batch.pop("special_tokens_mask").bool()
        views += _guess(model, tokenizer, batch, special, generator)
        progress.advance(len(views))
    return views


def _guess(model: Any, tokenizer: Any, batch: Any, special: Any, generator: Any) -> list[str]:
    import torch

    # One draw a token: a sentence masks its lowest ones, so that short ones mask at least one.
    draws = torch.rand(special.shape, generator=generator).masked_fill(special, 2.0)
    tokens = (~special).sum(1, keepdim=True)
    wanted = (tokens * MASKED_SHARE).round().clamp(min=1).minimum(tokens).long()
    masked = draws.argsort(1).argsort(1) < wanted
    ids = batch["input_ids"]
    with torch.inference_mode():
        inputs = {**batch, "input_ids": ids.masked_fill(masked, tokenizer.mask_token_id)}
        logits = model(**{key: value.to(model.device) for key, value in inputs.items()}).logits
    guessed = torch.where(masked, logits.argmax(-1).to(ids), ids)
    decoded: list[str] = tokenizer.batch_decode(guessed, skip_special_tokens=True)
    return decoded
