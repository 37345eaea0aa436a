"""What records on disk say, as functions: tables, comparisons, gates and claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.displayed import ClaimsResult, CompareResult, GateResult, TableResult
from bench.api.results import frame_of, refuse_single, selected
from bench.core.errors import DataError, UsageError
from bench.records.files import DEFAULT_OUTPUT, find_records, read_record
from bench.report.claims import select_answers
from bench.report.columns import DIGITS
from bench.report.gate import judge
from bench.report.selection import TableSelection
from bench.report.table import load_tables
from bench.verdicts.answers import answer_packaged
from bench.verdicts.claims import answer_papers, read_all
from bench.verdicts.matching import compare_pairs, pairs_of, sides_of
from bench.verdicts.papers import load_papers

if TYPE_CHECKING:
    import pandas as pd


def load_records(*folders: str | Path) -> pd.DataFrame:
    """Read all records below some folders as a frame, see ``RunResult.to_frame``.

    Raises:
        DataError: A folder does not exist, or a record is damaged.
    """
    return frame_of([read_record(path) for path in find_records(_paths(folders))])


def table(
    *folders: str | Path,
    suite: str | None = None,
    bases: Sequence[str] = (),
    methods: Sequence[str] = (),
    sort: str | None = None,
    top: int | None = None,
    columns: Sequence[str] = (),
    digits: int = DIGITS,
) -> TableResult:
    """Make the tables of the records below some folders.

    Args:
        folders: Folders of records; ``results/runs`` where none is named.
        suite: Only this suite.
        bases: Bases whose rows are shown, ``none`` for rows without one.
        methods: Labels, specs, or names of methods with whatever options.
        sort: Column to sort the rows of a base by, with ``-`` before it for the other way round.
        top: Number of rows, the best over all bases; their untrained bases come on top.
        columns: Columns in this order.
        digits: Digits of scores after the decimal point.

    Raises:
        UsageError: A column, base or method is named that there is not.
        DataError: There are no records, a folder does not exist, or a record is damaged.
    """
    if top is not None and top < 1:
        raise UsageError(f"top {top}: give 1 or more")
    tables = [
        one for one in load_tables(find_records(_paths(folders))) if suite in (None, one.suite)
    ]
    if not tables:
        raise DataError(f"no records found to show{'' if suite is None else f' of suite {suite}'}")
    asked = TableSelection(sort, top, tuple(columns), tuple(bases), tuple(methods), digits)
    return selected(tables, asked)


def compare(
    *methods: str,
    records: str | Path | Sequence[str | Path] = DEFAULT_OUTPUT,
    suite: str | None = None,
    profile: str | None = None,
) -> CompareResult:
    """Compare methods, all with the last of them.

    Args:
        methods: Specs, labels, files of records, or folders of one method each; two at least.
        records: Folder or folders of the records of specs and labels.
        suite: Only this suite.
        profile: Only records of this profile.

    Raises:
        UsageError: Fewer methods, or one that means several rows.
        DataError: There are no records of one, or it has no suite in common with the last.
    """
    refuse_single(methods)
    folders = _paths([records] if isinstance(records, str | Path) else records)
    sides = [
        sides_of(method, folders, None if suite is None else [suite], profile) for method in methods
    ]
    return CompareResult(compare_pairs(pairs_of(sides, methods)))


def gate(
    *folders: str | Path, baseline: str | Path, fail_on: str = "avg:0", partial: bool = False
) -> GateResult:
    """Judge the records below some folders against a baseline; the result is true where all pass.

    Args:
        folders: Folders of records; ``results/runs`` where none is named.
        baseline: Folder of the records to compare with.
        fail_on: Largest drops that pass, in points, as in ``avg:0.3,STS12:0.5,time:25``.
        partial: Whether methods of the baseline may be missing.

    Raises:
        UsageError: Bounds that cannot be read, or runs that cannot be judged.
        DataError: A folder does not exist, or a record is damaged.
    """
    now = _paths(folders)
    names = ", ".join(path.as_posix() for path in now or (DEFAULT_OUTPUT,))
    old = find_records([Path(baseline)])
    both = names, Path(baseline).as_posix()
    return GateResult(judge(find_records(now), old, fail_on, names=both, partial=partial))


def claims(
    *files: str | Path,
    records: str | Path | Sequence[str | Path] | None = None,
    papers: Sequence[str] = (),
    suites: Sequence[str] = (),
    methods: Sequence[str] = (),
    answers: Sequence[str] = (),
) -> ClaimsResult:
    """Answer what papers claim from measured records.

    Args:
        files: Files of claims; those of the package where none is named.
        records: Folder or folders of records; where None, the answers are those that came with
            the package.
        papers: Only claims of these files, by name.
        suites: Only claims on these suites.
        methods: Only claims about these: specs, or names with whatever options.
        answers: Only claims of these answers, by their beginnings.

    Raises:
        UsageError: A file is malformed, or no claim is left.
        DataError: A folder does not exist, or a record is damaged.
    """
    read = load_papers(_paths(files))
    if records is None:
        answered = answer_packaged(read)
    else:
        folders = _paths([records] if isinstance(records, str | Path) else records)
        stored = read_all(find_records(folders))
        answered = answer_papers(read, stored, folders[0])
    chosen = {"papers": papers, "suites": suites, "methods": methods, "answers": answers}
    return ClaimsResult(select_answers(answered, **chosen))


def _paths(named: Sequence[str | Path]) -> list[Path]:
    return [Path(one) for one in named]
