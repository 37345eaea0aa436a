"""``python -m bench``."""

from bench.cli.main import entry

entry()
