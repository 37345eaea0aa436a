"""What prints as text, and shows as a table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.defaults import PAGE
from bench.report import comparison as comparisons
from bench.report.claims import counts, render_markdown, render_text
from bench.report.export import to_csv, to_json
from bench.report.gate import GateReport, to_markdown, to_text
from bench.report.selection import ALL, TableSelection
from bench.report.table import Table
from bench.report.text import render
from bench.verdicts.claims import Judgement
from bench.verdicts.difference import Comparison
from bench.verdicts.gate import GateCheck
from bench.verdicts.papers import Paper

if TYPE_CHECKING:
    import pandas as pd


class Displayed(ABC):
    """A result that a terminal shows as text and a notebook as a table."""

    @abstractmethod
    def __str__(self) -> str:
        """The result as text."""

    @abstractmethod
    def to_markdown(self) -> str:
        """The result in Markdown."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The result as a frame; scores are unrounded fractions."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.to_markdown())


def as_html(text: str) -> str:
    """Markdown as HTML, in which markup of the text is shown and does nothing."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


@dataclass(frozen=True, repr=False)
class TableResult(Displayed):
    """Tables of suites.

    Attributes:
        tables: A table a suite.
        selection: What is shown of them.
    """

    tables: Sequence[Table]
    selection: TableSelection = ALL

    def __str__(self) -> str:
        texts = [render(table, width=PAGE, selection=self.selection) for table in self.tables]
        return "\n\n".join(texts)

    def to_markdown(self) -> str:
        """The tables in Markdown of GitHub."""
        parts = [render(one, style="markdown", selection=self.selection) for one in self.tables]
        return "\n\n".join(parts)

    def to_csv(self) -> str:
        """The tables as one CSV, a line a row, see ``bench.report.export``."""
        return to_csv(self.tables)

    def to_json(self) -> str:
        """The tables as JSON, see ``bench.report.export``."""
        return to_json(self.tables)

    def to_frame(self) -> pd.DataFrame:
        """A row of a table each, with the fields of ``to_csv``."""
        import io

        import pandas as pd

        return pd.read_csv(io.StringIO(self.to_csv()))


@dataclass(frozen=True, repr=False)
class CompareResult(Displayed):
    """Methods compared with one, by suite.

    Attributes:
        by_suite: Comparisons of each suite.
    """

    by_suite: dict[str, list[Comparison]]

    def __str__(self) -> str:
        return "\n\n".join(comparisons.render(one) for one in self.by_suite.values())

    def to_markdown(self) -> str:
        """The comparisons in Markdown of GitHub."""
        several = self.by_suite.values()
        return "\n\n".join(comparisons.render(one, style="markdown") for one in several)

    def to_frame(self) -> pd.DataFrame:
        """A row a suite, pair of methods and task."""
        import pandas as pd

        several = [one for of_suite in self.by_suite.values() for one in of_suite]
        return pd.DataFrame(list(comparisons.lines_of(several)))


@dataclass(frozen=True, repr=False)
class GateResult(Displayed):
    """What a gate has judged.

    Attributes:
        report: Its report.
    """

    report: GateReport

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.report.failed

    @property
    def checks(self) -> Sequence[GateCheck]:
        """The checks."""
        return self.report.checks

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return "\n".join([to_text(self.report), *self.report.warnings])

    def to_markdown(self) -> str:
        """The report in Markdown of GitHub."""
        return to_markdown(self.report)

    def to_frame(self) -> pd.DataFrame:
        """A row a check."""
        import pandas as pd

        return pd.DataFrame([vars(check) for check in self.checks])


@dataclass(frozen=True, repr=False)
class ClaimsResult(Displayed):
    """Claims of papers, and the answers to them.

    Attributes:
        answered: Papers, and the answers to their claims.
    """

    answered: Sequence[tuple[Paper, Sequence[Judgement]]]

    def __str__(self) -> str:
        return render_text(self.answered, PAGE)

    def to_markdown(self) -> str:
        """The answers in Markdown of GitHub."""
        return render_markdown(self.answered, "bench.claims()")

    def counts(self) -> str:
        """How many claims have which answer, in one line."""
        return counts(self.answered)

    def to_frame(self) -> pd.DataFrame:
        """A row a claim; difference and interval as fractions, None where nothing is measured."""
        import pandas as pd

        rows = [_claim_row(paper, one) for paper, answers in self.answered for one in answers]
        return pd.DataFrame(rows)


def _claim_row(paper: Paper, one: Judgement) -> dict[str, Any]:
    claim, measured = one.claim, one.measured
    return {
        "paper": paper.paper,
        "claim": claim.name,
        "a": claim.a,
        "b": claim.b,
        "suite": claim.suite,
        "answer": one.answer,
        "delta": None if measured is None else measured.difference.delta,
        "ci95_low": None if measured is None else measured.difference.ci95[0],
        "ci95_high": None if measured is None else measured.difference.ci95[1],
        "seeds_a": None if measured is None else measured.seeds[0],
        "seeds_b": None if measured is None else measured.seeds[1],
        "reason": one.reason,
    }
