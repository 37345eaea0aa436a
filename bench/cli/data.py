"""``bench data``."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import completers
from bench.cli.options import VerbGroup, list_option
from bench.cli.terminal import listing, say
from bench.cli.writing import writing
from bench.core.cache import Cache, default_root
from bench.core.errors import EXIT_OK, DataError, UsageError
from bench.core.escape import toml_text
from bench.core.words import MB

if TYPE_CHECKING:
    from bench.data.catalog import SplitRef
    from bench.data.convert import OwnTable
    from bench.data.needs import Needs

NONE = "–"
_WIDTH = 80
_LINE = "{:<45} {:>8} {:>6} {:<9} {:<8}"
_TO_HELP = "Data folder to write to [$BENCH_DATA, else the cache]."
_DATA_HELP = "Data folder [$BENCH_DATA]."


@click.group("data", cls=VerbGroup)
def command() -> None:
    """List, fetch, verify, import or make data sets."""


@command.command("list")
@click.option("--data", help=_DATA_HELP)
def list_data(data: str | None) -> None:
    """List data sets: licence, rows, size, source, and where they are here now."""
    say(overview(data))


def overview(data: str | None) -> str:
    """The data sets, a licence a set and a line a split, in 80 columns.

    Raises:
        UsageError: The data folder does not exist.
    """
    from bench.data.catalog import SplitRef, catalog
    from bench.data.places import locate
    from bench.data.sources import split_bytes

    places = _places(data)
    lines = [_LINE.format("Data", "Rows", "MB", "Source", "Here"), "-" * _WIDTH]
    for name, dataset in catalog().items():
        lines += _wrapped(f"{name}: {dataset.licence}")
        for split, facts in dataset.splits.items():
            ref = SplitRef(name, split)
            here = [place for place, root in places.items() if locate(ref, [root])]
            source = dataset.source_of(split)
            size = split_bytes(source, split) if source else None
            lines.append(
                _LINE.format(
                    f"  {ref}",
                    f"{facts.rows:,}",
                    _megabytes(size),
                    source.kind if source else "package" if "package" in here else "no source",
                    here[0] if here else NONE,
                )
            )
    lines += _imported(places)
    return "\n".join(line.rstrip() for line in lines)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{max(size / MB, 0.1):.1f}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="    ")


def _imported(places: Mapping[str, Path]) -> list[str]:
    """Sets of the data folder and the cache that the catalog does not know."""
    from bench.data.catalog import SplitRef, catalog
    from bench.data.rows import read_rows

    lines = []
    for place, root in places.items():
        for path in sorted(root.glob("*/*/*.jsonl.gz")):
            family, name, file = path.relative_to(root).parts
            ref = SplitRef(f"{family}/{name}", file.removesuffix(".jsonl.gz"))
            known = catalog().get(ref.dataset)
            if known is not None and ref.split in known.splits:
                continue
            try:
                rows = f"{len(read_rows(path)):,}"
            except DataError:
                rows = "damaged"
            size = _megabytes(path.stat().st_size)
            lines.append(_LINE.format(f"  {ref}", rows, size, "imported", place))
    return ["imported, not in the catalog", *lines] if lines else []


@command.command("fetch")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=completers.data)
@list_option(
    "--suite",
    "-s",
    "suites",
    text="Also what these suites need, comma-separated.",
    shell_complete=completers.suites,
)
@list_option(
    "--methods",
    "-m",
    text="Also what these methods need, comma-separated.",
    shell_complete=completers.methods,
)
@click.option("--profile", help="Profile of the methods [what the suites say, else local].")
@click.option("--to", help=_TO_HELP)
@click.option(
    "--yes", is_flag=True, hidden=True, help="Accepted, but there is no question to answer."
)
@click.option(
    "--mirror",
    help="Address to use in place of scheme and host of public files, e.g. http://127.0.0.1:8000 "
    "or file:///folder; checksums are still verified [$BENCH_MIRROR]. For the hub, set "
    "HF_ENDPOINT.",
)
@click.option("--offline", is_flag=True, help="Never use the network.")
def fetch(
    names: tuple[str, ...],
    suites: tuple[str, ...] | None,
    methods: tuple[str, ...] | None,
    profile: str | None,
    to: str | None,
    yes: bool,
    mirror: str | None,
    offline: bool,
) -> int:
    """Download data sets, e.g. for machines without a network.

    NAME is family/set, family/set:split, a pattern such as 'sts/*', corpus:wiki1m, or all. Licences
    are printed first.
    """
    from bench import api
    from bench.core.bar import Bar
    from bench.core.spec import parse_method_spec
    from bench.data.fetch import NOTHING
    from bench.data.needs import Needs
    from bench.data.places import embedded
    from bench.execution.provision import note_needs
    from bench.method.files import with_files
    from bench.suite import default_profile, load_suites

    if not names and not suites and not methods:
        raise UsageError("name data sets, or pass --suite and --methods; see 'bench data list'")
    folder = _target(to)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    loaded = [member for name in suites or () for member in load_suites(name)]
    specs = [parse_method_spec(with_files(text)) for text in methods or ()]
    with Bar() as bar, writing(folder):
        settings = api.make_settings(
            profile=profile or default_profile(suites or ()),
            offline=offline,
            mirror=mirror,
            progress=bar,
        )
        needs = Needs(settings.data, places=[folder, embedded()])
        _note_names(names, needs)
        note_needs(needs, loaded, specs, settings)
        for ref, wrong in needs.refuse_changed().items():
            bar.note(f"{ref} is here, but {wrong}; it will be replaced")
        if needs and needs.size != NOTHING and not settings.data.may_fetch:
            raise DataError(
                f"{', '.join(needs.labels[:3])}: offline, so {needs.size} were not downloaded; "
                "allow the network, or pass --mirror file:///FOLDER"
            )
        missing = [*needs.labels]
        try:
            needs.fetch(folder)
        except DataError:
            say(_outcome(needs, missing, folder))
            raise
        say(_outcome(needs, missing, folder))
    return EXIT_OK


def _note_names(names: Sequence[str], needs: Needs) -> None:
    from bench.data.catalog import parse_names
    from bench.data.corpora import NAMES, NamedCorpus

    for name in names:
        kind, colon, corpus = name.partition(":")
        if kind != "corpus" or not colon:
            needs.ask(parse_names([name]))
        elif corpus in NAMES:
            NamedCorpus(corpus).fingerprint(needs)
        else:
            raise UsageError(f"unknown corpus {corpus!r}; choose {', '.join(NAMES)}")


def _outcome(needs: Needs, missing: Sequence[str], folder: Path) -> str:
    """A line for each that was asked for: present, fetched or failed."""
    left = needs.labels
    rows = []
    for label in dict.fromkeys([*map(str, needs.asked), *missing]):
        status = "failed" if label in left else "fetched" if label in missing else "present"
        rows.append([label, status])
    return f"{listing(rows, ['Data', 'Status'])}\nin {folder}"


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=completers.data)
@click.option("--data", help=_DATA_HELP)
def verify(names: tuple[str, ...], data: str | None) -> None:
    """Recompute rows and checksums of the data sets NAME, or of all, in data folder and cache."""
    from bench.core.bar import Bar
    from bench.data.catalog import catalog, parse_names

    refs = parse_names(names or catalog())
    roots = list(_places(data).values())
    rows: list[list[str]] = []
    with Bar() as bar:
        bar.start("verify", len(refs))
        for done, ref in enumerate(refs, 1):
            rows += _findings(ref, roots)
            bar.advance(done)
    say(listing(rows, ["Data", "Status", "Path"]))
    fine = {"ok"} if names else {"ok", "missing"}
    if bad := [name for name, status, _ in rows if status not in fine]:
        raise DataError(
            f"{len(bad)} of {len(rows)} are wrong or missing, see above; to download them again, "
            f"run: bench data fetch {' '.join(dict.fromkeys(bad))}{f' --to {data}' if data else ''}"
        )


def _findings(ref: SplitRef, roots: Sequence[Path]) -> list[list[str]]:
    from bench.data.places import locate, state

    paths = [path for root in roots if (path := locate(ref, [root])) is not None]
    found = [[str(ref), state(path, ref), str(path)] for path in paths]
    return found or [[str(ref), "missing", NONE]]


@command.command("translate")
@click.argument("corpus")
@click.option(
    "--via",
    "languages",
    nargs=2,
    multiple=True,
    required=True,
    metavar="THERE BACK",
    help="Models that translate to a language and back, folders or hub ids; given twice.",
)
@click.option("--sentences", type=click.IntRange(min=1), help="Rows of the corpus [all].")
@click.option("--device", help="Torch device [auto].")
@click.option("--data", help=_DATA_HELP)
@click.option("--to", help=_TO_HELP)
@click.option("--offline", is_flag=True, help="Never use the network.")
def translate(
    corpus: str,
    languages: tuple[tuple[str, str], ...],
    sentences: int | None,
    device: str | None,
    data: str | None,
    to: str | None,
    offline: bool,
) -> None:
    """Translate the texts of CORPUS to two languages and back: the pairs that SCT learns from.

    They become corpus back-translated. CORPUS is nli, say, or a file with a sentence a line.
    """
    from bench import api
    from bench.core.bar import Bar
    from bench.data.corpora import BACK_TRANSLATED, NamedCorpus, made_path
    from bench.execution.back_translation import back_translate

    if len(languages) != 2:
        raise UsageError("give --via twice: a text is paired by its translations by two languages")
    path = _target(to) / made_path(BACK_TRANSLATED)
    with Bar() as bar, writing(path):
        settings = api.make_settings(
            profile="local", data=data, device=device, offline=offline, progress=bar
        )
        first, second = languages
        pairs = back_translate(NamedCorpus(corpus, sentences), (first, second), path, settings)
    say(f"{pairs} pairs in {path}")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, help="Name to import it as: family/set:split.")
@click.option(
    "--column", "columns", multiple=True, help="What the file calls a column: sentence1=a."
)
@click.option("--kind", help="Kind of task that reads it [the family, if it is a kind].")
@click.option("--to", help=_TO_HELP)
def import_table(
    file: Path, name: str, columns: tuple[str, ...], kind: str | None, to: str | None
) -> None:
    """Convert your own FILE (JSON lines, CSV, TSV, Parquet); prints a task for a suite's TOML."""
    from bench.data.convert import convert, parse_own
    from bench.suite import KINDS, row_columns

    ref = parse_own(name)
    family, _, short = ref.dataset.partition("/")
    if kind is None and family not in KINDS:
        raise UsageError(
            f"{family!r} is not a kind of task; pass --kind, one of: {', '.join(KINDS)}"
        )
    wanted = row_columns(kind or family)
    folder = _target(to)
    with writing(folder):
        data = convert(file, ref, wanted, _rename(columns, wanted), folder)
    say(_task(short, kind or family, data))


def _rename(options: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for option in options:
        column, equals, name = option.partition("=")
        if not equals:
            raise UsageError(f"--column {option!r}: expected COLUMN=NAME, e.g. {columns[0]}=a")
        if column not in columns:
            raise UsageError(f"--column {option!r}: this kind has the columns {', '.join(columns)}")
        if names.setdefault(column, name) != name:
            raise UsageError(f"--column {column} is given twice: {names[column]} and {name}")
    return names


def _task(name: str, kind: str, data: OwnTable) -> str:
    file = toml_text(data.file)
    return (
        f'[[tasks]]\nname = "{name}"\nkind = "{kind}"\n'
        f'data = {{ file = {file}, rows = {data.rows}, sha256 = "{data.sha256}" }}'
    )


def _places(data: str | None) -> dict[str, Path]:
    from bench.data.access import find_folder
    from bench.data.places import embedded

    folder = find_folder(data)
    given = {"folder": folder} if folder else {}
    return {**given, "cache": Cache(default_root()).data, "package": embedded()}


def _target(to: str | None) -> Path:
    folder = to or os.environ.get("BENCH_DATA")
    return Path(folder) if folder else Cache(default_root()).data
