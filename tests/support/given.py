"""What a method hands to the loss and the trainer, seen without training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from bench.method import named_method

# An option of every training, and the setting of the trainer that it is; given, it is another one.
OF_EVERY_TRAINING = [
    ("lr=0.01", "lr", 0.01),
    ("epochs=3", "epochs", 3),
    ("batch_size=32", "batch_size", 32),
    ("max_seq_length=17", "max_seq_length", 17),
    ("max_steps=9", "max_steps", 9),
    ("dev_every=5", "dev_every", 5),
    ("dev=false", "dev_every", 0),
    ("micro_batch=4", "micro_batch", 4),
]


class Given(torch.nn.Module):
    """Stands for a loss, and keeps the settings that it was given by name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        self.args, self.options = args, options

    def from_vectors(self, *columns: Any) -> None:
        """What losses of prefixes take of a contrast."""


def method(name: str, options: str = "") -> Any:
    """A method with its published settings and some others.

    Args:
        name: The method, or a spec of it.
        options: The others.
    """
    head, _, own = name.removesuffix("]").partition("[")
    inner = ",".join(filter(None, [own, options]))
    found = named_method(f"{head}[{inner}]" if inner else head, "paper")
    assert found is not None
    return found


def differing(usual: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What the second has otherwise than the first."""
    assert usual.keys() == other.keys()
    return {key: value for key, value in other.items() if value != usual[key]}


def trainer_change(name: str, options: str, beside: str = "") -> dict[str, Any]:
    """Settings of the trainer that some options change.

    Args:
        name: The method.
        options: The options.
        beside: Others, which both have.
    """
    both = ",".join(filter(None, [beside, options]))
    usual, other = (asdict(method(name, text).train_settings(1280)) for text in (beside, both))
    return differing(usual, other)
