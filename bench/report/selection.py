"""Which rows and columns of a table are shown, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.core.spec import is_called
from bench.report.columns import AVERAGE, DIGITS, METHOD, TableColumn, columns_of
from bench.report.table import Table, TableRow

# Stands for rows without a base among names of bases.
NO_BASE = "none"


@dataclass(frozen=True)
class TableSelection:
    """What is asked for of a table; all of it unless something is named.

    Attributes:
        sort: Name of the column to sort the rows of a base by, with ``-`` before it for the other
            way round; the average where None.
        top: Number of rows, the best of the table; untrained bases of theirs come on top.
        columns: Names of the columns, in this order; those of each table where empty.
        bases: Bases whose rows are shown, ``none`` for rows without one.
        methods: Labels, specs, or names of methods, with whatever options.
        digits: Digits of scores after the decimal point.
    """

    sort: str | None = None
    top: int | None = None
    columns: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    digits: int = DIGITS


ALL = TableSelection()


def select_rows(table: Table, selection: TableSelection) -> Table:
    """Make the table of the rows that are asked for; ranks and marks stay those of the whole.

    Raises:
        UsageError: A column, base or method is named that there is not.
    """
    rows = [row for row in table.rows if _is_of(row, selection.bases)]
    rows = [row for row in rows if _is_named(row, selection.methods)]
    if selection.sort is not None:
        rows = _sorted(table, rows, selection.sort)
    if selection.top is not None:
        rows = _top(table, rows, selection)
    in_all = table.rows_in_all or len(table.rows)
    return replace(table, rows=tuple(rows), rows_in_all=None if len(rows) == in_all else in_all)


def check_names(tables: Sequence[Table], selection: TableSelection) -> None:
    """Refuse what no table has.

    Raises:
        UsageError: A column, base or method is named that there is not.
    """
    rows = [row for table in tables for row in table.rows]
    for base in selection.bases:
        if not any(_is_of(row, (base,)) for row in rows):
            there = dict.fromkeys(row.base or NO_BASE for row in rows)
            raise UsageError(f"--base {base!r}: no row has it; choose {', '.join(there)}")
    for method in selection.methods:
        if not any(_is_named(row, (method,)) for row in rows):
            hint = did_you_mean(method, dict.fromkeys(row.label or row.spec for row in rows))
            raise UsageError(f"--methods {method!r}: no row is called that{hint and f'; {hint}'}")
    names = [column.name for table in tables for column in columns_of(table)]
    asked = [*selection.columns, *([selection.sort.removeprefix("-")] if selection.sort else [])]
    for name in asked:
        if name.casefold() not in map(str.casefold, names):
            there = dict.fromkeys(names)
            hint = did_you_mean(name, there) or f"there are {', '.join(there)}"
            raise UsageError(f"no column {name!r}; {hint}")


def select_columns(columns: Sequence[TableColumn], names: Sequence[str]) -> list[TableColumn]:
    """The columns of these names in their order, behind that of the method; all where none is."""
    if not names:
        return list(columns)
    by_name = {column.name.casefold(): column for column in columns}
    wanted = dict.fromkeys(map(str.casefold, names))
    asked = [by_name[name] for name in wanted if name in by_name]
    return [METHOD, *(column for column in asked if column != METHOD)]


def _is_of(row: TableRow, bases: Sequence[str]) -> bool:
    return not bases or (row.base or NO_BASE) in bases


def _is_named(row: TableRow, methods: Sequence[str]) -> bool:
    return not methods or any(is_called(method, row.spec, row.label) for method in methods)


def _sorted(table: Table, rows: Sequence[TableRow], sort: str) -> list[TableRow]:
    """Rows in order, bases by their first row; rows without a value come last."""
    name = sort.removeprefix("-").casefold()
    column = next((one for one in columns_of(table) if one.name.casefold() == name), AVERAGE)
    told = [row for row in rows if column.value(row) is not None]
    ordered = sorted(told, key=_key(column), reverse=column.descending != sort.startswith("-"))
    ordered += [row for row in rows if column.value(row) is None]
    bases = list(dict.fromkeys(row.base for row in ordered))
    return sorted(ordered, key=lambda row: bases.index(row.base))


def _key(column: TableColumn) -> Callable[[TableRow], tuple[float, str]]:
    def key(row: TableRow) -> tuple[float, str]:
        value = column.value(row)
        if isinstance(value, tuple):
            value = value[0]
        return (value, "") if isinstance(value, int | float) else (0.0, str(value))

    return key


def _top(table: Table, rows: Sequence[TableRow], selection: TableSelection) -> list[TableRow]:
    """The first rows over all bases, and the untrained bases of these."""
    over_all = [replace(row, base=None) for row in rows]
    ranked = _sorted(table, over_all, selection.sort or AVERAGE.name)
    best = {row.id for row in ranked[: selection.top]}
    bases = {row.base for row in rows if row.id in best and row.trained}
    # Of what was filtered out before too, as a trained row stands next to its untrained base.
    kept = [row for row in table.rows if row.spec in bases and not row.trained]
    ordered = table.rows if selection.sort is None else [*rows, *kept]
    shown = best | {row.id for row in kept}
    chosen = {row.id: row for row in ordered if row.id in shown}.values()
    order = list(dict.fromkeys(row.base for row in chosen))
    return sorted(chosen, key=lambda row: order.index(row.base))
