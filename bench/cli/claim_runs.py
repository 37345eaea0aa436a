"""Running what claims need and have no records of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.api import make_settings
from bench.core.errors import BenchError, CellError, first_line
from bench.core.progress import Progress
from bench.core.spec import parse_method_spec
from bench.execution.cells import Cell
from bench.execution.plan import plan
from bench.execution.provision import fetch_command, provide
from bench.execution.runner import run_cells
from bench.records.files import StoredRecord
from bench.suite import Suite
from bench.verdicts.claims import checked_suites, find_of_both, find_of_method
from bench.verdicts.papers import Claim

_Key = tuple[str, str, str, int]


@dataclass
class ClaimRuns:
    """Runs of cells that claims need.

    Attributes:
        stored: Records there are; those of the runs are added.
        output: Folder to write them into.
        data: Data folder, or None for that of ``BENCH_DATA``.
        progress: Where the runs report.
    """

    stored: list[StoredRecord]
    output: Path
    data: str | None
    progress: Progress
    _failed: dict[_Key, str] = field(default_factory=dict)

    def run(self, claims: Iterable[Claim]) -> dict[str, str]:
        """Run all cells without a record, each once, and go on after failures.

        Returns:
            Why claims still lack records, by the claim's name.
        """
        reasons = {}
        for claim in claims:
            try:
                self._run(claim)
            except BenchError as error:
                reasons[claim.name] = first_line(error)
        return reasons

    def _run(self, claim: Claim) -> None:
        for suite in checked_suites(claim):
            self._run_on(suite, claim)

    def _run_on(self, suite: Suite, claim: Claim) -> None:
        gaps = [part for part in find_of_both(claim, suite.name, self.stored) if part.missing]
        if not gaps:
            return
        settings = make_settings(
            profile=claim.profile, output=self.output, data=self.data, progress=self.progress
        )
        specs = [parse_method_spec(part.spec) for part in gaps]
        # A claim names all methods that it is about.
        alone = suite.model_copy(update={"variants": ()})
        command = fetch_command([suite.name], [str(spec) for spec in specs], claim.profile)
        provide([alone], specs, settings, command)
        cells = plan([alone], specs, claim.seeds, settings)
        outcome = run_cells([cell for cell in cells if self._due(cell, claim)], settings)
        self.stored += outcome.stored
        for failure in outcome.failures:
            self._failed[claim.profile, failure.suite, failure.spec, failure.seed] = failure.message
        for part in gaps:
            for seed in part.missing:
                if message := self._failed.get((claim.profile, suite.name, part.spec, seed)):
                    raise CellError(message)

    def _due(self, cell: Cell, claim: Claim) -> bool:
        """Whether a cell has neither a record in any folder nor failed before."""
        spec, suite = str(cell.spec), cell.suite.name
        if (claim.profile, suite, spec, cell.seed) in self._failed:
            return False
        return cell.seed in find_of_method(claim, suite, spec, self.stored).missing
