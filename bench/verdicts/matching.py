"""Which records methods are meant by, and which of them are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.core.errors import DataError, UsageError
from bench.core.files import is_file, is_folder
from bench.core.registry import did_you_mean
from bench.core.spec import parse_method_spec
from bench.method.files import with_files
from bench.records.entries import GroupKey, Record
from bench.records.files import StoredRecord, find_records, read_record, without_repeats
from bench.verdicts.difference import Comparison, compare
from bench.verdicts.side import Side

# Suite, and the group of a record, whose setup comes last.
MethodKey = tuple[str, *GroupKey]


def compare_pairs(pairs: Mapping[str, Sequence[tuple[Side, Side]]]) -> dict[str, list[Comparison]]:
    """Compare the sides of each pair, by suite.

    Raises:
        DataError: Two sides were not scored on the same rows.
    """
    return {name: [compare(a, b) for a, b in of_suite] for name, of_suite in pairs.items()}


def pairs_of(
    sides: Sequence[Mapping[str, Side]], methods: Sequence[str]
) -> dict[str, list[tuple[Side, Side]]]:
    """Every method with the last of them, by suite.

    Raises:
        DataError: A method has no suite in common with it.
    """
    *others, against = sides
    for method, side in zip(methods, others, strict=False):
        if not side.keys() & against.keys():
            raise DataError(
                f"{method} and {methods[-1]} have no suite in common; 'bench run' them on the same "
                "one first"
            )
    return {
        name: [(side[name], against[name]) for side in others if name in side]
        for name in dict.fromkeys(name for side in others for name in side)
        if name in against
    }


def sides_of(
    wanted: str,
    folders: Sequence[Path],
    suites: Sequence[str] | None = None,
    profile: str | None = None,
) -> dict[str, Side]:
    """The records that a method is meant by, by suite.

    Args:
        wanted: Spec, label, a record's file, or a folder of one method.
        folders: Folders of records where it is a spec or a label; ``results/runs`` where empty.
        suites: Only these suites.
        profile: Only records of this profile.

    Raises:
        UsageError: Several methods are meant on a suite.
        DataError: There are none, a folder does not exist, or a record is damaged.
    """
    place, file = Path(wanted), is_file(wanted)
    # A folder of a model is a method, and holds no records.
    is_model = any((place / name).is_file() for name in ("modules.json", "config.json"))
    folder = is_folder(wanted) and not is_model
    paths = [place] if file else find_records([place] if folder else folders)
    stored = [(path, read_record(path)) for path in paths]
    if file or folder:
        return _by_suite(wanted, stored, suites, profile)
    return sides_among(wanted, stored, suites, profile)


def sides_among(
    wanted: str,
    stored: Sequence[StoredRecord],
    suites: Sequence[str] | None = None,
    profile: str | None = None,
) -> dict[str, Side]:
    """The records among some that a spec or a label means, by suite.

    Raises:
        UsageError: Several methods are meant on a suite.
        DataError: There are none.
    """
    meant = called(wanted, stored)
    known = [record.method.label or record.method.spec for _, record in stored]
    if not meant and (hint := did_you_mean(wanted, dict.fromkeys(known))):
        raise DataError(f"no records of {wanted}; {hint}")
    return _by_suite(wanted, meant, suites, profile)


def called(wanted: str, stored: Sequence[StoredRecord]) -> list[StoredRecord]:
    """Records of a spec or a label.

    Raises:
        UsageError: It is neither.
    """
    known = {wanted, str(parse_method_spec(with_files(wanted)))}
    return [entry for entry in stored if known & {entry[1].method.spec, entry[1].method.label}]


def _by_suite(
    wanted: str,
    stored: Sequence[StoredRecord],
    suites: Sequence[str] | None,
    profile: str | None,
) -> dict[str, Side]:
    """One method's records by suite.

    Raises:
        UsageError: There are several methods on a suite.
        DataError: There are none.
    """
    by_suite: dict[str, dict[GroupKey, list[StoredRecord]]] = {}
    asked = [entry for entry in stored if profile in (None, entry[1].profile)]
    for path, record in without_repeats(asked):
        if suites is None or record.suite in suites:
            groups = by_suite.setdefault(record.suite, {})
            groups.setdefault(record.group, []).append((path, record))
    for name, groups in by_suite.items():
        if len(groups) > 1:
            several = ", ".join(_described(*key) for key in groups)
            raise UsageError(
                f"{wanted} matches several methods on {name}: {several}; name one spec "
                "and --profile, or a record's file"
            )
    if not by_suite:
        where = f" on {', '.join(suites)}" if suites is not None else ""
        raise DataError(f"no records of {wanted}{where}; 'bench table' shows what there is")
    return {name: Side(next(iter(groups.values()))) for name, groups in by_suite.items()}


def method_key(record: Record) -> MethodKey:
    """Suite and method of a record."""
    return record.suite, *record.group


def by_method(stored: Iterable[StoredRecord]) -> dict[MethodKey, list[StoredRecord]]:
    """Records by suite and method, without what an untrained one did under one more profile."""
    methods: dict[MethodKey, list[StoredRecord]] = {}
    for path, record in without_repeats(stored):
        methods.setdefault(method_key(record), []).append((path, record))
    return methods


def counterpart(
    record: Record, others: Mapping[MethodKey, Sequence[StoredRecord]]
) -> MethodKey | None:
    """The key of the same method among others.

    A method that was not trained is the same under another profile, where that sets it alike.

    Args:
        record: A record of the method.
        others: Other records by suite and method.

    Returns:
        The key, or None where the method is not among them.
    """
    key = method_key(record)
    if key in others:
        return key
    if record.method.trained:
        return None
    suite, spec, _, *rest = key
    alike = [
        other
        for other, of_other in others.items()
        if (other[0], other[1], *other[3:]) == (suite, spec, *rest)
        and not of_other[0][1].method.trained
        and of_other[0][1].method.config == record.method.config
    ]
    return alike[0] if len(alike) == 1 else None


def _described(spec: str, profile: str, limit: int | None, setup: str) -> str:
    named = f"{spec} {profile}" + (f" --limit {limit}" if limit is not None else "")
    return f"{named} ({setup})" if setup else named
