"""Data that a run needs and has not: fetched before it, or named where it may not be."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from bench.core.errors import DataError, UsageError
from bench.core.spec import MethodSpec
from bench.data.needs import Needs
from bench.execution.plan import check, outline
from bench.execution.settings import Settings
from bench.method import make_method
from bench.suite import Suite, default_profile
from bench.tasks.rows import ask_for_rows

_SHOWN = 3


def provide(
    suites: Sequence[Suite], specs: Sequence[MethodSpec], settings: Settings, command: str
) -> None:
    """Fetch what the methods need on the suites and is not here, into the cache.

    Args:
        suites: Suites of a run; none for the building of methods alone.
        specs: Methods of the run.
        settings: What the run shares.
        command: What fetches the same, see ``fetch_command``.

    Raises:
        UsageError: Unknown names, or bad options.
        DataError: Something cannot be fetched, or all is to be done offline.
    """
    if suites:
        check(suites, settings)
    needs = find_needs(suites, specs, settings)
    if not needs:
        return
    if needs.unpublished:
        told = [f"{label} is not here: {how}" for label, how in needs.unpublished.items()]
        raise DataError("; ".join(told))
    if not settings.data.may_fetch:
        raise DataError(missing(needs, command))
    settings.progress.note(f"data to download: {needs.size}")
    needs.fetch()


def find_needs(suites: Sequence[Suite], specs: Sequence[MethodSpec], settings: Settings) -> Needs:
    """What a run reads and is not on this machine.

    The run is planned with an access that reads nothing and notes all it is asked for, so that
    suites and methods, bases and corpora say what they need in one place alone.

    Raises:
        UsageError: Unknown names, or bad options.
        DataError: A checkpoint or a file is missing.
    """
    needs = Needs(settings.data)
    note_needs(needs, suites, specs, settings)
    return needs


def note_needs(
    needs: Needs, suites: Sequence[Suite], specs: Sequence[MethodSpec], settings: Settings
) -> None:
    """Ask an access that notes it for all that a run reads, see ``find_needs``."""
    methods = {str(spec): make_method(spec, settings.profile) for spec in specs}
    for suite, rows in outline(suites, specs, settings.profile):
        for task in suite.tasks:
            ask_for_rows(suite, task, needs)
        methods |= {str(spec): method for spec, method in rows}
    models = replace(settings, data=needs).models
    for method in methods.values():
        models.identity(method)


def fetch_command(suites: Sequence[str], methods: Sequence[str], profile: str) -> str:
    """The command that fetches what a run needs."""
    words = ["bench", "data", "fetch"]
    if suites:
        words += ["--suite", ",".join(suites)]
    words += ["--methods", ",".join(methods)]
    if profile != _usual_profile(suites):
        words += ["--profile", profile]
    return shlex.join(words)


def _usual_profile(suites: Sequence[str]) -> str | None:
    """The profile that need not be named, or None where one has to be."""
    try:
        return default_profile(suites)
    except UsageError:
        return None


def missing(needs: Needs, command: str) -> str:
    """One line on what is not here, and how to get it."""
    labels = [label for label in needs.labels if label not in needs.models]
    said = [*needs.models.values()][:1]
    if labels:
        first = ", ".join(labels[:_SHOWN])
        more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
        said.insert(
            0,
            f"{first}{more} ({needs.size}): not here, and cannot be fetched offline; pass --data "
            f"FOLDER (or set BENCH_DATA), or run with a network: {command}",
        )
    return "; ".join(said)
