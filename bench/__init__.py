"""sentence-bench: train, evaluate and compare methods that make sentence embeddings.

Here are functions of ``api``, for who runs it from Python, handed out when they are asked for, and
a package for each room of the house. Which room stands above which is told, and kept, by
``tests/test_architecture.py``: a room imports only those below it, and each says which ones. A new
room is a package with such a docstring, and a name in that test and in pyproject.toml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import claims, compare, gate, load_records, run, table

__all__ = ["__version__", "claims", "compare", "gate", "load_records", "run", "table"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Importing bench must stay instant: the API pulls in pydantic, NumPy and pandas.
    if name in __all__:
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__]
