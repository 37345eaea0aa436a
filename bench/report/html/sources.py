"""Where the figures come from: commands, versions, machines, data and records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.html.licences import Licence, licences
from bench.report.html.material import Material
from bench.report.leaderboard import commands, setups


def context(material: Material) -> Mapping[str, Any]:
    """What the template needs."""
    table, records = material.table, material.records
    of_tasks = licences(table.suite)
    tasks = {task: entry for record in records for task, entry in record.tasks.items()}
    return {
        "commands": commands(table, records),
        "setups": setups(records),
        "tasks": [
            {
                "name": task,
                "kind": entry.kind,
                "metric": entry.metric,
                "items": f"{entry.items:,}",
                "licence": of_tasks.get(task, Licence("", "not known here", free=False)),
                "sha256": entry.data_sha256,
            }
            for task, entry in tasks.items()
        ],
        "records": [
            {
                "file": path.name,
                "seed": record.seed,
                "profile": record.profile,
                "cell": record.cell_fingerprint,
                "sha256": record.record_sha256 or "",
                "created": record.created,
            }
            for path, record in material.stored
        ],
    }
