"""Tasks that mteb loads and scores."""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import datasets
import mteb
import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from numpy.typing import NDArray

from bench.core.errors import CellError, DataError, first_line
from bench.core.libraries import quiet_libraries
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.suite import Convention, MtebSpec, StsSpec
from bench.suite.mteb import find_benchmark, find_task
from bench.tasks.base import TaskScore, Together, Vectors, VectorTask

Encode = Callable[[Sequence[str], str | None], NDArray[np.float32]]


class MtebTask(VectorTask[MtebSpec]):
    """A task that mteb loads and scores.

    mteb asks for vectors column by column, as it goes. A first pass with stand-in vectors learns
    which texts it asks for, so that they join the encoding plan like any others; the second pass
    looks the real vectors up.
    """

    kind = "mteb"

    def __init__(
        self, spec: MtebSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        quiet_libraries()
        logging.getLogger("mteb").setLevel(logging.ERROR)
        self._task = self._loaded()

    def _loaded(self) -> Any:
        name = self.spec.name
        task = self._found()
        if "test" in self.parts:
            rows = [{column: row[column] for column in StsSpec.required} for row in self.rows]
            task.dataset = datasets.DatasetDict(test=datasets.Dataset.from_list(rows))
            task.data_loaded = True
            return task
        try:
            task.load_data()
        except Exception as error:
            raise DataError(
                f"mteb cannot load {name}: {first_line(error)}; allow the hub once, or pass --data"
            ) from error
        return task

    def _found(self) -> Any:
        if self.spec.benchmark is None:
            return find_task(self.spec.name)
        tasks = find_benchmark(self.spec.benchmark).tasks
        return next(task for task in tasks if task.metadata.name == self.spec.name)

    def together(self) -> Together | None:
        """Both sentences of a pair where the rows are ours; else it is not known."""
        if "test" not in self.parts:
            return None
        together = {}
        for name, column in self.texts().items():
            row_of = {text: row for row, text in enumerate(column.texts)}
            members = [
                (row_of[row[side]], group)
                for group, row in enumerate(self.rows)
                for side in ("sentence1", "sentence2")
                if row[side] in row_of
            ]
            rows, groups = np.array(members, dtype=np.intp).reshape(-1, 2).T
            together[name] = (rows, groups)
        return together

    def item_rows(self) -> Sequence[Row]:
        """None: mteb gives no scores of single items."""
        return []

    def texts(self) -> Mapping[str, Column]:
        """Every distinct text that mteb asks for, by role."""
        return self._columns

    @cached_property
    def _columns(self) -> Mapping[str, Column]:
        seen: dict[str | None, dict[str, None]] = {}

        def stand_in(texts: Sequence[str], role: str | None) -> NDArray[np.float32]:
            seen.setdefault(role, {}).update(dict.fromkeys(texts))
            return np.stack([_noise(text) for text in texts])

        self._evaluate(stand_in)
        return {role or "text": Column(list(texts), role) for role, texts in seen.items()}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Let mteb score the vectors; there are no items to resample.

        Raises:
            CellError: mteb fails on them, or gives no score.
        """
        known = {
            column.role: dict(zip(column.texts, vectors[name], strict=True))
            for name, column in self.texts().items()
        }
        result = self._evaluate(lambda texts, role: np.stack([known[role][text] for text in texts]))
        main = float(result.get_score())
        if not np.isfinite(main):
            raise CellError(
                f"mteb scores {self.spec.name} as {main}, as where all vectors are equal"
            )
        return TaskScore(
            metric=self._task.metadata.main_score,
            main=main,
            metrics=dict(_flat(result.scores)),
            items=None,
            replicates=None,
            evidence=None,
        )

    def _evaluate(self, encode: Encode) -> Any:
        # Typed loosely, as mteb's protocol asks for arguments that it never passes.
        encoder: Any = FunctionEncoder(encode)
        try:
            with warnings.catch_warnings():
                # That a task has a newer version is known to who asked for this one.
                warnings.simplefilter("ignore", UserWarning)
                evaluated = mteb.evaluate(encoder, self._task, cache=None, show_progress_bar=False)
        except Exception as error:
            raise CellError(f"mteb failed on {self.spec.name}: {first_line(error)}") from error
        return evaluated.task_results[0]


def _noise(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(8, dtype=np.float32)


def _flat(scores: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[tuple[str, float]]:
    """Finite numbers of a task result under ``split/subset/metric``."""
    for split, subsets in scores.items():
        for subset in subsets:
            for metric, value in subset.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    yield f"{split}/{subset['hf_subset']}/{metric}", float(value)


class FunctionEncoder(AbsEncoder):
    """A function behind mteb's protocol."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": "sentence-bench/plan", "revision": "1"}
        )

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> NDArray[np.float32]:
        """Encode the texts of all batches, in order, to (n, d)."""
        texts = [text for batch in inputs for text in batch["text"]]
        return self._encode(texts, None if prompt_type is None else str(prompt_type.value))
