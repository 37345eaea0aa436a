"""What trainings on the rows of a task left, so that none is done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.files import write_atomic
from bench.core.fingerprint import LENGTH

Arrays = Mapping[str, NDArray[Any]]


class Memory:
    """Arrays by name in a folder, each file complete or absent, and named by its bytes too.

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
        from safetensors.numpy import load, save

        for path in self._folder.glob(f"{name}.{'?' * LENGTH}.safetensors"):
            content = path.read_bytes()
            if path.name == _file_name(name, content):
                return dict(load(content))
            path.unlink(missing_ok=True)
        made = make()
        content = save({key: np.ascontiguousarray(made[key]) for key in sorted(made)})
        write_atomic(self._folder / _file_name(name, content), content)
        return made


def _file_name(name: str, content: bytes) -> str:
    return f"{name}.{hashlib.sha256(content).hexdigest()[:LENGTH]}.safetensors"
