"""Methods by name: their classes, and methods made of specs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from bench.core.errors import UsageError, first_problem
from bench.core.files import is_folder
from bench.core.registry import METHODS, did_you_mean, entry_point, names, owner
from bench.core.spec import MethodSpec, parse_method_spec
from bench.method.contract import Method, MethodInfo

_given: dict[str, type[Method]] = {}


@contextmanager
def with_methods(classes: Mapping[str, type[Method]]) -> Iterator[None]:
    """Know some methods that nobody has registered, for a while.

    Args:
        classes: Their classes by name.

    Raises:
        UsageError: A method of that name is registered.
    """
    for name in classes:
        if name in known_methods():
            raise UsageError(
                f"{name!r} is the name of a method of the harness; name the object otherwise, as "
                f"in methods={{'my-{name}': …}}"
            )
    _given.update(classes)
    try:
        yield
    finally:
        for name in classes:
            del _given[name]


def known_methods() -> list[str]:
    """Names of all methods, sorted."""
    return sorted([*names(METHODS), *_given])


def method_class(name: str) -> type[Method]:
    """Load the class of a method.

    Raises:
        UsageError: The name is unknown, registered twice, or its module cannot be imported.
    """
    if name in _given:
        return _whole(name, _given[name], _given[name].__name__)
    entry = entry_point(METHODS, "method", name)
    try:
        loaded = entry.load()
    except Exception as error:
        raise UsageError(
            f"method {name!r} of {owner(METHODS, name)} cannot be loaded: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Method)):
        raise UsageError(f"method {name!r}: {entry.value} is not a subclass of bench.method.Method")
    return _whole(name, loaded, entry.value)


def _whole(name: str, cls: type[Method], place: str) -> type[Method]:
    """A class, unless it lacks what a method has to have."""
    if missing := sorted(cls.__abstractmethods__):
        raise UsageError(f"method {name!r}: {place} has no {' and no '.join(missing)}")
    return cls


def make_method(spec: MethodSpec, profile: str) -> Method:
    """Make the method that a spec names.

    Raises:
        UsageError: There is no such method, or see ``resolve``.
    """
    return resolve(method_class(spec.name), spec, profile)


def resolve(cls: type[Method], spec: MethodSpec, profile: str) -> Method:
    """Make the method of a spec: defaults, then the profile, then the spec's own options.

    Raises:
        UsageError: The method has no such option or no checkpoints, a value does not fit it, or an
            option does nothing beside the others.
    """
    _refuse_ignored(cls.info, spec)
    values: dict[str, Any] = dict(cls.profiles.get(profile, {}))
    fields = cls.Config.model_fields
    for key, value in spec.options:
        if key not in fields:
            hint = did_you_mean(key, fields) or f"it has: {', '.join(fields) or 'none'}"
            raise UsageError(f"{spec}: method {spec.name!r} has no option {key!r}; {hint}")
        values[key] = value
    try:
        config = cls.Config.model_validate(values)
    except ValidationError as error:
        place, message = first_problem(error)
        raise UsageError(f"{spec}: {place or 'options'}: {message}") from None
    idle = config.idle()
    for key, _ in spec.options:
        if key in idle:
            raise UsageError(f"{spec}: {key} does nothing here; {idle[key]}")
    return cls(config, spec.checkpoint, profile)


def _refuse_ignored(info: MethodInfo, spec: MethodSpec) -> None:
    """Refuse a checkpoint that would be ignored; transforms say themselves what to write."""
    loads = info.trains if info.loads_checkpoints is None else info.loads_checkpoints
    if spec.checkpoint is not None and not loads and info.kind != "transform":
        raise UsageError(
            f"{spec}: {spec.name} has no checkpoints; to load one, write sbert@{spec.checkpoint}"
        )


_METHOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def method_spec(name: str) -> MethodSpec | None:
    """Parse the name of a model that is the spec of a registered method; None for others.

    Raises:
        UsageError: It starts with the name of a method and is no spec.
    """
    head = _METHOD.match(name)
    if head is None or head.group() not in known_methods() or is_folder(name):
        return None
    return parse_method_spec(name)


def named_method(name: str, profile: str) -> Method | None:
    """Make the method that the name of a model is the spec of; None for other names.

    Raises:
        UsageError: It starts with the name of a method and is not a spec of it.
    """
    spec = method_spec(name)
    return make_method(spec, profile) if spec else None


def learns(method: Method) -> bool:
    """Whether a method is trained here, or made of one that is."""
    return any(learner.trains for learner in lineage(method))


def stand_ins(method: Method) -> dict[str, str]:
    """Published text that a method, or what it learns from, does not learn from.

    Returns:
        What is in the place of each.
    """
    return {
        text: instead for learner in lineage(method) for text, instead in learner.stand_ins.items()
    }


def lineage(method: Method) -> list[Method]:
    """A method, the methods among the models that it learns from, and theirs, each once.

    Raises:
        UsageError: A model's name starts with the name of a method and is not a spec of it.
    """
    ancestors: dict[str, Method] = {}
    waiting = [*method.parents]
    while waiting:
        name = waiting.pop()
        parent = None if name in ancestors else named_method(name, method.profile)
        if parent is not None:
            ancestors[name] = parent
            waiting += parent.parents
    return [method, *ancestors.values()]
