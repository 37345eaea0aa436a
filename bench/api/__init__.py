"""The Python API: what the command line does, as functions.

Runs (``runs``) of methods by spec or object (``objects``) and what they give (``results``), and
what is made of records on disk (``reading``, ``pages``), which prints as text and shows as a table
in notebooks (``displayed``). Imported are core, records, suite, encoding, method, models, tasks,
verdicts, execution, report and jobs. A new function is named here, and in ``bench`` where users are
to find it.
"""

from bench.api.reading import claims, compare, gate, load_records, table
from bench.api.results import RunResult
from bench.api.runs import Run, build_method, make_settings, prepare, run

__all__ = [
    "Run",
    "RunResult",
    "build_method",
    "claims",
    "compare",
    "gate",
    "load_records",
    "make_settings",
    "prepare",
    "run",
    "table",
]
