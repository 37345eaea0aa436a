"""mteb's tasks as suites of ours, and our methods as models of mteb."""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import mteb
import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from numpy.typing import NDArray

from bench.api import build_method
from bench.core.errors import CellError, DataError, UsageError, first_line
from bench.core.progress import quiet_libraries
from bench.core.registry import did_you_mean
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.method import Built
from bench.plan import Settings, encode
from bench.suite import MTEB_PREFIX, Convention, MtebSpec, StsSpec, Suite
from bench.tasks.base import Task, TaskScore, Vectors

# STS tasks whose test rows are those of sets in datasets.toml.
_SAME_ROWS = {
    **{f"STS{year}": f"sts/sts{year}:test" for year in range(12, 17)},
    "STSBenchmark": "sts/stsb:test",
    "SICK-R": "sts/sick:train+trial+test",
}
_Encode = Callable[[Sequence[str], str | None], NDArray[np.float32]]


def make_suite(name: str) -> Suite:
    """Make a suite of tasks of mteb.

    Args:
        name: ``mteb:[STS12,SICK-R]``, or ``mteb:`` and the name of a benchmark.

    Raises:
        UsageError: mteb knows no such task or benchmark.
    """
    wanted = name.removeprefix(MTEB_PREFIX)
    if wanted.startswith("[") and wanted.endswith("]"):
        tasks = [_get_task(one.strip()) for one in wanted[1:-1].split(",") if one.strip()]
        benchmark = None
    else:
        tasks = list(_get_benchmark(wanted).tasks)
        benchmark = wanted
    specs = [_spec(task, benchmark) for task in tasks]
    if not specs:
        raise UsageError(f"suite {name!r} names no task")
    return Suite(
        name=name,
        title="Tasks of mteb, scored by mteb",
        convention="mteb",
        tasks=tuple(specs),
        average=tuple(spec.name for spec in specs),
        path=Path(),
    )


def _spec(task: Any, benchmark: str | None) -> MtebSpec:
    name = task.metadata.name
    return MtebSpec(
        kind="mteb",
        name=name,
        revision=str(task.metadata.dataset["revision"]),
        benchmark=benchmark,
        data=_SAME_ROWS.get(name),
    )


def _get_task(name: str) -> Any:
    try:
        return mteb.get_task(name)
    except KeyError:
        known = [task.metadata.name for task in mteb.get_tasks()]
        hint = did_you_mean(name, known) or "mteb.get_tasks() lists them"
        raise UsageError(f"unknown task of mteb {name!r}; {hint}") from None


def _get_benchmark(name: str) -> Any:
    try:
        return mteb.get_benchmark(name)
    except KeyError:
        known = [benchmark.name for benchmark in mteb.get_benchmarks()]
        hint = did_you_mean(name, known) or "write tasks as mteb:[STS12,SICK-R]"
        raise UsageError(f"unknown benchmark of mteb {name!r}; {hint}") from None


class MtebTask(Task[MtebSpec]):
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
            return _get_task(self.spec.name)
        tasks = _get_benchmark(self.spec.benchmark).tasks
        return next(task for task in tasks if task.metadata.name == self.spec.name)

    def item_rows(self) -> Sequence[Row]:
        """None: mteb tells nothing of single items."""
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
            CellError: mteb fails on them.
        """
        known = {
            column.role: dict(zip(column.texts, vectors[name], strict=True))
            for name, column in self.texts().items()
        }
        result = self._evaluate(lambda texts, role: np.stack([known[role][text] for text in texts]))
        return TaskScore(
            metric=self._task.metadata.main_score,
            main=float(result.get_score()),
            metrics=dict(_flat(result.scores)),
            items=None,
            replicates=None,
        )

    def _evaluate(self, encode: _Encode) -> Any:
        # Typed loosely, as mteb's protocol asks for arguments that it never passes.
        encoder: Any = _FunctionEncoder(encode)
        try:
            with warnings.catch_warnings():
                # That a task has a newer version is known to who asked for this one.
                warnings.simplefilter("ignore", UserWarning)
                found = mteb.evaluate(encoder, self._task, cache=None, show_progress_bar=False)
        except Exception as error:
            raise CellError(f"mteb failed on {self.spec.name}: {first_line(error)}") from error
        return found.task_results[0]


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


class _FunctionEncoder(AbsEncoder):
    """A function behind mteb's protocol."""

    def __init__(self, encode: _Encode) -> None:
        self._encode = encode
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": "sentence-bench/plan", "revision": "1"}
        )

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> NDArray[np.float32]:
        """Encode the texts of all batches, in order, to (n, d)."""
        texts = [text for batch in inputs for text in batch["text"]]
        return self._encode(texts, None if prompt_type is None else str(prompt_type.value))


class MethodEncoder(_FunctionEncoder):
    """A built method as a model of mteb; each distinct text is encoded once for all tasks.

    Attributes:
        texts: Texts that mteb asked for.
        encoded: Texts of these that were encoded, all others having come from the store.
    """

    def __init__(self, spec: str, built: Built, settings: Settings) -> None:
        super().__init__(self._planned)
        self._built, self._settings = built, settings
        self.texts = self.encoded = 0
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": f"sentence-bench/{spec}", "revision": built.fingerprint}
        )

    def _planned(self, texts: Sequence[str], role: str | None) -> NDArray[np.float32]:
        found = encode(self._built, {("mteb", "text"): Column(texts, role)}, self._settings)
        self.texts += found.texts
        self.encoded += found.encoded
        return found.vectors["mteb", "text"]


def as_mteb_encoder(method: str, **options: Any) -> MethodEncoder:
    """Make a method a model for ``mteb.evaluate``, training it first if it trains.

    Args:
        method: Method spec, e.g. ``sct`` or ``simcse[lr=1e-4]``.
        options: Those of ``bench.api.build_method``: ``seed``, ``profile``, ``device``, ``data``
            and ``offline``.

    Raises:
        UsageError: Unknown method or bad options.
        DataError: Data or a checkpoint is missing or changed.
    """
    return MethodEncoder(method, *build_method(method, **options))
