"""Records made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.record import (
    EncodingEntry,
    GeometryEntry,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
    pack_items,
    sha256,
)
from bench.spec import parse_method_spec

KINDS = {"S1": "sts", "S2": "sts", "C": "clustering"}
NO_ITEMS = pack_items({})


def make_record(
    spec: str,
    scores: Mapping[str, float],
    *,
    geometry: Mapping[str, GeometryEntry] | None = None,
    **changes: Any,
) -> Record:
    """A record of a suite of the tasks S1, S2 and C, of a method with these options."""
    parsed = parse_method_spec(spec)
    options: dict[str, Any] = dict(parsed.options)
    kind = "transform" if "of" in options else "static"
    trained = changes.pop("trained", False)
    fixed = {"profile": "local", "seed": 0, "limit": None, "dimension": 8, "suite": "cuts"}
    entry = {"metric": "x", "mteb": None, "ci95": None, "metrics": {}, "items": 0}
    return Record(
        convention="senteval",
        method=MethodEntry(
            name=parsed.name,
            spec=spec,
            title="x",
            kind=kind,
            checkpoint=None,
            config=options,
            trained=trained,
            base=None,
        ),
        cell_fingerprint=spec,
        model_fingerprint=spec,
        parameters=None,
        tasks={
            name: TaskEntry(kind=KINDS[name], main=main, data_sha256="0", **entry)
            for name, main in scores.items()
        },
        average=sum(scores.values()) / len(scores),
        average_ci95=None,
        average_of_rounded=0,
        averaged_tasks=tuple(scores),
        geometry=dict(geometry or {}),
        encoding=EncodingEntry(texts=0, distinct=0, encoded=0, tokens=None),
        timings=Timings(build=0, encode=0, score=0),
        peak_memory_bytes=0,
        training=None,
        versions={},
        machine={},
        created="",
        items_sha256=sha256(NO_ITEMS),
        **(fixed | changes),
    )
