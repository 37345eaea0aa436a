"""Methods that misbehave on purpose, and how to register them for a test."""

from __future__ import annotations

import errno
import logging
import os
import time
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

from bench.core import registry
from bench.method import Method, MethodConfig, MethodInfo


class _Letters:
    def encode(self, texts, *, role=None):
        letters = "abcdefghijklmnopqrstuvwxyz"
        return np.array([[t.lower().count(c) + 0.1 for c in letters] for t in texts], np.float32)


class Stub(Method):
    """Counts letters."""

    info = MethodInfo(name="good", title="Letter counts", kind="static", requires=())

    class Config(MethodConfig):
        flag: Path = Path("none")
        count: int = 0

    def build(self, ctx):
        return _Letters()


class NanStub(Stub):
    """Encodes one text to NaN."""

    def build(self, ctx):
        class Encoder(_Letters):
            def encode(self, texts, *, role=None):
                vectors = super().encode(texts)
                vectors[0] = np.nan
                return vectors

        return Encoder()


class ShapeStub(Stub):
    """Returns one vector too many."""

    def build(self, ctx):
        class Encoder(_Letters):
            def encode(self, texts, *, role=None):
                return super().encode([*texts, "x"])

        return Encoder()


class CrashStub(Stub):
    """Raises something nobody expects."""

    def build(self, ctx):
        raise RuntimeError("the dog ate it")


class WarningStub(Stub):
    """Warns and logs as libraries do."""

    def build(self, ctx):
        from transformers.utils import logging as their_logging

        their_logging.get_logger("transformers.models").error("a model of old")
        logging.getLogger("some_library.part").warning("the first line\nthe second \x1b[31mred")
        for _ in range(2):
            warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)
        warnings.warn("call it otherwise", FutureWarning, stacklevel=1)
        return _Letters()


class DiskFullStub(Stub):
    """Runs out of disk."""

    def build(self, ctx):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class InterruptStub(Stub):
    """Is interrupted while it builds."""

    def build(self, ctx):
        raise KeyboardInterrupt


class SlowStub(Stub):
    """Touches its flag file at the second batch, then takes forever unless the file was there."""

    def build(self, ctx):
        flag = self.config.flag
        there = flag.exists()

        class Encoder(_Letters):
            calls = 0

            def encode(self, texts, *, role=None):
                Encoder.calls += 1
                if Encoder.calls == 2 and not there:
                    flag.touch()
                    time.sleep(60)
                return super().encode(texts)

        return Encoder()


STUBS = {
    "good": "Stub",
    "good2": "Stub",
    "nan": "NanStub",
    "shape": "ShapeStub",
    "crash": "CrashStub",
    "warning": "WarningStub",
    "diskfull": "DiskFullStub",
    "interrupt": "InterruptStub",
    "slow": "SlowStub",
}


def register() -> None:
    """Add the stubs to the registry of this process."""
    entries = registry._entries(registry.METHODS)
    for name, cls in STUBS.items():
        entries[name] = [EntryPoint(name, f"tests.support.stub_methods:{cls}", registry.METHODS)]


if __name__ == "__main__":
    from bench.cli.main import entry

    register()
    entry()
