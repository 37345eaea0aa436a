"""A linear layer and tanh behind the pooling, the shape of BERT's pooler with fresh weights."""

from __future__ import annotations

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from torch import nn

INIT_STD = 0.02


def fresh_linear(width: int, out: int, seed: int) -> nn.Linear:
    """Make a linear layer with weights of standard deviation 0.02, and biases of zero.

    Args:
        width: Size of the vectors.
        out: Size of the result.
        seed: Seed of the weights.
    """
    linear = nn.Linear(width, out)
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(linear.weight, std=INIT_STD, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear


def append_head(model: SentenceTransformer, seed: int, out: int | None = None) -> None:
    """Append the layer and tanh to a model, to be trained and kept at inference.

    Args:
        model: The model.
        seed: Seed of the weights.
        out: Size of the result, by default that of the model's vectors.
    """
    width = int(model.get_embedding_dimension() or 0)
    linear = fresh_linear(width, out or width, seed)
    head = Dense(width, out or width, init_weight=linear.weight, init_bias=linear.bias)
    model.append(head.to(model.device))
