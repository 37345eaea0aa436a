"""What a build reads, each part of it an object that says all there is to know of it.

A part has a fingerprint, by which a change of it makes another model. What is learnt from is a
``TrainingSet``, and says of which data sets and revisions it is and what texts it holds besides. A
new kind of data for training is one class of these here or in the file of what it loads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.data.access import DataAccess
    from bench.data.rows import Row


class BuildInput(ABC):
    """Data that a build reads, and learns nothing from where it is no ``TrainingSet``."""

    @abstractmethod
    def fingerprint(self, data: DataAccess) -> str:
        """Identify the data without reading it all, and check that it is there.

        Raises:
            DataError: It is missing or changed, or has no such name.
        """


class TrainingSet(BuildInput):
    """Data that a build learns from."""

    @property
    @abstractmethod
    def datasets(self) -> tuple[str, ...]:
        """Data sets of datasets.toml that it is of, ``family/set``.

        Raises:
            DataError: It has no such name.
        """

    def revisions(self, data: DataAccess) -> Mapping[str, str]:
        """Commit of each data set on the hub that it is of, by its id; by default none.

        Raises:
            DataError: A file is not here, and cannot be fetched.
        """
        return {}

    @abstractmethod
    def texts(self, data: DataAccess) -> Iterable[str]:
        """Texts that are learnt from, possibly some twice.

        Raises:
            DataError: Data is missing or changed.
        """


@dataclass(frozen=True)
class SplitInput(BuildInput):
    """Rows that a build reads and does not learn from, such as those that choose a checkpoint.

    Attributes:
        ref: ``family/set:split[+split][#part]``.
    """

    ref: str

    def fingerprint(self, data: DataAccess) -> str:
        """Checksum of the rows."""
        return data.sha256(self.ref)

    def load(self, data: DataAccess) -> list[Row]:
        """Read the rows, in the file's order.

        Raises:
            DataError: They are missing, or differ from the catalog.
        """
        return data.rows(self.ref)


def joined(name: str, known: Collection[str]) -> list[str]:
    """Known names that one is joined of with ``+``, or the one name or path."""
    parts = name.split("+")
    return parts if all(part in known for part in parts) else [name]


def fingerprints(inputs: Mapping[str, BuildInput], data: DataAccess) -> dict[str, str]:
    """Identify all that a build reads, by the same keys.

    Raises:
        DataError: Some is missing or changed.
    """
    return {key: part.fingerprint(data) for key, part in inputs.items()}
