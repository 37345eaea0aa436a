"""The short form of the campaign; the long one is ``python tests/faults/campaign.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHORT = {"kills": 10, "rounds": 2, "sizes": 2, "bytes": 11}


@pytest.mark.nightly
def test_nothing_that_is_broken_on_purpose_makes_a_wrong_number() -> None:
    script = Path(__file__).with_name("campaign.py")
    options = [word for name, value in SHORT.items() for word in (f"--{name}", str(value))]
    found = subprocess.run(
        [sys.executable, str(script), *options, "--seed", "0"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr[-2000:]
    tried = 10 + 2 + 2 * 2 + 11
    last = found.stdout.splitlines()[-1].split()
    assert last == ["all", "tried", str(tried), "held", str(tried), "failed", "0"]
