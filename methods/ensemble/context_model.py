"""A transformer that looks at retrieved texts, and what refines and pools its tokens.

After Liu, Zhang and Gao (arXiv 2501.15876), eq. 1 to 5, of which a summary by others was available.
It names cross-attention, "convolution for n-gram dependencies" and "attention aggregation"; their
shapes, what represents a retrieved text, and the number of heads are our own reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS = 8
KERNELS = (2, 3, 4)
FILTERS = 128
Loss = Literal["mse", "ce"]


@dataclass(frozen=True)
class ContextParts:
    """What stands between a transformer and its output.

    Attributes:
        cross_attention: Attention of the tokens to the vectors of retrieved texts.
        refine_conv: Convolutions over the tokens.
        attn_pool: Pooling by learned attention in place of the mean.
    """

    cross_attention: bool = True
    refine_conv: bool = True
    attn_pool: bool = True


class ContextAttention(nn.Module):
    """Attention of tokens to vectors of retrieved texts (eq. 1).

    Args:
        width: Size h of the tokens.
        context: Size c of the vectors.
    """

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.project = nn.Linear(context, width)
        self.attention = nn.MultiheadAttention(width, gcd(width, HEADS), batch_first=True)

    def forward(self, hidden: Tensor, context: Tensor, present: Tensor) -> Tensor:
        """Compute what the tokens (B, L, h) find in K texts, (B, L, h).

        Args:
            hidden: Tokens (B, L, h).
            context: Vectors (B, K, c).
            present: Which of them there are, (B, K); rows without any find zeros.
        """
        any_present = present.any(dim=1)
        if not any_present.any():
            return torch.zeros_like(hidden)
        # A softmax over nothing is NaN: rows without texts look at all of them and are zeroed.
        hidden_texts = ~present & any_present[:, None]
        keys = self.project(context)
        attended: Tensor = self.attention(
            hidden, keys, keys, key_padding_mask=hidden_texts, need_weights=False
        )[0]
        return attended * any_present[:, None, None]


class Refinement(nn.Module):
    """Convolutions over windows of 2, 3 and 4 tokens, then GELU; padding is seen as zeros.

    Args:
        width: Size of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0),
                nn.Conv1d(width, FILTERS, kernel),
            )
            for kernel in KERNELS
        )

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Map tokens (B, L, h) with a mask (B, L) to (B, L, 384)."""
        columns = (hidden * mask[:, :, None]).transpose(1, 2)
        convolved = torch.cat([convolve(columns) for convolve in self.convolutions], dim=1)
        return functional.gelu(convolved).transpose(1, 2)


class AttentionPooling(nn.Module):
    """Weights α = softmax(wᵀ tanh(W F)) over the tokens of a text, and the sum they make.

    Args:
        width: Size d of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def weights(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Weights (B, L) of tokens (B, L, d): not negative, of sum 1, and 0 on padding."""
        scores: Tensor = self.score(torch.tanh(self.hidden(tokens))).squeeze(2)
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=1)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Pool tokens (B, L, d) with a mask (B, L) to (B, d)."""
        return torch.einsum("bl,bld->bd", self.weights(tokens, mask), tokens)


class MeanPooling(nn.Module):
    """The mean over the tokens of a text."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Pool tokens (B, L, d) with a mask (B, L) to (B, d)."""
        kept = mask[:, :, None].to(tokens)
        return (tokens * kept).sum(dim=1) / kept.sum(dim=1)


class ContextModel(nn.Module):
    """A transformer, cross-attention to retrieved texts, refinement, pooling and a linear layer.

    H' = LayerNorm(H + A) (eq. 2). Without cross-attention, and where no text was retrieved, A is
    zero; the normalisation stays, so that the two differ by the attention alone.

    Args:
        encoder: Transformer of transformers.
        context: Size c of the vectors of retrieved texts.
        outputs: Classes, or 1 for a score.
        parts: What there is of all this.
    """

    def __init__(self, encoder: nn.Module, context: int, outputs: int, parts: ContextParts) -> None:
        super().__init__()
        self.encoder = encoder
        width = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]  # transformers'
        self.attention = ContextAttention(width, context) if parts.cross_attention else None
        self.norm = nn.LayerNorm(width)
        self.refine = Refinement(width) if parts.refine_conv else None
        pooled = FILTERS * len(KERNELS) if parts.refine_conv else width
        self.pool = AttentionPooling(pooled) if parts.attn_pool else MeanPooling()
        self.head = nn.Linear(pooled, outputs)

    def fresh(self) -> list[nn.Parameter]:
        """Parameters that are not the transformer's."""
        known = {id(parameter) for parameter in self.encoder.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in known]

    def forward(
        self, tokens: dict[str, Any], context: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute outputs (B, o), and how much the context adds: mean of |A| / |H|, (B,).

        Args:
            tokens: What the tokenizer makes of B texts.
            context: Vectors (B, K, c) of retrieved texts.
            present: Which of them there are, (B, K).
        """
        mask = tokens["attention_mask"].bool()
        hidden = self.encoder(**tokens).last_hidden_state
        if self.attention is None:
            added = torch.zeros_like(hidden)
        else:
            added = self.attention(hidden, context, present)
        states = self.norm(hidden + added)
        if self.refine is not None:
            states = self.refine(states, mask)
        outputs: Tensor = self.head(self.pool(states, mask))
        with torch.no_grad():
            ratio = added.norm(dim=2) / hidden.norm(dim=2).clamp_min(1e-12)
            share = (ratio * mask).sum(dim=1) / mask.sum(dim=1)
        return outputs.float(), share.float()


def probabilities(outputs: Tensor, *, classes: bool) -> Tensor:
    """Probabilities of outputs (B, o) where they are of classes; scores stay as they are."""
    return outputs.softmax(dim=1) if classes else outputs


def prediction_loss(outputs: Tensor, targets: Tensor, loss: Loss, *, classes: bool) -> Tensor:
    """Squared error, of probabilities where there are classes (eq. 8), or cross-entropy.

    Args:
        outputs: Outputs (B, o).
        targets: Probabilities or scores to learn, (B, o).
        loss: Which one.
        classes: Whether the outputs are of classes.
    """
    if loss == "ce":
        return functional.cross_entropy(outputs, targets)
    predicted = probabilities(outputs, classes=classes)
    return (predicted - targets).square().sum(dim=1).mean()
