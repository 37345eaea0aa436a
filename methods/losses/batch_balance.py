"""Cross-GPU batch balance loss of Conan-embedding (arXiv 2408.15710, equation 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.methods.losses.graded import cosent_loss
from bench.methods.losses.matryoshka import prefix_loss
from bench.methods.parts.mining import HardNegatives, rank
from bench.training.gather import gather_rows
from bench.training.ranks import rank_and_world_size

_TEXTS_AT_ONCE = 128
_QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class BatchNumbers:
    """What the rows of a batch are.

    Attributes:
        queries: Numbers of the queries, int64 (b,).
        positives: Numbers of the texts that are their positives, int64 (b,).
        negatives: Numbers of the texts that are hard negatives, int64 (c,).
        grades: Grades of the graded pairs, (m,).
    """

    queries: Tensor
    positives: Tensor
    negatives: Tensor
    grades: Tensor

    def joined(self) -> BatchNumbers:
        """Those of all processes."""
        parts = (self.queries, self.positives, self.negatives, self.grades)
        return BatchNumbers(*(gather_rows(part) for part in parts))


def retrieval_loss(
    queries: Tensor,
    positives: Tensor,
    candidates: Tensor,
    *,
    temperature: float,
    left_out: Tensor | None = None,
) -> Tensor:
    """Mean over i of -log(e^{s(x_i, y_i)} / (e^{s(x_i, y_i)} + Σ_j e^{s(x_i, z_j)})).

    s is the cosine over τ. All candidates z count for all queries (equation 3, left term).

    Args:
        queries: Vectors x (b, D).
        positives: Vectors y (b, D).
        candidates: Vectors z (c, D).
        temperature: Temperature τ.
        left_out: Which candidates do not count for which queries, bool (b, c).

    Returns:
        The loss, 0 for an empty batch.
    """
    own = torch.cosine_similarity(queries, positives)[:, None]
    others = normalize(queries, dim=1) @ normalize(candidates, dim=1).T
    if left_out is not None:
        others = others.masked_fill(left_out, -torch.inf)
    logits = torch.cat([own, others], dim=1) / temperature
    losses = logits.logsumexp(dim=1) - logits[:, 0]
    # Part of the graph, as other processes may wait for a backward pass.
    return losses.mean() if len(losses) else losses.sum()


class BatchBalanceLoss(nn.Module):
    """Retrieval and graded pairs in one step: L_retrieval + β · L_CoSENT.

    The paper spreads the negatives of shared queries over devices, and the graded pairs on
    others. Here each process has rows of both tasks, of which the joined batch of all processes
    is made, see ``gather_rows``: every query meets the hard negatives of all rows. Positives of
    other queries are no candidates, as printed, unless ``in_batch_positives``. A candidate that
    is known to answer a query, or is that query, is left out for it; the paper does not say.

    Rows 0 to R - 1 of the training set are query and positive, the others graded pairs. A batch
    may be of one task alone. The negatives change during training, so that their texts are looked
    up and tokenised here, cut to the length that the model has in training.

    Args:
        model: Sentence transformer with vectors of size D.
        negatives: Hard negatives of the queries.
        pairs: Numbers of query and positive of the R rows, int64 (R, 2).
        grades: Grades of the further rows.
        temperature: Temperature τ of retrieval.
        beta: Weight β of the graded pairs.
        in_batch_positives: Whether positives of other queries are candidates.
        dims: Lengths of prefixes of the vectors, over which the loss is averaged, or none for
            the vectors alone.
    """

    pairs: Tensor
    grades: Tensor

    def __init__(
        self,
        model: SentenceTransformer,
        negatives: HardNegatives,
        pairs: Tensor,
        grades: Sequence[float],
        *,
        temperature: float,
        beta: float,
        in_batch_positives: bool = False,
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.negatives = negatives
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("grades", torch.tensor(grades), persistent=False)
        self._temperature = temperature
        self._beta = beta
        self._in_batch_positives = in_batch_positives
        self._dims = dims

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Replace negatives where it is due, encode the rows and their negatives.

        Args:
            features: Tokens (B, L) of queries and first texts, and of positives and second ones.
            labels: Numbers of the rows (B,).
        """
        rows = labels.long()
        asked = rows < len(self.pairs)
        queries, positives = self.pairs[rows[asked]].unbind(dim=1)
        if self.model.training:
            self.negatives.advance(gather_rows(queries), self._hardness, self._ranked)
        chosen = self.negatives.current(queries).flatten()
        first, second = (self.model(dict(view))["sentence_embedding"] for view in features)
        negatives = self._encode([self.negatives.texts[i] for i in chosen.tolist()], first)
        columns = [first[asked], second[asked], negatives, first[~asked], second[~asked]]
        grades = self.grades[rows[~asked] - len(self.pairs)]
        return self.from_vectors(columns, BatchNumbers(queries, positives, chosen, grades))

    def from_vectors(self, columns: Sequence[Tensor], numbers: BatchNumbers) -> Tensor:
        """Compute the loss over the rows of all processes.

        Args:
            columns: Vectors of queries (b, D), positives (b, D), negatives (c, D), and of the
                graded pairs (m, D) twice.
            numbers: What they are.
        """
        # Half precision would round the logits, which reach 1 / τ.
        with torch.autocast(columns[0].device.type, enabled=False):
            vectors = [gather_rows(column.float()) for column in columns]
            joined = numbers.joined()
            dims = self._dims or (vectors[0].shape[1],)
            loss = partial(self._both, self._left_out(joined))
            return prefix_loss(loss, vectors, joined.grades, dims) / len(dims)

    def _left_out(self, numbers: BatchNumbers) -> Tensor:
        candidates = numbers.negatives
        if self._in_batch_positives:
            # A query's own positive is one that answers it, so that it counts once.
            candidates = torch.cat([candidates, numbers.positives])
        return self.negatives.answers(numbers.queries, candidates)

    def _both(self, left_out: Tensor, columns: list[Tensor], grades: Tensor) -> Tensor:
        queries, positives, candidates, first, second = columns
        if self._in_batch_positives:
            candidates = torch.cat([candidates, positives])
        ranking = retrieval_loss(
            queries, positives, candidates, temperature=self._temperature, left_out=left_out
        )
        return ranking + self._beta * cosent_loss(torch.cosine_similarity(first, second), grades)

    def _encode(self, texts: list[str], like: Tensor) -> Tensor:
        """Vectors of texts by the model as it is, on the device of others."""
        if not texts:
            # A part of others, so that the backward pass is the same in all processes.
            return like[:0]
        tokens = batch_to_device(self._bare.preprocess(texts), like.device)
        vectors: Tensor = self.model(tokens)["sentence_embedding"]
        return vectors

    @property
    def _bare(self) -> Any:
        """The model itself where a wrapper for several processes is around it."""
        return getattr(self.model, "module", self.model)

    def _hardness(self, queries: Tensor) -> Tensor:
        """Mean cosine of queries (k,) and their negatives without dropout, float32 (k,).

        Each process measures a share, so that all go by the same numbers.
        """
        own = _share(queries)
        ends = list(range(_QUERIES_AT_ONCE, len(own), _QUERIES_AT_ONCE))
        with self._evaluating():
            parts = [self._mean_cosines(part) for part in own.tensor_split(ends)]
        return gather_rows(torch.cat(parts))

    @torch.no_grad()
    def _ranked(self, queries: Tensor, count: int) -> Tensor:
        """Rank all texts for queries (k,) without dropout, int64 (k, C) with C at most a count.

        Each process encodes a share.
        """
        numbers = torch.arange(len(self.negatives.texts), device=queries.device)
        with self._evaluating():
            texts = [self.negatives.texts[i] for i in _share(numbers).tolist()]
            pool = gather_rows(self._units(texts, queries.device))
            asked = self._units(
                [self.negatives.queries[i] for i in queries.tolist()], queries.device
            )
        known = [row[row >= 0].tolist() for row in self.negatives.known[queries].cpu().numpy()]
        found = rank(asked.cpu().numpy(), pool.cpu().numpy(), count, known)
        return torch.from_numpy(found).to(queries.device)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self._bare.training
        self._bare.eval()
        try:
            yield
        finally:
            self._bare.train(training)

    def _mean_cosines(self, queries: Tensor) -> Tensor:
        negatives = self.negatives.current(queries)
        query_texts = [self.negatives.queries[i] for i in queries.tolist()]
        negative_texts = [self.negatives.texts[i] for i in negatives.flatten().tolist()]
        units = self._units([*query_texts, *negative_texts], queries.device)
        of_queries, of_negatives = (
            units[: len(query_texts)],
            units[len(query_texts) :].view(*negatives.shape, units.shape[1]),
        )
        return (of_queries[:, None] * of_negatives).sum(dim=2).mean(dim=1)

    def _units(self, texts: list[str], device: torch.device) -> Tensor:
        """Unit vectors of texts, float32 (k, D); each distinct text is encoded once."""
        ordered = sorted(set(texts), key=lambda text: (len(text), text))
        parts = [torch.zeros(0, int(self._bare.get_embedding_dimension()), device=device)]
        for start in range(0, len(ordered), _TEXTS_AT_ONCE):
            tokens = self._bare.preprocess(ordered[start : start + _TEXTS_AT_ONCE])
            vectors = self._bare(batch_to_device(tokens, device))["sentence_embedding"]
            parts.append(normalize(vectors.float(), dim=1))
        places = {text: place for place, text in enumerate(ordered)}
        return torch.cat(parts)[[places[text] for text in texts]]


def _share(values: Tensor) -> Tensor:
    """This process's part of what all have, in order."""
    rank_here, world = rank_and_world_size()
    return values.tensor_split(world)[rank_here]
