"""Method specs on the command line: ``name[@checkpoint][key=value,...]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OPENING = {"[": "]", "(": ")"}


@dataclass(frozen=True)
class MethodSpec:
    """A parsed spec.

    Attributes:
        name: Registered name of the method.
        checkpoint: Folder or hub id to load instead of training, or None.
        options: Pairs of option name and text value, sorted by name.
    """

    name: str
    checkpoint: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        at = f"@{self.checkpoint}" if self.checkpoint else ""
        inner = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}{at}[{inner}]" if inner else f"{self.name}{at}"


def split_list(text: str) -> list[str]:
    """Split at commas that stand outside ``()`` and ``[]``.

    Raises:
        UsageError: A bracket is not closed, or closes nothing.
    """
    parts, closers, start = [], [""], 0
    for position, char in enumerate(text):
        if char in _OPENING:
            closers.append(_OPENING[char])
        elif char in _OPENING.values():
            if closers.pop() != char or not closers:
                raise UsageError(f"unbalanced {char!r} in {text!r}")
        elif char == "," and len(closers) == 1:
            parts.append(text[start:position])
            start = position + 1
    if len(closers) != 1:
        raise UsageError(f"missing {closers[-1]!r} in {text!r}")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def parse_method_spec(text: str) -> MethodSpec:
    """Parse one spec, e.g. ``sct[queue_size=512]`` or ``simcse@./folder``.

    Raises:
        UsageError: The text is not of the form ``name[@checkpoint][key=value,...]``.
    """
    head, inner = text.strip(), ""
    if head.endswith("]") and "[" in head:
        cut = head.index("[")
        head, inner = head[:cut], head[cut + 1 : -1]
    name, at, checkpoint = head.partition("@")
    if not _NAME.fullmatch(name) or (at and not checkpoint):
        raise UsageError(f"bad method spec {text!r}: expected name[@checkpoint][key=value,...]")
    options: dict[str, str] = {}
    for part in split_list(inner):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"bad option {part!r} in {text!r}: expected key=value")
        if key.strip() in options:
            raise UsageError(f"option {key.strip()!r} is given twice in {text!r}")
        options[key.strip()] = value.strip()
    return MethodSpec(name, checkpoint or None, tuple(sorted(options.items())))


def wrapping(text: str, wrapped: MethodSpec) -> MethodSpec:
    """Parse the spec of a transform that names no model, and add ``of=…``.

    Raises:
        UsageError: The text is no spec, or names the model that it transforms.
    """
    spec = parse_method_spec(text)
    if spec.checkpoint is not None or "of" in dict(spec.options):
        raise UsageError(f"{text!r} already names what it wraps; leave out of= and @")
    return MethodSpec(spec.name, None, tuple(sorted([*spec.options, ("of", str(wrapped))])))


def on_base(text: str, base: str) -> str:
    """Add ``base=…`` to a spec that names neither a base nor a checkpoint.

    Raises:
        UsageError: The text is no spec.
    """
    spec = parse_method_spec(text)
    if spec.checkpoint is not None or "base" in dict(spec.options):
        return text
    return str(MethodSpec(spec.name, None, tuple(sorted([*spec.options, ("base", base)]))))
