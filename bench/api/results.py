"""What a run produced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.displayed import CompareResult, Displayed, GateResult, TableResult
from bench.core.errors import DataError, UsageError
from bench.execution.runner import Outcome
from bench.records.entries import Record, TaskEntry
from bench.records.files import find_records
from bench.report.charts.files import check_libraries
from bench.report.gate import judge
from bench.report.selection import ALL, TableSelection, check_names, select_rows
from bench.report.table import Table, tables_of
from bench.verdicts.matching import compare_pairs, pairs_of, sides_among

if TYPE_CHECKING:
    import pandas as pd


class RunResult(Outcome, Displayed):
    """What a run produced: prints as its tables, which a notebook shows."""

    def __str__(self) -> str:
        return "\n\n".join([str(self.table()), *self._failed()])

    # A dataclass makes one of its own, which tells all records in a line.
    __repr__ = __str__

    def to_markdown(self) -> str:
        """The tables, and what failed, in Markdown of GitHub."""
        return "\n\n".join([self.table().to_markdown(), *self._failed()])

    def _failed(self) -> list[str]:
        return [f"failed: {line}" for line in self.failed_lines]

    def records(self) -> list[Record]:
        """The records of the complete cells."""
        return [record for _, record in self.stored]

    def tables(self) -> list[Table]:
        """One table a suite."""
        return tables_of(self.stored)

    def table(self, selection: TableSelection = ALL) -> TableResult:
        """Its tables, see ``bench.table``.

        Args:
            selection: What is shown of them.

        Raises:
            UsageError: A column, base or method is named that there is not.
        """
        return selected(self.tables(), selection)

    def to_frame(self) -> pd.DataFrame:
        """One row a cell and task, with every figure of the records, see ``frame_of``."""
        return frame_of(self.records())

    def compare(self, *methods: str) -> CompareResult:
        """Compare methods of this run, all with the last, see ``bench.compare``.

        Args:
            methods: Specs or labels, two at least.

        Raises:
            UsageError: Fewer, or one that means several rows.
            DataError: There are no records of one, or it has no suite in common with the last.
        """
        refuse_single(methods)
        try:
            sides = [sides_among(method, self.stored) for method in methods]
        except DataError as error:
            # What failed has no records, and is why.
            raise DataError("; ".join([str(error), *self._failed()])) from None
        return CompareResult(compare_pairs(pairs_of(sides, methods)))

    def gate(self, baseline: str | Path | RunResult, fail_on: str = "avg:0") -> GateResult:
        """Judge this run against a baseline, see ``bench.gate``.

        Args:
            baseline: Folder of records, or another run.
            fail_on: Largest drops that pass, in points.

        Raises:
            UsageError: Bounds that cannot be read, or nothing to judge.
            DataError: The folder does not exist, or a record is damaged.
        """
        if isinstance(baseline, RunResult):
            old, name = baseline.paths, "baseline"
        else:
            old, name = find_records([Path(baseline)]), Path(baseline).as_posix()
        names = "this run", name
        return GateResult(judge(self.paths, old, fail_on, names=names, partial=True))

    def report(self, path: str | Path = "report.html", *, with_texts: bool = False) -> Path:
        """Write this run as one page for a browser (extra ``report``).

        Args:
            path: File to write.
            with_texts: Whether texts are shown whose licence does not let them be passed on.

        Returns:
            The file.

        Raises:
            UsageError: The extra is not installed, or the file cannot be written.
            DataError: Nothing is complete.
        """
        check_libraries("report()", "report", "jinja2")
        from bench.api.pages import write_report

        return write_report(self.paths, Path(path), with_texts=with_texts)


def refuse_single(methods: Sequence[str]) -> None:
    """Refuse what cannot be compared.

    Raises:
        UsageError: Fewer than two methods are named.
    """
    if len(methods) < 2:
        raise UsageError("name two methods or more; all are compared with the last of them")


def selected(tables: Sequence[Table], selection: TableSelection) -> TableResult:
    """The tables of the rows that are asked for.

    Raises:
        UsageError: A column, base or method is named that there is not.
    """
    check_names(tables, selection)
    rows = [part for table in tables if (part := select_rows(table, selection)).rows]
    return TableResult(rows, selection)


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """One row a record and task.

    Columns are suite, spec, profile, seed, task, main, ci_low, ci_high; then what the row belongs
    to (label, limit, setup, base), the task's kind and metric, all its metrics with intervals as
    ``metric.NAME``, ``metric.NAME.low`` and ``metric.NAME.high``, what was found of training data
    in the test set, the average of the cell with its interval, sizes, costs, and fingerprints.
    Scores are unrounded fractions, times seconds, memory bytes.
    """
    import pandas as pd

    return pd.DataFrame(
        [_row(record, task, entry) for record in records for task, entry in record.tasks.items()]
    )


def _row(record: Record, task: str, entry: TaskEntry) -> dict[str, Any]:
    low, high = entry.ci95 or (None, None)
    training = record.training or {}
    contamination = entry.contamination
    return {
        "suite": record.suite,
        "spec": record.method.spec,
        "profile": record.profile,
        "seed": record.seed,
        "task": task,
        "main": entry.main,
        "ci_low": low,
        "ci_high": high,
        "label": record.method.label,
        "base": record.method.base,
        "trained": record.method.trained,
        "limit": record.limit,
        "setup": record.setup,
        "convention": record.convention,
        "kind": entry.kind,
        "metric": entry.metric,
        "items": entry.items,
        **_metrics(entry),
        "in_domain": entry.in_domain,
        "contaminated_texts": None if contamination is None else contamination.normalised,
        "test_texts": None if contamination is None else contamination.texts,
        **_cell(record),
        "train_seconds": training.get("seconds"),
        "train_steps": training.get("steps"),
        "final_loss": training.get("final_loss"),
        "data_sha256": entry.data_sha256,
    }


def _metrics(entry: TaskEntry) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name, value in entry.metrics.items():
        low, high = entry.metrics_ci95.get(name, (None, None))
        figures |= {
            f"metric.{name}": value,
            f"metric.{name}.low": low,
            f"metric.{name}.high": high,
        }
    return figures


def _cell(record: Record) -> dict[str, Any]:
    """What is the same for all tasks of a cell."""
    low, high = record.average_ci95 or (None, None)
    return {
        "average": record.average,
        "average_ci_low": low,
        "average_ci_high": high,
        "average_of_rounded": record.average_of_rounded,
        "dimension": record.dimension,
        "parameters": record.parameters,
        "vector_bytes": record.vector_bytes,
        "build_seconds": record.timings.build,
        "encode_seconds": record.timings.encode,
        "score_seconds": record.timings.score,
        "texts": record.encoding.texts,
        "texts_distinct": record.encoding.distinct,
        "texts_encoded": record.encoding.encoded,
        "texts_per_second": record.texts_per_second,
        "peak_memory_bytes": record.peak_memory_bytes,
        "device": record.machine.get("device"),
        "created": record.created,
        "commit": None if record.commit is None else record.commit.commit,
        "model_fingerprint": record.model_fingerprint,
        "cell_fingerprint": record.cell_fingerprint,
    }
