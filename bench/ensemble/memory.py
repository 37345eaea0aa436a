"""What trainings on the rows of a task left, so that none is done twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.files import write_atomic

Arrays = Mapping[str, NDArray[Any]]


class Memory:
    """Arrays by name in a folder, each file complete or absent.

    Args:
        folder: The folder, one for each method, seed and task.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Arrays under a name: those on disk, else those that are made now, and kept.

        Args:
            name: Letters, digits and hyphens.
            make: Makes the arrays.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load, save

        path = self._folder / f"{name}.safetensors"
        try:
            return dict(load(path.read_bytes()))
        except (OSError, SafetensorError):
            made = make()
            write_atomic(path, save({key: np.ascontiguousarray(made[key]) for key in sorted(made)}))
            return made
