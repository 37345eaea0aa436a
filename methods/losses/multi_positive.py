"""Contrast with several positives, and the loss of CoDiEmb for either task (arXiv 2508.11442)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.losses.graded import pearson_loss
from bench.methods.losses.listwise import pro_loss, rank_kl_loss
from bench.methods.parts.mixture import RETRIEVAL_LABEL
from bench.models.layers import layer_vectors
from bench.training.gather import gather_rows

# Of the authors' code.
PEARSON_WEIGHT, RANK_KL_WEIGHT, PRO_WEIGHT = 2.0, 5.0, 0.5

TokenFeatures = Mapping[str, Any]


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


class CoDiEmbLoss(nn.Module):
    """The loss of the task that a batch is of: of retrieval where all labels are −1, or of STS.

    In several processes the rows of retrieval are those of all of them; those of STS only where
    ``gather_sts`` is set, see ``gather_rows``.

    Args:
        model: Sentence transformer.
        positives: Number P of columns of positives, those behind the query.
        temperature: Temperature τ of the contrast in retrieval and in the middle layer.
        rank_temperature: Temperature T of the losses over the order.
        middle: Add the contrast of the middle layer to the loss of STS.
        gather_sts: Take the loss of STS over the rows of all processes too.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        positives: int,
        temperature: float,
        rank_temperature: float,
        middle: bool,
        gather_sts: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self._positives = positives
        self._temperature = temperature
        self._rank_temperature = rank_temperature
        self._middle = middle
        self._gather_sts = gather_sts
        self._empty = int(model.preprocess([""])["attention_mask"].sum())

    def forward(self, features: Iterable[TokenFeatures], labels: Tensor) -> Tensor:
        """Encode the texts that the task has and compute its loss.

        Args:
            features: Tokens (B, L) a column: queries, P columns of positives, then those of hard
                negatives, where an empty text is none; or the texts of pairs, then columns that
                are ignored.
            labels: −1 for each row of retrieval, or grades (B,) between 0 and 1.

        Raises:
            ValueError: The batch is of both tasks.
        """
        columns = list(features)
        of_retrieval = labels == RETRIEVAL_LABEL
        if of_retrieval.all():
            return self._retrieval(columns)
        if of_retrieval.any():
            raise ValueError("a batch has rows of both tasks")
        return self._sts(columns[:2], labels)

    def _retrieval(self, columns: Sequence[TokenFeatures]) -> Tensor:
        count = 1 + self._positives
        queries, *positives = (self._encode(column) for column in columns[:count])
        negative_columns = [
            kept for kept in map(self._present, columns[count:]) if kept is not None
        ]
        # Without negatives these are no rows, but part of the graph like those of others.
        negatives = torch.cat([queries[:0], *(self._encode(column) for column in negative_columns)])
        return self.retrieval_loss(queries, torch.stack(positives, dim=1), negatives)

    def retrieval_loss(self, queries: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Compute the loss of vectors (B, u), (B, P, u) and (M, u) over those of all processes."""
        # Half precision would round the logits, which reach 1 / τ.
        with torch.autocast(queries.device.type, enabled=False):
            return multi_positive_loss(
                gather_rows(queries.float()),
                gather_rows(positives.float()),
                gather_rows(negatives.float()),
                temperature=self._temperature,
            )

    def _sts(self, columns: Sequence[TokenFeatures], labels: Tensor) -> Tensor:
        if self._middle:
            layers = [layer_vectors(self.model, column) for column in columns]
            pairs = [[vectors[len(vectors) // 2], vectors[-1]] for vectors in layers]
            middle, last = zip(*pairs, strict=True)
            return self.sts_loss(last, labels, middle)
        return self.sts_loss([self._encode(column) for column in columns], labels)

    def sts_loss(
        self, last: Sequence[Tensor], labels: Tensor, middle: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Compute the loss of both texts' vectors, (B, u) each.

        Args:
            last: Vectors of the first and of the second texts.
            labels: Grades (B,).
            middle: The same of the middle layer, or None to leave its contrast out.
        """
        with torch.autocast(labels.device.type, enabled=False):
            first_last, second_last = (vectors.float() for vectors in last)
            cosines = torch.cosine_similarity(first_last, second_last)
            scores, grades = self._joined(cosines), self._joined(labels.to(cosines))
            order = {"temperature": self._rank_temperature}
            total = (
                PEARSON_WEIGHT * pearson_loss(scores, grades)
                + RANK_KL_WEIGHT * rank_kl_loss(scores, grades, **order)
                + PRO_WEIGHT * pro_loss(scores, grades, **order)
            )
            if middle is None:
                return total
            first_middle, second_middle = (self._joined(vectors.float()) for vectors in middle)
            return total + paraphrase_loss(
                first_middle, second_middle, grades, temperature=self._temperature
            )

    def _joined(self, rows: Tensor) -> Tensor:
        return gather_rows(rows) if self._gather_sts else rows

    def _encode(self, column: TokenFeatures) -> Tensor:
        vectors: Tensor = self.model(dict(column))["sentence_embedding"]
        return vectors

    def _present(self, column: TokenFeatures) -> TokenFeatures | None:
        """The rows of a column that are not empty, or None."""
        present = column["attention_mask"].sum(dim=1) > self._empty
        if not present.any():
            return None
        rows = len(present)
        return {
            name: value[present] if isinstance(value, Tensor) and len(value) == rows else value
            for name, value in column.items()
        }
