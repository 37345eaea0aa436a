"""What there is to say of a registered method, from its class, its settings and docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bench.core.defaults import PROFILES
from bench.core.descriptions import (
    NONE,
    DescribedTable,
    Description,
    doc_attributes,
    doc_text,
    table_of,
    told_of,
)
from bench.core.registry import METHODS, owner
from bench.core.spec import MethodSpec
from bench.data.build_inputs import BuildInput, TrainingSet
from bench.method.contract import Method, MethodInfo
from bench.method.named import method_class, method_spec, resolve, stand_ins

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}
_TYPES = {"integer": "whole number", "number": "number", "string": "text"}
_OUTPUTS = {
    "pairs": "a score of a pair of texts",
    "sparse": "a sparse vector of a text",
}


def describe_method(name: str) -> Description:
    """Say what a method is, what may be set, and what it reads.

    Raises:
        UsageError: The name is unknown, or its module cannot be imported.
    """
    cls = method_class(name)
    by_profile = {profile: resolve(cls, MethodSpec(name), profile) for profile in PROFILES}
    return Description(
        kind="method",
        name=name,
        title=cls.info.title,
        text=doc_text(cls),
        facts=_facts(name, cls.info),
        tables=(*_options(cls, by_profile), *_reads(by_profile)),
        examples=_examples(name, cls),
    )


def _facts(name: str, info: MethodInfo) -> dict[str, str]:
    paper = ", ".join(filter(None, [info.paper, str(info.year or "")]))
    return told_of(
        {
            "Paper": paper,
            "arXiv": info.arxiv,
            "Family": info.kind,
            "Gives": _OUTPUTS.get(info.output),
            "Trains": "yes" if info.trains else "no",
            "Loads": f"{name}@FOLDER or {name}@org/name" if _loads(info) else None,
            "Needs": ", ".join(info.requires),
            "From": owner(METHODS, name),
        }
    )


def _loads(info: MethodInfo) -> bool:
    return info.trains if info.loads_checkpoints is None else info.loads_checkpoints


def _options(cls: type[Method], by_profile: Mapping[str, Method]) -> tuple[DescribedTable, ...]:
    texts, schema = doc_attributes(cls.Config), cls.Config.model_json_schema()
    rows = []
    for option, facts in schema.get("properties", {}).items():
        default = _by_profile({p: getattr(one.config, option) for p, one in by_profile.items()})
        rows.append([option, _type(facts), default, texts.get(option, "")])
    return table_of("Options", ["Option", "Type", "Default", "What it is"], rows)


def _by_profile(values: Mapping[str, Any]) -> str:
    """A default, or each with the profiles that have it."""
    profiles: dict[str, list[str]] = {}
    for profile, value in values.items():
        profiles.setdefault(_written(value), []).append(profile)
    if len(profiles) == 1:
        return next(iter(profiles))
    return "; ".join(f"{value or NONE} ({', '.join(names)})" for value, names in profiles.items())


def _type(facts: Mapping[str, Any]) -> str:
    """A type in words, of what JSON schema says of it."""
    if "anyOf" in facts:
        kinds = [_type(one) for one in facts["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in facts or "const" in facts:
        return ", ".join(map(str, facts.get("enum", [facts.get("const")])))
    kind = facts.get("type", "")
    if kind == "array":
        return f"list of {_type(facts.get('items', {}))}"
    if kind == "boolean":
        return "true, false"
    bounds = [said.format(facts[bound]) for bound, said in _BOUNDS.items() if bound in facts]
    return " ".join([_TYPES.get(kind, kind or "any"), ", ".join(bounds)]).strip()


def _written(value: Any) -> str:
    """A value as a spec has it; empty for none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set | frozenset):
        return f"({','.join(map(str, value))})"
    return str(value)


def _reads(by_profile: Mapping[str, Method]) -> tuple[DescribedTable, ...]:
    rows: dict[tuple[str, str], list[str]] = {}
    for profile, method in by_profile.items():
        for what in _read_by(method):
            rows.setdefault(what, []).append(profile)
    listed = [
        [what, name, "all" if len(profiles) == len(PROFILES) else ", ".join(profiles)]
        for (what, name), profiles in rows.items()
    ]
    return table_of("What it reads, and downloads where it is not here", _READ, listed)


_READ = ["What", "Which", "In profile"]


def _read_by(method: Method) -> list[tuple[str, str]]:
    models = [
        ("method" if method_spec(name) else "folder or model of the hub", name)
        for name in method.parents
    ]
    data = []
    for key, part in method.reads().items():
        said = _input(part)
        data.append(("data" if key in said else f"data ({key})", said))
    absent = [("not there", f"{text}; read is {one}") for text, one in stand_ins(method).items()]
    return [*models, *data, *absent]


def _input(part: BuildInput) -> str:
    """Data that a build reads, by its fields and the data sets that it is of."""
    said: list[str] = []
    names: list[str] = [field.name for field in fields(part)] if is_dataclass(part) else []
    for name in names:
        value = getattr(part, name)
        if isinstance(value, str | int | float):
            # The first text is what it is called by.
            names_it = isinstance(value, str) and not said
            said.append(str(value) if names_it else f"{name}={value}")
    named = ", ".join(said)
    of = ", ".join(part.datasets) if isinstance(part, TrainingSet) else ""
    return f"{named} of {of}" if named and of and of not in named else named or of


def _examples(name: str, cls: type[Method]) -> tuple[str, ...]:
    info = cls.info
    if info.example is not None:
        return (f"bench run {info.example}",)
    from_file = owner(METHODS, name)
    called = from_file if ".py:" in from_file else name
    spec = called if not _loads(info) or info.trains else f"{called}@./my-model"
    return (f"bench run --suite {_SUITES[info.output]} --methods {spec}",)


_SUITES = {"vectors": "sts7", "pairs": "pairs", "sparse": "retrieval"}
