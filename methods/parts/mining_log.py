"""What checks of hard negatives found: a file of all, and how much harder replacements are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.files import write_atomic

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Check:
    """What one look at the negatives found; means are None where there is nothing to average.

    Attributes:
        step: Steps done.
        checked: Queries seen since the last look; at step 0 all of them.
        easy: Queries whose negatives have become too easy.
        capped: Queries whose |S| is not below the cap.
        mean_s: Mean S of the checked.
        mean_s0: Mean S0 of the checked, before replacements.
        replaced: S of the old and of the new negatives of each query that got new ones, both by
            the model at this step. Easy queries beyond these had no further candidates.
    """

    step: int
    checked: int
    easy: int
    capped: int
    mean_s: float | None
    mean_s0: float | None
    replaced: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class CheckLog:
    """A JSON file of all checks.

    Attributes:
        path: The file.
        first_ranks: Ranks of the negatives that a training begins with.
    """

    path: Path
    first_ranks: Sequence[int]

    def add(self, check: Check) -> None:
        """Add a check, in the place of it and later ones of a training that was stopped."""
        # What a training left that starts again is neither of use nor known to be whole.
        earlier = read_checks(self.path) if check.step > 0 and self.path.is_file() else []
        content = {
            "first_ranks": list(self.first_ranks),
            "checks": [*(entry for entry in earlier if entry["step"] < check.step), asdict(check)],
        }
        write_atomic(self.path, json.dumps(content, indent=2, allow_nan=False).encode())


def read_checks(path: Path) -> list[dict[str, Any]]:
    """Read the checks of a file, as ``Check`` has them."""
    return list(json.loads(path.read_bytes())["checks"])


def summary(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Tell of all checks how many negatives were replaced, and how much harder the new ones are.

    A gain is the mean cosine of a query and its new negatives less that of the old ones, both by
    the model that found the old ones easy.

    Args:
        checks: The checks of one training.

    Returns:
        JSON values for its record: replacements in all, those that are harder, queries that stayed
        with easy negatives for want of candidates, gains, and the same of each check.
    """
    by_check = [
        {
            "step": check["step"],
            "checked": check["checked"],
            "easy": check["easy"],
            **_of([new - old for old, new in check["replaced"]]),
        }
        for check in checks
    ]
    gains = [new - old for check in checks for old, new in check["replaced"]]
    easy = sum(check["easy"] for check in checks)
    return {**_of(gains), "without_candidates": easy - len(gains), "checks": by_check}


def _of(gains: Sequence[float]) -> dict[str, Any]:
    harder = sum(gain > 0 for gain in gains)
    counts: dict[str, Any] = {"replaced": len(gains), "harder": harder}
    if not gains:
        return counts
    values = np.quantile(gains, QUANTILES).tolist()
    quantiles = {f"{round(100 * q)}%": value for q, value in zip(QUANTILES, values, strict=True)}
    return counts | {"gain": {"mean": float(np.mean(gains)), **quantiles}}
