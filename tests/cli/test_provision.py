"""``bench run`` on a machine with nothing but the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.api import make_settings
from bench.core.spec import parse_method_spec
from bench.data.catalog import Dataset
from bench.data.rows import rows_sha256
from bench.execution.provision import find_needs
from bench.records.files import find_records, read_record
from bench.suite import load_suites
from tests.support.mirror import AT, Served, add, files, put, serve
from tests.support.suites import Bench

STS = {"sts/sts12", "sts/sts13", "sts/sts14", "sts/sts15", "sts/sts16", "sts/stsb", "sts/sick"}
PARAPHRASE = {f"paraphrase/{name}" for name in ("asset", "multi30k_captions", "quora", "wikisplit")}
WORDS = ["apple", "bread", "candle", "dust", "echo", "farm", "glass", "hill", "iron", "lamp"]
PAIRS = [(f"the {WORDS[i % 10]} {i}", f"{WORDS[i * 7 % 10]} things", i % 6.0) for i in range(40)]
NAME = "sts/made"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite on a set of the catalog, whose file lies on no server yet."""
    content = "".join(f"{a}\t{b}\t{score}\n" for a, b, score in PAIRS).encode()
    columns = ["sentence1", "sentence2", "score"]
    rows = [dict(zip(columns, pair, strict=True)) for pair in PAIRS]
    sha256 = put(tmp_path / "served", content, "made.tsv")
    source = {
        "at": AT,
        "read": {"format": "tsv", "columns": columns},
        "steps": [{"step": "number", "column": "score", "type": "float"}],
        "files": [{"url": "made.tsv", "sha256": sha256, "bytes": len(content), "split": "test"}],
    }
    facts = {
        "licence": "CC0 for tests",
        "columns": columns,
        "sources": [source],
        "splits": {"test": {"rows": 40, "sha256": rows_sha256(rows, columns)}},
    }
    add(monkeypatch, Dataset.model_validate(facts), NAME)
    path = tmp_path / "made.toml"
    path.write_text(
        'name = "made"\ntitle = "x"\nconvention = "simcse"\naverage = ["pairs"]\n'
        f'[[tasks]]\nname = "pairs"\nkind = "sts"\ndata = "{NAME}:test"\n'
    )
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return path


@pytest.fixture
def served(suite: Path):
    """The server of that file."""
    with serve(suite.parent / "served") as found:
        yield found


def test_what_is_missing_is_fetched_once(
    bench: Bench, suite: Path, served: Served, tmp_path: Path
) -> None:
    arguments = ("run", "--suite", suite, "--methods", "good", "--mirror", served.address)
    code, out, err = bench(*arguments)
    assert code == 0, err
    assert "good" in out
    assert err.index("data to download: 0.1 MB in 1 file") < err.index("CC0 for tests")
    assert files(tmp_path / "cache" / "data") == [f"{NAME}/test.jsonl.gz"]
    assert bench(*arguments)[0] == 0
    assert bench("run", "--suite", suite, "--methods", "good2")[0] == 0
    assert served.paths == ["/files/made.tsv"]


def test_a_data_folder_wins(bench: Bench, suite: Path, served: Served) -> None:
    bench("data", "fetch", NAME, "--to", "mine", "--mirror", served.address)
    code, _, _ = bench("run", "--suite", suite, "--methods", "good", "--data", "mine")
    assert code == 0
    assert served.paths == ["/files/made.tsv"]


def test_offline_the_command_to_fetch_is_named(
    bench: Bench, suite: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    code, out, err = bench("run", "--suite", suite, "--methods", "good,good2")
    assert (code, out) == (4, "")
    assert err == (
        f"bench: {NAME}:test (0.1 MB in 1 file): not here, and cannot be fetched offline; pass "
        "--data FOLDER (or set BENCH_DATA), or run with a network: bench data fetch --suite "
        f"{suite} --methods good,good2\n"
    )
    monkeypatch.delenv("BENCH_OFFLINE")
    code, out, _ = bench(
        *("data", "fetch", "--suite", suite, "--methods", "good,good2"),
        *("--mirror", served.address),
    )
    assert code == 0
    assert out.splitlines()[2].split() == [f"{NAME}:test", "fetched"]
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    assert bench("run", "--suite", suite, "--methods", "good,good2")[0] == 0


def test_a_dry_run_says_what_would_be_downloaded(
    bench: Bench, suite: Path, served: Served, tmp_path: Path
) -> None:
    code, out, _ = bench(
        "run", "--suite", suite, "--methods", "good", "--dry-run", "--mirror", served.address
    )
    assert code == 0
    assert out.splitlines() == [
        "made  good  seed 0",
        f"to download  {NAME}:test",
        "1 cell at most, 0.1 MB in 1 file to download first",
    ]
    assert served.asked == []
    assert not list((tmp_path / "results").rglob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--methods", "nobody"), 2, "unknown method 'nobody'"),
        (("--methods", "sct[x=1]"), 2, "has no option 'x'"),
        (("--methods", "good", "--output", "made.toml/x"), 2, "cannot be written"),
        (("--methods", "minbert@somewhere"), 2, "minbert has no checkpoints"),
    ],
)
def test_mistakes_are_told_before_a_download(
    bench: Bench, suite: Path, served: Served, arguments: tuple[str, ...], code: int, message: str
) -> None:
    got, _, err = bench("run", "--suite", suite, "--mirror", served.address, *arguments)
    assert got == code
    assert message in err
    assert served.asked == []


def test_what_cannot_be_had_ends_the_run(bench: Bench, suite: Path, served: Served) -> None:
    served.faults.append(404)
    code, out, err = bench("run", "--suite", suite, "--methods", "good", "--mirror", served.address)
    assert (code, out) == (4, "")
    assert (
        f"({NAME}:test): {NAME}:test: {served.address}/files/made.tsv cannot be fetched: 404"
        in err.splitlines()[-1]
    )


def needed(suite: str | None, methods: str, profile: str = "local") -> set[str]:
    """Data sets that a run would fetch."""
    suites = load_suites(suite) if suite else []
    specs = [parse_method_spec(text) for text in methods.split(";")]
    needs = find_needs(suites, specs, make_settings(profile=profile))
    return {label.partition(":")[0] for label in needs.labels}


@pytest.mark.usefixtures("own_cache")
def test_a_run_needs_what_its_suites_and_methods_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    assert needed("sts7", "sct;simcse") == STS | PARAPHRASE
    assert needed("sts7", "sct;simcse", "smoke") == STS
    assert needed("mini", "minilm") == set()
    assert needed(None, "minilm-l2-mlm") == {"unlabeled/mix"}
    assert needed(None, "sct[base=minilm-l2-mlm]") >= {"unlabeled/mix"} | PARAPHRASE
    assert needed(None, "sup-simcse[dev=false]") == {"nli/triplets"}
    assert needed(None, "defsent") >= {"definitions/oewn"}
    assert needed(None, "conan") >= {"reranking/wikiqa", "sts/sick", "sts/sts16"}
    assert needed(None, "truncate[dim=8,of=tfidf[corpus=stsb]]") == {"sts/stsb"}
    assert needed("intent", "majority") >= {"classification/atis"}
    hub = needed(None, "simcse[base=minilm-l2]", "paper")
    assert hub == {"wiki1m_for_simcse.txt of princeton-nlp/datasets-for-simcse", "sts/stsb"}


def test_the_record_is_that_of_a_data_folder(bench: Bench, suite: Path, served: Served) -> None:
    bench("data", "fetch", NAME, "--to", "mine", "--mirror", served.address)
    arguments = ("run", "--suite", suite, "--methods", "good")
    bench(*arguments, "--data", "mine", "--output", "a")
    bench(*arguments, "--mirror", served.address, "--output", "b")
    first, second = (read_record(*find_records([Path(name)])) for name in "ab")
    assert first.scored_rows == second.scored_rows
    assert first.average == second.average
    assert json.loads(first.model_dump_json())["revisions"] == {}
