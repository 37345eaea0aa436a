"""What there is to say of a data set of the catalog."""

from __future__ import annotations

from bench.core.descriptions import Description, table_of, told_of
from bench.core.words import megabytes, plural
from bench.data.catalog import Dataset, catalog, parse_names
from bench.data.sources import FilesSource, HubSource, split_bytes


def describe_data(name: str) -> Description:
    """Say what a data set has, under which licence, and where it is from.

    Args:
        name: ``family/set``.

    Raises:
        UsageError: It is not in the catalog.
    """
    parse_names([name])
    dataset = catalog()[name]
    rows = [
        [split, f"{facts.rows:,}", *_source(dataset, split)]
        for split, facts in dataset.splits.items()
    ]
    total = sum(facts.rows for facts in dataset.splits.values())
    return Description(
        kind="data",
        name=name,
        title=f"{total:,} rows in {plural(len(rows), 'split')}",
        facts=told_of({"Licence": dataset.licence, "Columns": ", ".join(dataset.columns)}),
        tables=table_of("Splits", ["Split", "Rows", "Download", "From"], rows),
        examples=(f"bench data fetch {name}", f"bench data verify {name}"),
    )


def _source(dataset: Dataset, split: str) -> tuple[str, str]:
    """Size of the download of a split, and where it is from."""
    source = dataset.source_of(split)
    if source is None:
        return "", "the package"
    size = split_bytes(source, split)
    if isinstance(source, FilesSource):
        files = source.files_of(split)
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        where = f"{files[0].url}{more}"
    elif isinstance(source, HubSource):
        where = f"the hub: {source.hub}@{source.revision[:8]}"
    else:
        where = "made of other sets"
    return "" if size is None else megabytes(size), where
