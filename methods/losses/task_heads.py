"""Heads for sentiment, paraphrase and similarity on one encoder, and their joint training.

The tasks and their data are those of the CS224N project on minBERT that 2-Tier SimCSE (arXiv
2501.13758) reports on. A summary of the report names linear classifiers and "cosine similarity
with sigmoid scaling"; the exact forms are not known, those here are a reading of our own.

A head maps the vectors (B, u) of its texts to outputs, and outputs and labels to its loss. Both are
float32, whatever the vectors are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from bench.training.heads import fresh_linear

MAX_SCORE = 5.0


class SentimentHead(nn.Module):
    """Dropout and a linear layer on the vector of one text, trained by cross-entropy.

    Args:
        width: Size u of the vectors.
        classes: Number of classes.
        dropout: Drop probability before the linear layer.
        seed: Seed of the weights.
    """

    columns: ClassVar[int] = 1

    def __init__(self, width: int, classes: int, *, dropout: float, seed: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = fresh_linear(width, classes, seed)

    def forward(self, vectors: Tensor) -> Tensor:
        """Compute logits (B, classes)."""
        logits: Tensor = self.linear(self.dropout(vectors))
        return logits.float()

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy with class numbers (B,)."""
        return functional.cross_entropy(outputs, labels.long())


class ParaphraseHead(nn.Module):
    """Dropout and a linear layer on [h1; h2; |h1 − h2|], trained by binary cross-entropy.

    A pair is a paraphrase where the logit is above 0, a probability above one half.

    Args:
        width: Size u of the vectors.
        dropout: Drop probability before the linear layer.
        seed: Seed of the weights.
    """

    columns: ClassVar[int] = 2

    def __init__(self, width: int, *, dropout: float, seed: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = fresh_linear(3 * width, 1, seed)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute logits (B,)."""
        pairs = torch.cat([first, second, (first - second).abs()], dim=1)
        logits: Tensor = self.linear(self.dropout(pairs))
        return logits.squeeze(1).float()

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean binary cross-entropy with labels 0 and 1, (B,)."""
        return functional.binary_cross_entropy_with_logits(outputs, labels.float())


class SimilarityHead(nn.Module):
    """Scores 5·sigmoid(a·cos + b), trained by the squared error; a and b are learned.

    They start at 5 and −2.5, so that cosines of 0 to 1 give scores of 0.38 to 4.62. The plain
    5·sigmoid(cos) reaches no further than 1.34 to 3.66.
    """

    columns: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(5.0))
        self.shift = nn.Parameter(torch.tensor(-2.5))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute scores (B,) between 0 and 5."""
        # Half precision would round away the small differences of cosines that scores differ by.
        cosines = torch.cosine_similarity(first.float(), second.float())
        return MAX_SCORE * torch.sigmoid(self.scale * cosines + self.shift)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error with scores of 0 to 5, (B,)."""
        return functional.mse_loss(outputs, labels.float())


class CosineScore(nn.Module):
    """The raw cosine in steps of 0 to 5, for an encoder that sees no scores: 5·cos.

    The factor puts errors on the scale of the scores; Pearson's correlation does not see it.
    """

    columns: ClassVar[int] = 2

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute scores (B,) between −5 and 5."""
        return MAX_SCORE * torch.cosine_similarity(first.float(), second.float())


Head = SentimentHead | ParaphraseHead | SimilarityHead


class TaskLoss(nn.Module):
    """The loss of one head on the vectors of an encoder.

    Args:
        model: Sentence transformer.
        head: The task's head.
    """

    def __init__(self, model: SentenceTransformer, head: Head) -> None:
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode the columns of texts and compute the loss, a scalar.

        Args:
            features: Tokens (B, L) of each of the head's columns.
            labels: Labels (B,).
        """
        vectors = [self.model(dict(column))["sentence_embedding"] for column in features]
        loss: Tensor = self.head.loss(self.head(*vectors), labels)
        return loss


class MultiTaskLoss(nn.Module):
    """The weighted sum of the losses of several tasks, with one batch of each in every step.

    A row holds the texts of one example of each task, in the order of the tasks. As rows have one
    number only, it is that of the row; the labels are kept here.

    Args:
        losses: Loss of each task, all on the same encoder.
        labels: Labels of each task for all N rows, (N,) each.
        weights: Weight of each task, 1 by default. A task of weight 0 is not computed at all, so
            that the others see the random numbers that they would see without it.

    Raises:
        ValueError: There are not as many labels or weights as tasks.
    """

    def __init__(
        self,
        losses: Sequence[TaskLoss],
        labels: Sequence[Tensor],
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.weights = [1.0] * len(losses) if weights is None else [*weights]
        if not len(losses) == len(labels) == len(self.weights):
            raise ValueError(
                f"{len(losses)} tasks have {len(labels)} sets of labels and "
                f"{len(self.weights)} weights"
            )
        self.losses = nn.ModuleList(losses)
        self._columns = [task.head.columns for task in losses]
        for number, values in enumerate(labels):
            # Made anew from the rows after an interruption, so no part of checkpoints.
            self.register_buffer(f"labels{number}", values, persistent=False)

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Compute the sum of the means of the tasks over their batches, a scalar.

        Args:
            features: Tokens (B, L) of the columns of all tasks, one task after the other.
            labels: Numbers of the rows (B,), which choose the labels.

        Raises:
            ValueError: There are not as many columns as the tasks have.
        """
        columns, rows = [*features], labels.long()
        if len(columns) != sum(self._columns):
            raise ValueError(
                f"the tasks have {sum(self._columns)} columns, but there are {len(columns)}"
            )
        left = iter(columns)
        total = torch.zeros((), device=rows.device)
        tasks = zip(self.losses, self._columns, self.weights, strict=True)
        for number, (task, width, weight) in enumerate(tasks):
            batch = [*islice(left, width)]
            if weight:
                values = self.get_buffer(f"labels{number}")[rows]
                total = total + weight * task(batch, values)
        return total


def equal_shares(sizes: Sequence[int], length: int, seed: int) -> list[list[int]]:
    """Draw equally many rows of sets of different sizes.

    Args:
        sizes: Number of rows of each set.
        length: Number of rows to draw of each.
        seed: Seed of the orders.

    Returns:
        Row numbers of each set in a random order: of a longer set each at most once, of a shorter
        one all of them, reshuffled, before any comes again.
    """
    shares = []
    for number, size in enumerate(sizes):
        generator = torch.Generator().manual_seed(seed * len(sizes) + number)
        rounds = [torch.randperm(size, generator=generator) for _ in range(-(-length // size))]
        shares.append(torch.cat(rounds)[:length].tolist())
    return shares
