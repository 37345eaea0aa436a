"""What there is to say of a suite, or of a group of them, from its TOML file."""

from __future__ import annotations

from bench.core.descriptions import DescribedTable, Description, table_of, told_of
from bench.core.registry import SUITES, owner
from bench.suite.data import Data
from bench.suite.kinds import TaskSpec
from bench.suite.loading import read_suite
from bench.suite.suite import Group, Suite

_TASKS = ["Task", "Kind", "Scored on", "Averaged", "mteb", "Data"]


def describe_suite(name: str) -> Description:
    """Say what the tasks of a suite are and what they read.

    Args:
        name: Registered name, or a path ending in ``.toml``.

    Raises:
        UsageError: Unknown name, or TOML that is malformed.
    """
    suite = read_suite(name)
    tables = _members(suite) if isinstance(suite, Group) else _tables(suite)
    return Description(
        kind="suite",
        name=name,
        title=suite.title,
        facts=_facts(name, suite),
        tables=tables,
        examples=(
            f"bench run --suite {name} --methods minilm",
            f"bench data fetch --suite {name} --to FOLDER",
        ),
    )


def _facts(name: str, suite: Suite | Group) -> dict[str, str]:
    if isinstance(suite, Group):
        return {"Suites": str(len(suite.suites)), **_origin(name)}
    scored = {spec.scored_as for spec in suite.tasks}
    return told_of(
        {
            "Convention": suite.convention,
            "Track": "supervised" if "predictions" in scored else "frozen",
            "Adds": ", ".join(suite.variants),
            "Profile": suite.profile,
            **_origin(name),
        }
    )


def _origin(name: str) -> dict[str, str]:
    return {} if name.endswith(".toml") else {"From": owner(SUITES, name)}


def _members(group: Group) -> tuple[DescribedTable, ...]:
    rows = [[name, read_suite(name).title] for name in group.suites]
    return table_of("Suites", ["Suite", "What it is"], rows)


def _tables(suite: Suite) -> tuple[DescribedTable, ...]:
    rows = [_row(suite, spec) for spec in suite.tasks]
    prompts = [[name, repr(prompt)] for name, prompt in suite.prompts.items()]
    return (
        *table_of("Tasks", _TASKS, rows),
        *table_of("Prompts", ["Of", "Before each text"], prompts),
    )


def _row(suite: Suite, spec: TaskSpec) -> list[str]:
    fields = spec.model_dump(exclude_defaults=True, include={"aggregation", "metric", "probe"})
    set_here = ", ".join(map(str, fields.values()))
    kind = f"{spec.kind} ({set_here})" if set_here else spec.kind
    data = "; ".join(
        _data(one) if part == "test" else f"{part} {_data(one)}"
        for part, one in spec.parts().items()
    )
    averaged = "yes" if spec.name in suite.average else "no"
    scored = " or ".join(spec.scored_from) if spec.scored_as == "vectors" else "predictions"
    return [spec.name, kind, scored, averaged, spec.mteb or "", data]


def _data(data: Data) -> str:
    if isinstance(data, str):
        return data
    facts = data.model_dump(exclude_none=True)
    keys = ("file", "url", "hub", "mteb", "beir")
    named = next((f"{key} {facts[key]}" for key in keys if key in facts), type(data).__name__)
    return f"{named}:{facts['split']}" if "split" in facts else named
