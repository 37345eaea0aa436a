"""Masked language modelling beside another loss (SimCSE, arXiv 2104.08821, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from bench.core.errors import UsageError

MASKED = 0.15
# Of these tokens, as by BERT (arXiv 1810.04805): most become the mask, some another token.
REPLACED_BY_MASK, REPLACED_BY_ANY = 0.8, 0.1


class MaskedTokens(nn.Module):
    """Adds λ times the loss of guessing masked tokens to a loss.

    The tokens of every column are masked and encoded once more; the loss is the mean over all
    masked tokens of a process. The head starts as in pretraining and is trained.

    Args:
        model: Sentence transformer that starts with the encoder of the head.
        loss: Loss called with features and labels.
        masked_lm: Masked language model whose head is called ``cls`` as BERT's, or ``lm_head`` as
            RoBERTa's.
        weight: Weight λ.

    Raises:
        UsageError: It has no such head, or the model's tokenizer no mask.
    """

    def __init__(
        self, model: SentenceTransformer, loss: nn.Module, masked_lm: nn.Module, weight: float
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        head = getattr(masked_lm, "cls", None) or getattr(masked_lm, "lm_head", None)
        tokenizer: Any = model.tokenizer
        if not isinstance(head, nn.Module) or tokenizer.mask_token_id is None:
            raise UsageError(
                f"mlm_weight needs a base with a mask and a head of BERT or RoBERTa, which "
                f"{type(masked_lm).__name__} has not; leave it out"
            )
        self.head = head.requires_grad_(True)
        self._special = torch.tensor(tokenizer.all_special_ids)
        self._mask, self._size = int(tokenizer.mask_token_id), len(tokenizer)
        self._weight = weight

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor | None) -> Tensor:
        """Compute both losses.

        Args:
            features: Tokens (B, L) of each column.
            labels: What the other loss gets as labels.
        """
        columns = list(features)
        value: Tensor = self.loss(columns, labels)
        states, wanted = zip(*map(self._masked_states, columns), strict=True)
        tokens = torch.cat(wanted)
        if not len(tokens):
            return value
        scores = self.head(torch.cat(states))
        return value + self._weight * functional.cross_entropy(scores.float(), tokens)

    def _masked_states(self, column: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        ids = column["input_ids"]
        special = torch.isin(ids, self._special.to(ids.device))
        shown, chosen = mask_tokens(ids, special, self._mask, self._size)
        states = self.model[0]({**column, "input_ids": shown})["token_embeddings"]
        return states[chosen], ids[chosen]


def mask_tokens(ids: Tensor, special: Tensor, mask: int, size: int) -> tuple[Tensor, Tensor]:
    """Choose 15% of the tokens, and hide most of them.

    80% of those become the mask, 10% any token, and 10% stay as they are. Draws are those of
    torch's own generator.

    Args:
        ids: Tokens (B, L).
        special: Which are never chosen (B, L), bool.
        mask: Number of the mask.
        size: Size of the vocabulary.

    Returns:
        Tokens (B, L) to encode, and which were chosen (B, L), bool.
    """
    draw = torch.rand(ids.shape, device=ids.device)
    chosen = (draw < MASKED) & ~special
    fate = torch.rand(ids.shape, device=ids.device)
    other = torch.randint(size, ids.shape, device=ids.device)
    shown = torch.where(chosen & (fate < REPLACED_BY_MASK), mask, ids)
    any_token = (fate >= REPLACED_BY_MASK) & (fate < REPLACED_BY_MASK + REPLACED_BY_ANY)
    return torch.where(chosen & any_token, other, shown), chosen
