"""Losses of DefSent and DefSent+: which word or entry a definition belongs to.

Tsukagoshi, Sasano and Takeda, "DefSent", ACL 2021, arXiv 2105.04339; "DefSent+", arXiv 2405.16153.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from bench.core.errors import UsageError
from bench.core.progress import Progress
from bench.data.definitions import DictionaryEntry
from bench.training.heads import fresh_linear

Logits = Callable[[Tensor], Tensor]
CUT = 10
ICA_SCALE = 100.0
ICA_SEED = 42
ICA_STEPS = 1000
_BATCH = 128
_CHUNK = 4096


class WordLoss(nn.Module):
    """Cross-entropy over the vocabulary of the word that a definition defines.

    Args:
        model: Sentence transformer with vectors of size u.
        logits: Frozen map of vectors (B, u) to logits (B, vocabulary).
    """

    def __init__(self, model: SentenceTransformer, logits: Logits) -> None:
        super().__init__()
        self.model = model
        self.logits = logits

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode the definitions and compute the mean loss, a scalar.

        Args:
            features: Tokens (B, L) of the one column.
            labels: Tokens of the words (B,).
        """
        (definitions,) = features
        vectors = self.model(dict(definitions))["sentence_embedding"]
        return functional.cross_entropy(self.logits(vectors), labels.long())


def head_logits(masked_lm: nn.Module) -> Logits:
    """Freeze the head of a masked language model, and return it as a function.

    As no module, it is no part of checkpoints: it never changes.

    Args:
        masked_lm: Model whose head is called ``cls`` as BERT's, or ``lm_head`` as RoBERTa's.

    Raises:
        UsageError: It has no such head.
    """
    head = getattr(masked_lm, "cls", None) or getattr(masked_lm, "lm_head", None)
    if not isinstance(head, nn.Module):
        raise UsageError(
            f"defsent: the head of {type(masked_lm).__name__} is neither that of BERT nor that of "
            "RoBERTa; use head=false"
        )
    head.requires_grad_(False).eval()

    def logits(vectors: Tensor) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            scores: Tensor = head(vectors.float())
        return scores

    return logits


def tied_logits(model: SentenceTransformer) -> Logits:
    """Products s·Eᵀ with the word embeddings E (vocabulary, u) of the model itself, in float32.

    Raises:
        UsageError: Embeddings and vectors differ in size.
    """
    embeddings = _transformer(model).get_input_embeddings()
    sizes = embeddings.weight.shape[1], model.get_embedding_dimension()
    if sizes[0] != sizes[1]:
        raise UsageError(f"defsent: word embeddings have size {sizes[0]}, vectors {sizes[1]}")

    def logits(vectors: Tensor) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            scores: Tensor = vectors.float() @ embeddings.weight.float().T
        return scores

    return logits


def freeze_embeddings(model: SentenceTransformer) -> None:
    """Freeze embeddings of words, positions and types, and their layer norm.

    Raises:
        UsageError: The transformer has no such block.
    """
    block = getattr(_transformer(model), "embeddings", None)
    if block is None:
        kind = type(_transformer(model)).__name__
        raise UsageError(f"defsent: {kind} has no block of embeddings as BERT has; name a BERT")
    block.requires_grad_(False)


@torch.no_grad()
def def_to_word(
    model: SentenceTransformer, logits: Logits, definitions: Sequence[str], words: Sequence[int]
) -> dict[str, float]:
    """Rank the vocabulary for each definition, and score the ranks of the words.

    A tie counts against the word.

    Args:
        model: Sentence transformer with vectors of size u.
        logits: Map of vectors (B, u) to logits (B, vocabulary).
        definitions: n definitions, at least one.
        words: Token of the word of each, (n,).

    Returns:
        Means over the definitions: ``mrr@10``, where a rank below 10 counts 0, as the authors'
        code has it; ``mrr`` of all ranks; shares ``top1``, ``top3`` and ``top10``. And their
        number ``n``.
    """
    ranks_by_batch = []
    for start in range(0, len(definitions), _BATCH):
        batch = slice(start, start + _BATCH)
        vectors = model.encode(
            list(definitions[batch]), convert_to_tensor=True, show_progress_bar=False
        )
        scores = logits(vectors)
        own = scores.gather(1, torch.tensor(words[batch], device=scores.device)[:, None])
        ranks_by_batch.append((scores >= own).sum(dim=1).cpu())
    ranks = torch.cat(ranks_by_batch).double()
    means = {
        f"mrr@{CUT}": torch.where(ranks <= CUT, 1 / ranks, 0),
        "mrr": 1 / ranks,
        **{f"top{cut}": (ranks <= cut).double() for cut in (1, 3, CUT)},
    }
    return {"n": len(ranks), **{name: float(values.mean()) for name, values in means.items()}}


class EntryLoss(nn.Module):
    """Cross-entropy of the entry of a definition, over frozen embeddings of all entries.

    The logits are g(s)·Eᵀ in float32, without bias, normalisation or temperature; g is trained
    along and left out at inference.

    Args:
        model: Sentence transformer with vectors s of size u.
        entries: Embeddings E of the n entries, float32 (n, u).
        pooler: The pooler g, see ``entry_pooler``.
    """

    entries: Tensor

    def __init__(
        self, model: SentenceTransformer, entries: NDArray[np.float32], pooler: nn.Sequential
    ) -> None:
        super().__init__()
        self.model = model
        self.pooler = pooler
        # Made anew from the encoder before after an interruption, so no part of checkpoints.
        self.register_buffer("entries", torch.from_numpy(entries), persistent=False)

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode the definitions and compute the mean loss, a scalar.

        Args:
            features: Tokens (B, L) of the one column.
            labels: Numbers of the entries (B,).
        """
        (definitions,) = features
        vectors = self.model(dict(definitions))["sentence_embedding"]
        return functional.cross_entropy(self.logits(vectors), labels.long())

    def logits(self, vectors: Tensor) -> Tensor:
        """Map vectors (B, u) to logits (B, n)."""
        with torch.autocast(vectors.device.type, enabled=False):
            projected: Tensor = self.pooler(vectors.float())
            return projected @ self.entries.T

    @torch.no_grad()
    def mean_logit(self, texts: Sequence[str]) -> float:
        """Mean size |logit| over some texts and all entries, the scale that training starts at."""
        vectors = self.model.encode(list(texts), convert_to_tensor=True, show_progress_bar=False)
        return float(self.to(vectors.device).logits(vectors).abs().mean())


def entry_pooler(model: SentenceTransformer, seed: int, head: Any | None = None) -> nn.Sequential:
    """Make the pooler: a linear layer and tanh, or for RoBERTa a linear layer and GELU.

    The linear layer is a copy of that of the transformer's own pooler where it is trained, else a
    fresh one. RoBERTa is published without one, and the authors take the first layer of the head
    of its masked language model, without its layer norm and decoder.

    Args:
        model: Sentence transformer.
        seed: Seed of fresh weights.
        head: Head ``lm_head`` of a RoBERTa's masked language model, or None for other models.
    """
    if head is not None:
        return nn.Sequential(deepcopy(head.dense).requires_grad_(True), nn.GELU())
    own = getattr(getattr(_transformer(model), "pooler", None), "dense", None)
    # One that was never trained, or that the library made up for want of weights, has no biases.
    if isinstance(own, nn.Linear) and own.bias.any():
        return nn.Sequential(deepcopy(own), nn.Tanh())
    width = int(model.get_embedding_dimension() or 0)
    return nn.Sequential(fresh_linear(width, width, seed), nn.Tanh())


def is_roberta(model: SentenceTransformer) -> bool:
    """Whether the transformer is a RoBERTa, whose pooler is not pretrained."""
    return "roberta" in _transformer(model).config.model_type


def entry_embeddings(
    model: SentenceTransformer,
    entries: Sequence[DictionaryEntry],
    max_seq_length: int,
    progress: Progress,
) -> NDArray[np.float32]:
    """Compute the mean vector of each entry's definitions.

    Args:
        model: Sentence transformer with vectors of size u.
        entries: The n entries.
        max_seq_length: Tokens that a definition is cut to.
        progress: Where the encoding reports.

    Returns:
        Float32 of shape (n, u), in order.
    """
    texts = [text for entry in entries for text in entry.definitions]
    counts = np.array([len(entry.definitions) for entry in entries])
    length, model.max_seq_length = model.max_seq_length, max_seq_length
    progress.start("encode definitions", len(texts))
    vectors = []
    try:
        for start in range(0, len(texts), _CHUNK):
            batch = texts[start : start + _CHUNK]
            vectors.append(model.encode(batch, batch_size=_BATCH, show_progress_bar=False))
            progress.advance(start + len(batch))
    finally:
        model.max_seq_length = length
    firsts = np.cumsum(counts) - counts
    sums = np.add.reduceat(np.concatenate(vectors), firsts, axis=0, dtype=np.float64)
    return np.asarray(sums / counts[:, None], dtype=np.float32)


def independent_components(entries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn embeddings of entries into independent components of standard deviation 100.

    Standardised, then FastICA with the settings of the authors' code. That it did not converge is
    no error: the components are white in any case.

    Args:
        entries: Embeddings, (n, u).

    Returns:
        Float32 of shape (n, u).

    Raises:
        UsageError: There are no more entries than dimensions.
    """
    n, width = entries.shape
    if n <= width:
        raise UsageError(f"ica=true needs more entries than the {width} dimensions, but has {n}")
    ica = FastICA(
        n_components=width,
        whiten="unit-variance",
        fun="logcosh",
        tol=1e-4,
        max_iter=ICA_STEPS,
        random_state=ICA_SEED,
    )
    scaled = StandardScaler().fit_transform(entries.astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(ica.fit_transform(scaled) * ICA_SCALE, dtype=np.float32)


def _transformer(model: SentenceTransformer) -> Any:
    first: Any = model[0]
    return first.auto_model
