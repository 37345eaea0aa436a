"""What a training reads besides its base: text and the dev set; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from bench.data.access import DataAccess
from bench.data.corpora import corpus_fingerprint
from bench.data.rows import Row

DEV = "sts/stsb:dev"


def training_inputs(corpus: str, dev_every: int, data: DataAccess) -> Mapping[str, str]:
    """Identify training text and, where it chooses the checkpoint, STS-B dev.

    Raises:
        DataError: One of them is missing.
    """
    found = {"corpus": corpus_fingerprint(corpus, data)}
    return {**found, "dev": data.sha256(DEV)} if dev_every else found


def dev_rows(dev_every: int, data: DataAccess) -> list[Row] | None:
    """STS-B dev, or None where nothing is evaluated during training."""
    return data.rows(DEV) if dev_every else None
