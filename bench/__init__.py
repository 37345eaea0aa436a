"""sentence-bench: train, evaluate and compare methods that make sentence embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import load_records, run

__all__ = ["__version__", "load_records", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Importing bench must stay instant: the API pulls in pydantic, NumPy and pandas.
    if name in {"run", "load_records"}:
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
