"""Methods in files of Python that a user names: ``my_method.py:MyMethod``.

Such a file runs where it is named on the command line or in a call, and nowhere else. Its method is
registered in this process under the name in its ``info``, as that of a package would be, so that
specs, records and tables say that name and not where the file lay.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from bench.core.errors import UsageError, first_line
from bench.core.files import remove_folder, write_atomic
from bench.core.fingerprint import fingerprint
from bench.core.registry import METHODS, did_you_mean, register
from bench.core.sources import imported, source_file
from bench.core.spec import NAME
from bench.method.contract import Method, MethodInfo

# A file alone only at the start of a spec: within one, a value that ends in .py may be anything.
_NAMED = re.compile(r"(^|(?<=[=(,]))\s*([^\[\](),=\"@]+\.py):(\w+)(?=$|[\[\](),@])")
_ALONE = re.compile(r"^\s*([^\[\](),=\"@]+\.py)(?=$|\s*\[)")
_PREFIX = "bench_file_"


@dataclass(frozen=True)
class MethodFile:
    """A file of a method, as other processes are told of it.

    Attributes:
        path: Absolute path.
        cls: Name of the class.
        contents: Text of the file and of those beside it that it imports, by relative path.
    """

    path: str
    cls: str
    contents: Mapping[str, str]

    def dump(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """What ``dump`` has written down."""
        return cls(**dumped)

    def register(self) -> None:
        """Load the method from its place, or from a copy where this machine has not the same."""
        path = Path(self.path)
        if not all(_holds(path.parent / name, text) for name, text in self.contents.items()):
            folder = Path(tempfile.mkdtemp(prefix="bench-method-"))
            atexit.register(remove_folder, folder)
            for name, text in self.contents.items():
                write_atomic(folder / name, text.encode())
            path = folder / path.name
        load_method_file(path, self.cls)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


# Name of the module that was made of a file, and what is told of it, by path and class.
_loaded: dict[tuple[Path, str], tuple[str, MethodFile]] = {}
# Modules and packages in the folder of a file, by the module that was made of it.
_neighbours: dict[str, tuple[str, ...]] = {}
# What was imported from beside a file, as it was then.
_imported: dict[Path, str] = {}


def method_files() -> list[MethodFile]:
    """The files that were named so far."""
    return [told for _, told in _loaded.values()]


def with_files(text: str) -> str:
    """Load the files of Python that a spec names.

    Args:
        text: A spec, such as ``truncate[dim=8,of=./my_method.py:MyMethod]``.

    Returns:
        The spec with the names of their methods, ``truncate[dim=8,of=my-method]``.

    Raises:
        UsageError: There is no such file, it cannot be imported, has no such class, or its class
            is no method or has the name of another one.
    """
    text = _ALONE.sub(lambda match: load_method_file(Path(match[1]), None), text)
    return _NAMED.sub(lambda match: load_method_file(Path(match[2]), match[3]), text)


def load_method_file(path: Path, cls: str | None) -> str:
    """Import a file and register a method of it.

    Args:
        path: The file.
        cls: Name of the class, or None for the only one.

    Returns:
        Name of the method.

    Raises:
        UsageError: See ``with_files``.
    """
    place = path.expanduser().resolve()
    if not place.is_file():
        raise UsageError(f"{path}: there is no such file; a method is named FILE.py:CLASS")
    module = _import(path, place)
    method = _class(path, module, cls)
    info = getattr(method, "info", None)
    if not isinstance(info, MethodInfo) or not NAME.fullmatch(info.name):
        raise UsageError(
            f"{path}: {method.__name__} has no info = MethodInfo(...) with a name of letters, "
            "digits, hyphens, points and underscores"
        )
    entry = EntryPoint(info.name, f"{module.__name__}:{method.__name__}", METHODS)
    register(entry, f"{place}:{method.__name__}")
    _neighbours[module.__name__] = _beside(place)
    contents = _files_of(path, place, module.__name__)
    told = MethodFile(str(place), method.__name__, contents)
    _loaded[place, method.__name__] = module.__name__, told
    return info.name


def beside(module: str) -> tuple[str, ...]:
    """Modules and packages in the folder of a file that was named; none of any other module."""
    return _neighbours.get(module, ())


def _beside(place: Path) -> tuple[str, ...]:
    names: set[str] = set()
    # Who may not list a folder may read a file there.
    with suppress(PermissionError), os.scandir(place.parent) as entries:
        names |= {
            entry.name.removesuffix(".py")
            for entry in entries
            if entry.name.endswith(".py")
            or (entry.is_dir() and Path(entry.path, "__init__.py").is_file())
        }
    return tuple(sorted(names - {place.stem, "bench", *sys.stdlib_module_names}))


def _import(path: Path, place: Path) -> ModuleType:
    """Import a file; one that has changed since is imported again, as another module."""
    name = _PREFIX + fingerprint([str(place), place.read_bytes().hex()])[:16]
    if name in sys.modules:
        return sys.modules[name]
    # Behind all else, so that no file there takes the place of a library.
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(_failed(path, place, error)) from error
    return module


def _failed(path: Path, place: Path, error: BaseException) -> str:
    """One line on why a file cannot be imported, with the line of it that is at fault."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(place)
    ]
    line: int | None = lines[-1] if lines else None
    if isinstance(error, SyntaxError) and error.filename == str(place):
        line = error.lineno
    where = f"{path}:{line}" if line is not None else str(path)
    return f"{where}: {type(error).__name__}: {first_line(error)}"


def _class(path: Path, module: ModuleType, name: str | None) -> type[Method]:
    """The class of a name in a module, or the only method there.

    Raises:
        UsageError: There is none, or it is no method.
    """
    there = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    }
    listed = f"it has {', '.join(there)}" if there else "it has no subclass of bench.method.Method"
    if name is None:
        if len(there) != 1:
            raise UsageError(f"{path}: name its class, {path}:CLASS; {listed}")
        return next(iter(there.values()))
    named = getattr(module, name, None)
    if named is None:
        hint = did_you_mean(name, there) or listed
        raise UsageError(f"{path} has no class {name!r}; {hint}")
    if not (isinstance(named, type) and issubclass(named, Method)):
        raise UsageError(f"{path}: {name} is no subclass of bench.method.Method; {listed}")
    return named


def _files_of(path: Path, place: Path, module: str) -> dict[str, str]:
    """Text of a file and of those beside it that it imports, by path from its folder.

    Raises:
        UsageError: It imports something from beside it that has the name of an installed package,
            or it is not UTF-8, or something beside has changed since it was imported.
    """
    names = imported(module, beside(module))
    files = {place.name: place}
    for name in names:
        file = source_file(name)
        if not file.is_relative_to(place.parent):
            raise UsageError(
                f"{path} imports {name}, which is beside it and at {file} too; rename one of them"
            )
        files[file.relative_to(place.parent).as_posix()] = file
    try:
        texts = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    except UnicodeDecodeError:
        raise UsageError(f"{path}, or what it imports beside it, is not UTF-8") from None
    for name, text in texts.items():
        if name != place.name and _imported.setdefault(files[name], text) != text:
            raise UsageError(
                f"{path}: {name} has changed since it was imported here; start Python anew"
            )
    return texts
