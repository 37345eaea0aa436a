"""Trainings that a run would make, and the memory of each: computed, and none of it tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.compute import FULL
from bench.core.errors import DataError
from bench.execution.settings import Settings
from bench.method import Method, TrainingLoad, lineage, named_method
from bench.models.checkpoints import find_folder
from bench.models.sizes import PUBLISHED, Shape, read_shape, training_memory

_GB, _MILLION = 1_000_000_000, 1_000_000
_FP32, _HALF = 4, 2
_UNKNOWN = "its size, and so the memory, is not known here"


def trainings(methods: Sequence[Method], settings: Settings) -> list[str]:
    """Say what is trained for some methods, what each comes after first, and what memory it takes.

    Models that are only encoded with have a line too.

    Args:
        methods: The methods.
        settings: Profile and precision of the run.
    """
    every = [one for method in methods for one in reversed(lineage(method))]
    return [*dict.fromkeys(line for method in every for line in _lines(method, settings))]


def _lines(method: Method, settings: Settings) -> Iterator[str]:
    name, loads = method.info.name, method.trainings
    for text, instead in method.stand_ins.items():
        yield f"instead  {name}: {instead} for {text}"
    for start, load in loads.items():
        below = named_method(start, settings.profile)
        yield (
            f"to train  {name} from {below.info.name if below else start}, {load.texts} texts of "
            f"up to {load.tokens} tokens a step: {_training(start, load, settings)}"
        )
    if method.trains and method.info.trains and not loads and not _is_made_of(method, settings):
        yield f"to train  {name}: {_UNKNOWN}"
    for parent in method.parents:
        if parent not in loads and named_method(parent, settings.profile) is None:
            yield f"to load  {parent} for {name}: {_loading(parent, settings)}"


def _is_made_of(method: Method, settings: Settings) -> bool:
    """Whether a method only joins what was trained under the names of its parents."""
    parents = [named_method(name, settings.profile) for name in method.parents]
    return any(type(parent) is type(method) for parent in parents)


def _training(start: str, load: TrainingLoad, settings: Settings) -> str:
    if (shape := _shape(start, settings)) is None:
        return _UNKNOWN
    size = _FP32 if settings.train_precision == FULL else _HALF
    memory = training_memory(shape, load, number_bytes=size)
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "Adam": memory.optimizer,
        "activations": memory.activations,
    }
    words = ", ".join(f"{name} {_gigabytes(part)}" for name, part in parts.items())
    return f"about {_gigabytes(memory.total)} GB ({_parameters(shape)}; {words})"


def _loading(name: str, settings: Settings) -> str:
    if (shape := _shape(name, settings)) is None:
        return _UNKNOWN
    return f"{_gigabytes(_FP32 * shape.parameters)} GB in fp32 ({_parameters(shape)})"


def _shape(name: str, settings: Settings) -> Shape | None:
    """Sizes of a model: those of the base that it is trained from, or of its files."""
    method = named_method(name, settings.profile)
    if method is not None:
        return _shape(method.parents[0], settings) if method.parents else None
    repository = name.partition("@")[0]
    if repository in PUBLISHED:
        return PUBLISHED[repository]
    try:
        return read_shape(find_folder(name, offline=True))
    except DataError:
        return None


def _gigabytes(size: int) -> str:
    return f"{size / _GB:.1f}"


def _parameters(shape: Shape) -> str:
    return f"{shape.parameters / _MILLION:.0f} M parameters"
