"""Denoising: a text is to be rebuilt from the vector of what was left of it (TSDAE).

The loss is sentence-transformers' own, the noise is drawn here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import CellError, first_line

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss


def delete_words(text: str, ratio: float, rng: np.random.Generator) -> str:
    """Delete each word with a probability; one word is kept at least.

    Args:
        text: Text with words, which white space separates.
        ratio: Probability, 0 to 1.
        rng: Source of the draws.

    Returns:
        The words that are left, in order, with single spaces between them.
    """
    words = text.split()
    kept = rng.random(len(words)) >= ratio
    if not kept.any():
        kept[rng.integers(len(words))] = True
    return " ".join(word for word, keep in zip(words, kept.tolist(), strict=True) if keep)


def noisy_copies(
    texts: Sequence[str], copies: int, ratio: float, seed: int, limit: int | None = None
) -> list[tuple[str, str]]:
    """Texts with words deleted, each beside the whole text, with new noise for every copy.

    One pass over the copies sees new noise at every visit of a text, and is the same where it is
    resumed. Texts without words are left out.

    Args:
        texts: The texts.
        copies: Copies of each.
        ratio: Probability that a word is deleted.
        seed: Seed of noise and order.
        limit: Most rows, of different texts first, or None for all.
    """
    rows = _copies([text for text in texts if text.split()], copies, ratio, seed)
    return [row for row, _ in zip(rows, range(limit), strict=False)] if limit else list(rows)


def _copies(
    texts: Sequence[str], copies: int, ratio: float, seed: int
) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    for _ in range(copies):
        for number in rng.permutation(len(texts)).tolist():
            yield delete_words(texts[number], ratio, rng), texts[number]


def denoising_loss(model: SentenceTransformer, folder: Path, seed: int) -> DenoisingAutoEncoderLoss:
    """Loss of a model with a decoder that shares all weights that both have.

    The library fills the decoder, and by the sharing the encoder too, with the weights of the
    folder that the model says it is from. That is where it was saved last, which need not be
    what it is now; so the folder has to be that of the very weights.

    Args:
        model: Model as loaded from ``folder``.
        folder: Its folder, with a transformer that can be a decoder.
        seed: Seed of the weights that the decoder has alone.

    Raises:
        CellError: The transformer cannot be a decoder.
    """
    from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

    from bench.core.libraries import quiet_libraries
    from bench.training.trainer import seed_everything

    quiet_libraries()
    seed_everything(seed)
    transformer: Any = model.transformers_model
    transformer.config._name_or_path = str(folder)
    try:
        loss = DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)
    except ValueError as error:
        raise _no_decoder(first_line(error)) from None
    # Others take the vector without a word, and tell the text from its own words alone.
    if "encoder_hidden_states" not in inspect.signature(loss.decoder.forward).parameters:
        raise _no_decoder(f"{type(loss.decoder).__name__} has no cross-attention")
    return loss


def _no_decoder(reason: str) -> CellError:
    return CellError(f"the base cannot be a decoder ({reason}); leave out denoising, phases=cl+ft")
