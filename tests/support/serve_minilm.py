"""Serves a sentence transformer with litserve: FOLDER PORT LOG, in an environment of its own.

LOG gets a line for each request.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found]
from sentence_transformers import SentenceTransformer


class Embeddings(litserve.LitAPI):  # type: ignore[misc]
    """What the library asks for: a model, and what it makes of texts."""

    def setup(self, device: str) -> None:
        self.model = SentenceTransformer(sys.argv[1], device="cpu")

    def predict(self, texts: Sequence[str]) -> Any:
        with Path(sys.argv[3]).open("a", encoding="utf-8") as log:
            log.write(f"{len(texts)}\n")
        return self.model.encode([*texts])

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"embeddings": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(
        Embeddings(spec=litserve.OpenAIEmbeddingSpec()), accelerator="cpu", timeout=120
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False
    )
