"""What a method gives, and a task is scored from."""

from __future__ import annotations

from typing import Literal

# A vector of each text; a score of each pair of texts, which has no vectors; or vectors that are
# mostly zeros, of as many numbers as a vocabulary.
MethodOutput = Literal["vectors", "pairs", "sparse"]
