"""Memory of a batch as profile ``paper`` has them, encoded in parts, and what parts change.

    python tests/perf/micro_batch_memory.py

A step of SimCSE on a transformer of BERT-base's shape, with weights drawn at random: 512 pairs of
32 tokens, 16 texts at a time. Each line is a process of its own, with the largest memory that it
ever had. Loss and gradients are compared at 64 pairs, which a machine of 24 GiB also encodes as a
whole, without dropout, whose masks are others in parts. The exit code is 0 only where the step
keeps under 8 GB, and loss and gradients are those of the whole batch to 2e-5 of the loss and of the
largest gradient: sums of fp32 are taken in another order, and 1 / 0.05 multiplies what they round.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel

from bench.methods.losses.in_batch import InBatchLoss
from bench.training.micro_batches import encoding_in_parts

PAIRS, FEW, TOKENS, PART = 512, 64, 32, 16
MOST_BYTES, TOLERANCE = 8e9, 2e-5


class Bert(torch.nn.Module):
    """A transformer of BERT-base's shape, as the first module of a sentence transformer."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = BertConfig(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
        self.width = config.hidden_size
        self.model = BertModel(config, add_pooling_layer=False)

    def forward(self, features: dict[str, torch.Tensor], **_: object) -> dict[str, torch.Tensor]:
        """Add the states of all tokens."""
        return {**features, "token_embeddings": self.model(**features).last_hidden_state}


def encoder(dropout: float) -> SentenceTransformer:
    """It, and the mean of its tokens."""
    first = Bert(dropout)
    return SentenceTransformer(modules=[first, Pooling(first.width)], device="cpu").train()


def step(pairs: int, rows: int, gradients: Path | None = None) -> None:
    """Compute loss and gradients; print the loss, seconds and bytes."""
    model = encoder(0.1 if gradients is None else 0.0)
    loss = InBatchLoss(model, temperature=0.05, head=False, seed=0)
    generator = torch.Generator().manual_seed(1)
    columns = [
        {
            "input_ids": torch.randint(999, 30_000, (pairs, TOKENS), generator=generator),
            "attention_mask": torch.ones(pairs, TOKENS, dtype=torch.int64),
        }
        for _ in range(2)
    ]
    started = time.perf_counter()
    with encoding_in_parts(model, rows):
        value = loss(columns, torch.empty(0))
        value.backward()
    seconds = time.perf_counter() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if gradients is not None:
        found = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        save_file({"loss": value.detach(), **found}, gradients)
    print(value.item(), seconds, most)


def child(pairs: int, rows: int, gradients: Path | None = None) -> float:
    """Take the step in a process of its own, print a line, and return its bytes."""
    command = [sys.executable, __file__, str(pairs), str(rows)]
    if gradients is not None:
        command.append(str(gradients))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loss, seconds, most = map(float, done.stdout.split())
    print(
        f"{pairs} pairs of {TOKENS} tokens, {rows} texts at a time: loss {loss:.6f}, "
        f"{seconds:.0f} s, {most / 1e9:.2f} GB",
        flush=True,
    )
    return most


def main() -> int:
    """Measure both."""
    within = child(PAIRS, PART) < MOST_BYTES
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        child(FEW, FEW, whole)
        child(FEW, PART, parts)
        one, two = load_file(whole), load_file(parts)
    loss, other = one.pop("loss"), two.pop("loss")
    gaps = float((loss - other).abs() / loss), _largest(one, two) / _largest(one)
    print(f"apart from the whole batch: loss by {gaps[0]:.1e} of it, gradients by {gaps[1]:.1e}")
    return 0 if within and max(gaps) <= TOLERANCE else 1


def _largest(one: dict[str, torch.Tensor], less: dict[str, torch.Tensor] | None = None) -> float:
    return max(float((one[name] - (less or {}).get(name, 0)).abs().max()) for name in one)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        step(int(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:]))
    else:
        sys.exit(main())
