"""The catalog: what is pinned, where it leads, and how splits are named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.core.errors import UsageError
from bench.data.catalog import SplitRef, parse_names, parse_refs, read_catalog
from bench.data.formats.lines import Tsv
from bench.data.formats.tables import Csv
from bench.data.places import embedded, locate, state
from bench.data.sources import FilesSource, HubSource, MadeSource, RemoteFile, offers
from bench.data.steps.several import Unlike

CATALOG = read_catalog()
SPLITS = [
    SplitRef(name, split) for name, dataset in CATALOG.datasets.items() for split in dataset.splits
]
SNIPS = SplitRef("classification/snips_builtin_2016", "all")
COMMIT = re.compile(r"[0-9a-f]{40}")


def remote_files() -> Iterator[tuple[str, RemoteFile]]:
    """All files, each with the name of its data set."""
    for name, dataset in CATALOG.datasets.items():
        for source in dataset.sources:
            if isinstance(source, FilesSource):
                yield from ((name, file) for file in source.files)


def sources(ref: SplitRef) -> Iterator[FilesSource | HubSource | MadeSource]:
    """All sources of a split."""
    for source in CATALOG.datasets[ref.dataset].sources:
        if offers(source, ref.split):
            yield source


def needs(ref: SplitRef) -> set[SplitRef]:
    """Splits that a split is made of, or must hold no text of."""
    found: list[str] = []
    for source in sources(ref):
        if isinstance(source, MadeSource):
            found += [part.rows for part in source.made_from]
        if isinstance(source, MadeSource | FilesSource):
            found += [text for step in source.steps for text in step.refs]
            if any(step.reads_evaluation for step in source.steps):
                found += CATALOG.evaluation
    return {other for text in found for other in parse_refs(text)}


def columns(ref: SplitRef) -> set[str]:
    """Columns of a split: those that its checksum is over, and others that its files have."""
    found = set(CATALOG.datasets[ref.dataset].columns)
    for source in sources(ref):
        if isinstance(source, FilesSource) and isinstance(source.read, Tsv | Csv):
            found |= {*source.read.columns} - {""}
    return found


def taken(ref: SplitRef) -> Iterator[tuple[str, Iterable[str]]]:
    """Other splits that a split reads, by name, and the columns that it reads of each."""
    for source in sources(ref):
        if isinstance(source, MadeSource):
            yield from ((part.rows, part.columns.values()) for part in source.made_from)
        if isinstance(source, MadeSource | FilesSource):
            for step in source.steps:
                if isinstance(step, Unlike):
                    assert (step.ref is None) == (step.ref_columns == ()), ref
                    yield from ((text, step.ref_columns) for text in step.refs)


def test_every_split_has_a_source_or_comes_with_the_package() -> None:
    without = [ref for ref in SPLITS if not list(sources(ref))]
    assert without == [ref for ref in SPLITS if locate(ref, [embedded()])] == [SNIPS]


def test_every_split_has_rows_and_columns() -> None:
    assert all(CATALOG.datasets[ref.dataset].splits[ref.split].rows > 0 for ref in SPLITS)
    assert all(dataset.columns and dataset.licence for dataset in CATALOG.datasets.values())


def test_every_file_is_pinned_by_address_and_checksum() -> None:
    files = list(remote_files())
    assert files
    for _, file in files:
        address = urlsplit(file.url)
        assert address.scheme == "https", file.url
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256), file.url
        if address.netloc == "raw.githubusercontent.com":
            assert COMMIT.fullmatch(address.path.split("/")[3]), file.url


def test_files_of_one_checksum_have_one_size() -> None:
    sizes = {(file.sha256, file.bytes) for _, file in remote_files()}
    assert len(sizes) == len({sha256 for sha256, _ in sizes})


def test_every_size_is_known_but_that_of_the_raw_release_of_snli() -> None:
    assert {name for name, file in remote_files() if file.bytes is None} == {"nli/snli_1.0"}


def test_data_sets_on_the_hub_are_pinned_by_commit() -> None:
    hubs = [source for ref in SPLITS for source in sources(ref) if isinstance(source, HubSource)]
    assert hubs
    assert all(COMMIT.fullmatch(source.revision) for source in hubs)


def test_no_split_is_made_of_itself() -> None:
    reached = {ref: needs(ref) for ref in SPLITS}
    assert any(reached.values())
    for _ in SPLITS:
        reached = {ref: set().union(own, *map(needs, own)) for ref, own in reached.items()}
    assert [ref for ref, own in reached.items() if ref in own] == []


def test_columns_that_are_taken_from_other_sets_are_there() -> None:
    pairs = [(text, names) for ref in SPLITS for text, names in taken(ref)]
    assert pairs
    for text, names in pairs:
        assert names, text
        assert all({*names} <= columns(other) for other in parse_refs(text)), text


def test_evaluation_splits_and_their_columns_are_there() -> None:
    assert CATALOG.evaluation
    for text, names in CATALOG.evaluation.items():
        (ref,) = parse_refs(text)
        assert str(ref) == text
        assert names
        assert {*names} <= columns(ref), text


def test_the_set_that_comes_with_the_package_is_that_of_the_catalog(tmp_path: Path) -> None:
    path = locate(SNIPS, [tmp_path, embedded()])
    assert path is not None
    assert state(path, SNIPS) == "ok"
    lines = path.read_bytes().splitlines(keepends=True)
    changed = tmp_path / "rows.jsonl"
    assert state(changed, SNIPS) == "missing"
    changed.write_bytes(b"".join(lines[1:]))
    assert state(changed, SNIPS) == "wrong: 327 rows, expected 328"
    changed.write_bytes(b"".join([lines[0].replace(b"Hillary", b"Larry"), *lines[1:]]))
    assert state(changed, SNIPS).startswith("wrong: checksum ")
    changed.write_bytes(b'{"text": "no label"}\n')
    assert state(changed, SNIPS) == "wrong: a row has no column 'label'"


def test_all_is_every_split_once() -> None:
    assert parse_names(["all"]) == SPLITS
    assert parse_names(["all", "sts/*", "nli/snli:dev"]) == SPLITS


def test_a_set_is_all_of_its_splits_in_the_order_that_is_given() -> None:
    found = parse_names(["sts/sts12:test", "sts/sick", "sts/sick:test+train"])
    expected = ["sts/sts12:test", "sts/sick:train", "sts/sick:trial", "sts/sick:test"]
    assert [str(ref) for ref in found] == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("nli/snli*", [ref for ref in SPLITS if ref.dataset.startswith("nli/snli")]),
        ("*:dev", [ref for ref in SPLITS if ref.split == "dev"]),
        ("sts/sts1[23]:test", [SplitRef(f"sts/sts1{year}", "test") for year in (2, 3)]),
        ("sts/sic?:t*l", [SplitRef("sts/sick", "trial")]),
        ("sts/sick:t?st", [SplitRef("sts/sick", "test")]),
    ],
)
def test_patterns_of_sets_and_of_splits(pattern: str, expected: list[SplitRef]) -> None:
    assert parse_names([pattern]) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sst/*", r"^'sst/\*' matches no data set; 'bench data list' shows the known ones$"),
        ("sts/*:tests", r"^'sts/\*:tests' matches no data set"),
        ("STS/*", r"^'STS/\*' matches no data set"),
        ("sts/sikc", r"^unknown data set 'sts/sikc' in 'sts/sikc'; did you mean .*sts/sick"),
        ("sts/sick:dev", r"^sts/sick has no split 'dev'; it has: train, trial, test$"),
    ],
)
def test_names_that_fit_nothing(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_names(["sts/sick", name])


def test_a_part_of_a_split_is_named_after_it() -> None:
    refs = parse_refs("sts/sick:train+test#dev")
    assert refs == [SplitRef("sts/sick", split, "dev") for split in ("train", "test")]
    assert [str(ref) for ref in refs] == ["sts/sick:train#dev", "sts/sick:test#dev"]
    with pytest.raises(UsageError, match=r"unknown part 'valid' in .*; choose train, dev, test"):
        parse_refs("sts/sick:train#valid")
