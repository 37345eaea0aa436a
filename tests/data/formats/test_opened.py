"""Files as they lie there: plain, gzipped, in a zip archive, damaged, too large."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from bench.core.errors import DataError
from bench.data.formats import Format, LocalFile
from bench.data.formats.opened import opened, read_lines, read_text
from bench.data.sources import FilesSource

FORMATS: TypeAdapter[Any] = TypeAdapter(Format)
KINDS = get_args(get_args(Format)[0])
REQUIRED: dict[str, Any] = {"tsv": {"columns": ["a"]}, "beside": {"columns": [["a"], ["b"]]}}
LONG = "".join(f"line {number} \u2028 of many\n" for number in range(500)).encode()


def written(
    tmp_path: Path, content: bytes, name: str = "rows.txt", member: str | None = None
) -> LocalFile:
    """A file that lies under a name that says nothing of it."""
    path = tmp_path / "0123"
    path.write_bytes(content)
    return LocalFile(path, name, member)


def zipped(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def spoilt(content: bytes) -> bytes:
    """Some bytes in the middle of the packed text are others."""
    middle = len(content) // 2
    return content[: middle - 20] + b"\xff" * 40 + content[middle + 20 :]


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three\x0bfour\x0cfive\rsix\r\n\nseven"
    lines = ["one\u2028two\x85three\x0bfour\x0cfive\rsix", "", "seven"]
    assert read_lines(written(tmp_path, text.encode())) == lines
    assert read_lines(written(tmp_path, f"{text}\n".encode())) == lines
    assert read_text(written(tmp_path, text.encode())) == text


@pytest.mark.parametrize(("content", "lines"), [(b"", []), (b"\n", [""]), (b"\r\n\r\n", ["", ""])])
def test_files_without_text(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    assert read_lines(written(tmp_path, content)) == lines


def test_the_mark_of_windows_is_no_text_unless_the_encoding_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert read_lines(file) == ["one", "\ufefftwo"]
    assert read_lines(file, "utf-8") == ["\ufeffone", "\ufefftwo"]


def test_texts_of_another_encoding(tmp_path: Path) -> None:
    file = written(tmp_path, "thé\n".encode("latin-1"))
    assert read_lines(file, "latin-1") == ["thé"]
    with pytest.raises(DataError, match=r"^rows\.txt cannot be read as utf-8-sig: "):
        read_lines(file)


def test_the_name_at_the_source_says_that_a_file_is_gzipped(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, gzip.compress(b"one\n"), "rows.txt.gz")) == "one\n"
    with opened(written(tmp_path, gzip.compress(b"one\n"), "rows.bin")) as stream:
        assert gzip.decompress(stream.read()) == b"one\n"


def test_a_member_of_an_archive_is_read_and_written_nowhere(tmp_path: Path) -> None:
    content = zipped({"made/one.txt": b"one\n", "../two.txt": b"two\n"})
    (tmp_path / "in").mkdir()
    for member, text in {"made/one.txt": "one\n", "../two.txt": "two\n"}.items():
        assert read_text(written(tmp_path / "in", content, "made.zip", member)) == text
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["0123"]


@pytest.mark.parametrize(
    ("content", "name", "member", "message"),
    [
        (gzip.compress(LONG)[:-12], "a.gz", None, r"^a\.gz cannot be read: "),
        (spoilt(gzip.compress(LONG)), "a.gz", None, r"^a\.gz cannot be read: "),
        (LONG, "a.gz", None, r"^a\.gz cannot be read: Not a gzipped file"),
        (LONG, "a.zip", "b.txt", r"^a\.zip: b\.txt cannot be read: File is not a zip file"),
        (zipped({"b.txt": LONG})[:-30], "a.zip", "b.txt", r"^a\.zip: b\.txt cannot be read: "),
        (spoilt(zipped({"b.txt": LONG})), "a.zip", "b.txt", r"^a\.zip: b\.txt cannot be read: "),
        (zipped({"b.txt": LONG}), "a.zip", "c.txt", r"^a\.zip: c\.txt cannot be read: .*c\.txt"),
    ],
)
def test_damaged_files(
    tmp_path: Path, content: bytes, name: str, member: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_text(written(tmp_path, content, name, member))


@pytest.mark.parametrize(
    ("content", "name", "member"),
    [
        (LONG, "a.txt", None),
        (gzip.compress(LONG), "a.gz", None),
        (zipped({"b.txt": LONG}), "a.zip", "b.txt"),
    ],
)
def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, content: bytes, name: str, member: str | None
) -> None:
    file = written(tmp_path, content, name, member)
    assert read_text(replace(file, most_bytes=len(LONG))) == LONG.decode()
    with pytest.raises(DataError, match=f"^{name}.* unpacks to more than {len(LONG) - 1:,} bytes"):
        read_text(replace(file, most_bytes=len(LONG) - 1))


def test_a_packed_table_is_not_unpacked_beyond_its_limit(tmp_path: Path) -> None:
    content = json.dumps({"text": "x" * 10_000}).encode() + b"\n"
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    table = FORMATS.validate_python({"format": "table"})
    assert len([*table.read([LocalFile(path, path.name, most_bytes=len(content))])]) == 1
    with pytest.raises(DataError, match=r"^rows\.jsonl\.gz unpacks to more than 10,000 bytes"):
        [*table.read([LocalFile(path, path.name, most_bytes=10_000)])]


def test_the_catalog_sets_the_limit_which_is_no_part_of_what_rows_are() -> None:
    given = {"url": "https://example.org/a.zip", "sha256": "0" * 64, "read": {"format": "json"}}
    plain, limited = (
        FilesSource.model_validate({**given, **more}) for more in ({}, {"unpacked_bytes": 7})
    )
    assert [one.unpacked_bytes for one in limited.files] == [7]
    assert plain.model_dump(mode="json") == limited.model_dump(mode="json")
    with pytest.raises(ValidationError, match="greater than 0"):
        FilesSource.model_validate({**given, "unpacked_bytes": 0})


@pytest.mark.parametrize("kind", KINDS)
def test_a_format_is_known_by_its_own_word_and_refuses_unknown_options(kind: type[Any]) -> None:
    (word,) = get_args(kind.model_fields["format"].annotation)
    given = {"format": word, **REQUIRED.get(word, {})}
    assert type(FORMATS.validate_python(given)) is kind
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        FORMATS.validate_python({**given, "colums": ["a"]})


def test_options_survive_json() -> None:
    read = FORMATS.validate_python({"format": "csv", "names": {"text": "Text"}, "width": 3})
    assert FORMATS.validate_python(json.loads(read.model_dump_json())) == read
