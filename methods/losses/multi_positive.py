"""Contrast with several positives, and the loss of CoDiEmb for either task (arXiv 2508.11442)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.losses.columns import (
    TokenFeatures,
    length_of_no_text,
    present_rows,
    some_rows,
)
from bench.methods.losses.graded import cosent_loss, pearson_loss
from bench.methods.losses.listwise import pro_loss, rank_kl_loss
from bench.methods.parts.mixture import PARAPHRASE_LABEL, Instructions
from bench.models.layers import layer_vectors
from bench.training.gather import gather_rows

# Of the authors' code.
PEARSON_WEIGHT, RANK_KL_WEIGHT, PRO_WEIGHT = 2.0, 5.0, 0.5


def multi_positive_loss(
    queries: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float
) -> Tensor:
    """Compute InfoNCE over cosine / τ for each slot of positives, and their mean.

    For slot j the candidates of every query are the j-th positives of all B queries and all M
    hard negatives: a query's other positives are never in its denominator.

    Args:
        queries: Vectors (B, u).
        positives: Vectors (B, P, u).
        negatives: Vectors (M, u) of hard negatives of all queries, in any order; M may be 0.
        temperature: Temperature τ.
    """
    queries, positives, negatives = (
        functional.normalize(vectors, dim=-1) for vectors in (queries, positives, negatives)
    )
    own = torch.arange(len(queries), device=queries.device)
    losses = []
    for slot in positives.unbind(dim=1):
        cosines = queries @ torch.cat([slot, negatives]).T
        losses.append(functional.cross_entropy(cosines / temperature, own))
    return torch.stack(losses).mean()


def paraphrase_loss(first: Tensor, second: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Compute InfoNCE over cosine / τ of the pairs with the full grade; 0 where there is none.

    All second texts of the batch are candidates, those of pairs with lower grades too. It is the
    MidNCE of CoDiEmb where the vectors are those of the middle layer.

    Args:
        first: Vectors (B, u).
        second: Vectors (B, u).
        labels: Grades (B,), between 0 and 1.
        temperature: Temperature τ.
    """
    same = (labels >= 1).nonzero().squeeze(dim=1)
    cosines = functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T
    losses = functional.cross_entropy(cosines[same] / temperature, same, reduction="sum")
    return losses / max(len(same), 1)


@dataclass(frozen=True)
class PromptTokens:
    """Tokens of a text that are its instruction, which the pooling leaves out.

    Attributes:
        query: Of a query, those before the whole text among them.
        pair: Of both texts of a pair.
    """

    query: int = 0
    pair: int = 0

    @classmethod
    def of(cls, model: SentenceTransformer, instructions: Instructions) -> PromptTokens:
        """Count them as the model does where it encodes with a prompt."""
        return cls(
            *(
                int(model.preprocess([""], prompt=text).get("prompt_length", 0)) if text else 0
                for text in (instructions.query, instructions.pair)
            )
        )


@dataclass(frozen=True)
class Contrasted:
    """Vectors of rows that are contrasted.

    Attributes:
        queries: (B, u).
        positives: (B, P, u).
        negatives: (M, u), of all queries.
    """

    queries: Tensor
    positives: Tensor
    negatives: Tensor


@dataclass(frozen=True)
class Paired:
    """Vectors of graded pairs.

    Attributes:
        last: Those of the first and of the second texts, (B, u) each.
        middle: The same of the middle layer, or None to leave its contrast out.
    """

    last: Sequence[Tensor]
    middle: Sequence[Tensor] | None = None


class CoDiEmbLoss(nn.Module):
    """The loss of the task that a batch is of: of retrieval, or of STS.

    A batch of both has the mean of both losses, weighed by their rows. In several processes the
    rows are those of all of them, see ``gather_rows``, so that a correlation is that of the whole
    batch; the authors take it over the pairs of one device.

    Args:
        model: Sentence transformer.
        positives: Number P of columns of positives, those behind the query.
        temperature: Temperature τ of the contrast in retrieval and in the middle layer.
        rank_temperature: Temperature T of the losses over the order.
        middle: Add the contrast of the middle layer to the loss of STS.
        cosent: Take CoSENT in the place of the losses over the order.
        prompts: Tokens of the instructions that rows begin with.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        positives: int,
        temperature: float,
        rank_temperature: float,
        middle: bool,
        cosent: bool = False,
        prompts: PromptTokens = PromptTokens(),
    ) -> None:
        super().__init__()
        self.model = model
        self._positives = positives
        self._temperature = temperature
        self._rank_temperature = rank_temperature
        self._middle = middle
        self._cosent = cosent
        self._prompts = prompts
        self._empty = length_of_no_text(model)

    def forward(self, features: Iterable[TokenFeatures], labels: Tensor) -> Tensor:
        """Encode the texts that the tasks have and compute their loss.

        Args:
            features: Tokens (B, L) a column: queries, P columns of positives, then those of hard
                negatives, where an empty text is none; or the texts of pairs, then columns that
                are ignored.
            labels: ``RETRIEVAL_LABEL`` or ``PARAPHRASE_LABEL`` of each row that is contrasted, or
                a grade between 0 and 1, (B,).
        """
        columns = list(features)
        contrasted, all_contrasted = labels < 0, gather_rows(labels) < 0
        if all_contrasted.all():
            return self.retrieval_loss(self._contrasted(columns, labels))
        if not all_contrasted.any():
            return self.sts_loss(self._paired(columns[:2]), labels)
        share = all_contrasted.float().mean()
        first, second = self._both(columns, labels, contrasted)
        ranking, graded = self.retrieval_loss(first), self.sts_loss(second, labels[~contrasted])
        return share * ranking + (1 - share) * graded

    def _both(
        self, columns: Sequence[TokenFeatures], labels: Tensor, contrasted: Tensor
    ) -> tuple[Contrasted, Paired]:
        """Encode rows of both tasks; a process that has none of one takes part without rows."""
        if not contrasted.any():
            paired = self._paired(columns[:2])
            none = paired.last[0][:0]
            return Contrasted(none, none[:, None].expand(-1, self._positives, -1), none), paired
        own = [some_rows(column, contrasted) for column in columns]
        ranked = self._contrasted(own, labels[contrasted])
        if contrasted.all():
            none = ranked.queries[:0]
            return ranked, Paired([none] * 2, [none] * 2 if self._middle else None)
        return ranked, self._paired([some_rows(column, ~contrasted) for column in columns[:2]])

    def _contrasted(self, columns: Sequence[TokenFeatures], labels: Tensor) -> Contrasted:
        count, of_pairs = 1 + self._positives, labels == PARAPHRASE_LABEL
        before_query = torch.where(of_pairs, self._prompts.pair, self._prompts.query)
        before_answer = torch.where(of_pairs, self._prompts.pair, 0)
        queries = self._encode(columns[0], before_query)
        positives = [self._encode(column, before_answer) for column in columns[1:count]]
        negative_columns = [
            kept
            for column in columns[count:]
            if (kept := present_rows(column, self._empty)) is not None
        ]
        # Without negatives these are no rows, but part of the graph like those of others.
        negatives = torch.cat([queries[:0], *(self._encode(column) for column in negative_columns)])
        return Contrasted(queries, torch.stack(positives, dim=1), negatives)

    def retrieval_loss(self, vectors: Contrasted) -> Tensor:
        """Compute the loss of rows that are contrasted, over those of all processes."""
        # Half precision would round the logits, which reach 1 / τ.
        with torch.autocast(vectors.queries.device.type, enabled=False):
            return multi_positive_loss(
                gather_rows(vectors.queries.float()),
                gather_rows(vectors.positives.float()),
                gather_rows(vectors.negatives.float()),
                temperature=self._temperature,
            )

    def _paired(self, columns: Sequence[TokenFeatures]) -> Paired:
        columns = [_prompted(column, self._prompts.pair) for column in columns]
        if not self._middle:
            return Paired([self._encode(column) for column in columns])
        layers = [layer_vectors(self.model, column) for column in columns]
        middle, last = zip(
            *([vectors[len(vectors) // 2], vectors[-1]] for vectors in layers), strict=True
        )
        return Paired(last, middle)

    def sts_loss(self, vectors: Paired, labels: Tensor) -> Tensor:
        """Compute the loss of pairs and their grades (B,), over those of all processes."""
        with torch.autocast(labels.device.type, enabled=False):
            first_last, second_last = (column.float() for column in vectors.last)
            cosines = torch.cosine_similarity(first_last, second_last)
            scores, grades = gather_rows(cosines), gather_rows(labels.to(cosines))
            total = self._order_loss(scores, grades)
            if vectors.middle is None:
                return total
            first_middle, second_middle = (gather_rows(column.float()) for column in vectors.middle)
            return total + paraphrase_loss(
                first_middle, second_middle, grades, temperature=self._temperature
            )

    def _order_loss(self, scores: Tensor, grades: Tensor) -> Tensor:
        if self._cosent:
            return cosent_loss(scores, grades)
        order = {"temperature": self._rank_temperature}
        return (
            PEARSON_WEIGHT * pearson_loss(scores, grades)
            + RANK_KL_WEIGHT * rank_kl_loss(scores, grades, **order)
            + PRO_WEIGHT * pro_loss(scores, grades, **order)
        )

    def _encode(self, column: TokenFeatures, prompts: Tensor | None = None) -> Tensor:
        """Vectors (B, u) of a column, of whose texts the first tokens (B,) may be instructions."""
        lengths = [0] if prompts is None else sorted(set(prompts.tolist()))
        if len(lengths) == 1 or prompts is None:
            whole: Tensor = self.model(_prompted(column, lengths[0]))["sentence_embedding"]
            return whole
        masks = [prompts == length for length in lengths]
        parts = [
            self.model(_prompted(some_rows(column, mask), length))["sentence_embedding"]
            for mask, length in zip(masks, lengths, strict=True)
        ]
        places = torch.cat([mask.nonzero()[:, 0] for mask in masks])
        return torch.cat(parts)[places.argsort()]


def _prompted(column: TokenFeatures, tokens: int) -> dict[str, Any]:
    """A column whose texts begin with instructions of so many tokens."""
    return {**column, "prompt_length": tokens} if tokens else dict(column)
