"""Method specs on the command line: ``name[@checkpoint][key=value,...]``.

A checkpoint or a value may stand in double quotation marks, behind ``@`` or ``=`` and up to the end
of it; commas and brackets within are its own, and ``""`` is one quotation mark.

A hub id or a folder in place of a name is a checkpoint of ``sbert``: ``org/name``,
``org/name@revision``, ``./folder``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from bench.core.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_PYTHON = re.compile(r".*\.py(:\w+)?")
# What loads a checkpoint that is named alone.
_LOADER = "sbert"
_OPENING = {"[": "]", "(": ")"}
_QUOTE = '"'
_QUOTED = re.compile('"(?:[^"]|"")*"')
_LABEL = "label"
LABEL_LENGTH = 80
_HINT = 'a folder whose name holds , [ or ] is quoted, as in sbert@"a,b"'


@dataclass(frozen=True)
class MethodSpec:
    """A parsed spec.

    Attributes:
        name: Registered name of the method.
        checkpoint: Folder or hub id to load instead of training, or None.
        options: Pairs of option name and text value, sorted by name.
        label: What the user calls it in tables (``label=…``), or None; no part of what it is.
    """

    name: str
    checkpoint: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    label: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        at = f"@{_written(self.checkpoint, _OPENING['['])}" if self.checkpoint else ""
        inner = ",".join(f"{key}={_written(value)}" for key, value in self.options)
        return f"{self.name}{at}[{inner}]" if inner else f"{self.name}{at}"

    def asked(self) -> str:
        """The spec as it was asked for, label included."""
        if self.label is None:
            return str(self)
        options = (*self.options, (_LABEL, self.label))
        return str(replace(self, options=tuple(sorted(options))))


def split_list(text: str) -> list[str]:
    """Split at commas that stand outside ``()``, ``[]`` and quotation marks.

    Raises:
        UsageError: A bracket or a quotation mark is not closed, or a bracket closes nothing.
    """
    return [part.strip() for part in _split(text) if part.strip()]


def _split(text: str) -> list[str]:
    """The same with the blanks around the parts."""
    parts, closers, start = [], [""], 0
    for position, char in _unquoted(text):
        if char in _OPENING:
            closers.append(_OPENING[char])
        elif char in _OPENING.values():
            if closers.pop() != char or not closers:
                raise UsageError(f"unbalanced {char!r} in {text!r}; {_HINT}")
        elif char == "," and len(closers) == 1:
            parts.append(text[start:position])
            start = position + 1
    if len(closers) != 1:
        raise UsageError(f"missing {closers[-1]!r} in {text!r}; {_HINT}")
    return [*parts, text[start:]]


def parse_method_spec(text: str) -> MethodSpec:
    """Parse one spec, e.g. ``sct[queue_size=512]``, ``simcse@./folder`` or ``org/name@revision``.

    Raises:
        UsageError: The text is not of the form ``name[@checkpoint][key=value,...]``, and is neither
            a hub id nor a folder.
    """
    head, inner = text.strip(), ""
    cut = next((position for position, char in _unquoted(head) if char == "["), None)
    if cut is not None and head.endswith("]"):
        head, inner = head[:cut], head[cut + 1 : -1]
    name, checkpoint, revision = _named(head, text)
    options: dict[str, str] = {} if revision is None else {"revision": revision}
    for part in filter(str.strip, _split(inner)):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"bad option {part!r} in {text!r}: expected key=value; {_HINT}")
        if key.strip() in options:
            raise UsageError(f"option {key.strip()!r} is given twice in {text!r}")
        if value != value.rstrip() and not value.lstrip().startswith(_QUOTE):
            raise UsageError(
                f"{key.strip()}={value!r} in {text!r} ends with a blank; quote it if that counts, "
                f'as in prompt="query: ", or leave it out'
            )
        options[key.strip()] = _read(value.strip())
    label = options.pop(_LABEL, None)
    if label is not None and not 1 <= len(label) <= LABEL_LENGTH:
        raise UsageError(f"label {label!r} in {text!r}: give 1 to {LABEL_LENGTH} characters")
    return MethodSpec(name, checkpoint, tuple(sorted(options.items())), label)


def _named(head: str, text: str) -> tuple[str, str | None, str | None]:
    """Method, checkpoint and revision of a spec without its options.

    This is the one place that says what stands for a method that is not named.

    Raises:
        UsageError: It is none of all this.
    """
    name, at, checkpoint = head.partition("@")
    if NAME.fullmatch(name) and not _PYTHON.fullmatch(name) and (checkpoint or not at):
        return name, _read(checkpoint) or None, None
    if _PYTHON.fullmatch(head):
        raise UsageError(
            f"{text!r} is a file of Python, which runs only where a command or a call names it; "
            "not where a suite, a claim or a record does"
        )
    hub = _HUB_ID.fullmatch(head)
    if hub is not None and head[0] not in ".~":
        return _LOADER, hub[1], hub[2]
    if head in (".", "..") or "/" in head or os.sep in head:
        return _LOADER, os.path.expanduser(head), None  # noqa: PTH111 - "./" is to stay
    raise UsageError(
        f"bad method spec {text!r}: expected name[@checkpoint][key=value,...]; {_HINT}"
    )


def _unquoted(text: str) -> Iterator[tuple[int, str]]:
    """Positions and characters of a text, without what stands in quotation marks.

    Raises:
        UsageError: A quotation mark is not closed.
    """
    position = 0
    while position < len(text):
        char = text[position]
        if char == _QUOTE and text[:position].rstrip().endswith(("@", "=")):
            quoted = _QUOTED.match(text, position)
            if quoted is None:
                raise UsageError(f"a quotation mark in {text!r} is not closed")
            position = quoted.end()
        else:
            yield position, char
            position += 1


def _read(value: str) -> str:
    """A checkpoint or a value without the quotation marks around it."""
    if not _QUOTED.fullmatch(value):
        return value
    return value[1:-1].replace(_QUOTE * 2, _QUOTE)


def _written(value: str, also: str = "") -> str:
    """A checkpoint or a value as it is read again, quoted where it has to be.

    Args:
        value: The checkpoint or value.
        also: A character that may not stand in it without quotation marks.
    """
    try:
        plain = split_list(f"={value}") == [f"={value}"] and _read(value) == value
    except UsageError:
        plain = False
    # Before another value in quotation marks its own would not end where they do alone.
    opens = value.startswith(_QUOTE)
    if plain and not opens and not (also and also in value) and value == value.strip():
        return value
    return f"{_QUOTE}{value.replace(_QUOTE, _QUOTE * 2)}{_QUOTE}"


def wrapping(text: str, wrapped: MethodSpec) -> MethodSpec:
    """Parse the spec of a transform that names no model, and add ``of=…``.

    Raises:
        UsageError: The text is not a spec, or names the model that it transforms.
    """
    spec = parse_method_spec(text)
    if spec.checkpoint is not None or "of" in dict(spec.options):
        raise UsageError(f"{text!r} already names what it wraps; leave out of= and @")
    return MethodSpec(spec.name, None, tuple(sorted([*spec.options, ("of", str(wrapped))])))


def has_base(text: str) -> bool:
    """Whether a spec names a base or a checkpoint.

    Raises:
        UsageError: The text is not a spec.
    """
    spec = parse_method_spec(text)
    return spec.checkpoint is not None or "base" in dict(spec.options)


def on_base(text: str, base: str) -> str:
    """Add ``base=…`` to a spec that names neither a base nor a checkpoint.

    Raises:
        UsageError: The text is not a spec.
    """
    return with_defaults(text, {"base": base})


def with_defaults(text: str, values: Mapping[str, str]) -> str:
    """Add options that a spec without a checkpoint does not name itself.

    Raises:
        UsageError: The text is not a spec.
    """
    spec = parse_method_spec(text)
    if spec.checkpoint is not None or values.keys() <= dict(spec.options).keys():
        return text
    return str(MethodSpec(spec.name, None, tuple(sorted({**values, **dict(spec.options)}.items()))))


def is_called(method: str, spec: str, label: str | None) -> bool:
    """Whether a method is meant by a label, a spec, or a name with whatever options.

    Args:
        method: What is asked for.
        spec: Spec of the method.
        label: What its user calls it, or None.
    """
    if method in {label, spec}:
        return True
    try:
        asked, own = parse_method_spec(method), parse_method_spec(spec)
    except UsageError:
        # The names of some models of mteb are no specs.
        return False
    if str(asked) == spec:
        return True
    # Those of others stand for a checkpoint of a method that they do not name.
    return str(asked) == asked.name == own.name and spec.startswith(own.name)
