"""The page: its numbers are the table's, it loads nothing, and texts from elsewhere stay texts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records.files import find_records, read_record
from bench.report.export import to_json
from bench.report.table import read_suites
from bench.verdicts.difference import compare
from tests.support.charts import drawing
from tests.support.records import write_edited

material = drawing("html.material")
page = drawing("html.page")
items = drawing("html.items")
licences = drawing("html.licences")
differences = drawing("html.differences")
span = drawing("html.span")

MINI = Path(__file__).parents[3] / "results" / "baselines" / "mini"
EVIL = "</script><script>alert(1)</script><b onclick=x>\"'{{7*7}}"


class Page(HTMLParser):
    """Tables of a page by their id, as rows of texts, and what else the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, Mapping[str, str | None]]]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._table, self._cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.tags.append((tag, own))
        if tag == "table":
            self._table = own.get("id") or f"table{len(self.tables)}"
            self.tables[self._table] = []
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag in {"td", "th"} and self._table:
            self.tables[self._table][-1].append(("", own))
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._cell = False
        elif tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self._cell:
            text, own = self.tables[self._table][-1].pop()
            self.tables[self._table][-1].append((text + data, own))


@pytest.fixture(scope="module")
def mini() -> Any:
    return material.gather("mini", read_suites(find_records([MINI]))["mini"])


@pytest.fixture(scope="module")
def text(mini: Any) -> str:
    return page.render_report(
        [mini], {"mini": page.Items(content=items.content(mini, {}, with_texts=False))}
    )


def test_the_leaderboard_has_the_numbers_of_the_table(mini: Any, text: str) -> None:
    table = json.loads(to_json([mini.table]))[0]
    head, *rows = Page(text).tables["s0-leaderboard-table"]
    names = [cell.strip() for cell, _ in head]
    by_spec = {row["spec"]: row for row in table["rows"]}
    shown = [row for row in rows if len(row) == len(names)]
    assert len(shown) == len(by_spec) == 6
    place = names.index("Method")
    assert names[place + 1] == "Avg"
    assert names[place + 2].startswith("95% CI")
    best = max(by_spec.values(), key=lambda row: row["average"])["spec"]
    for cells in shown:
        values = {name: own["data-v"] for name, (_, own) in zip(names, cells, strict=True)}
        texts = {name: cell.strip() for name, (cell, _) in zip(names, cells, strict=True)}
        row = by_spec[str(values["Method"])]
        is_bold = "best" in str(cells[place + 1][1]["class"]).split()
        assert is_bold == (row["spec"] == best)
        assert float(str(values["Avg"])) == row["average"]
        assert texts["Avg"] == f"{100 * row['average']:.2f}"
        for task, score in row["scores"].items():
            assert float(str(values[task])) == score
            assert texts[task].rstrip("‡°") == f"{100 * score:.2f}"
        assert texts["Rank"] == ("" if row["rank"] is None else str(row["rank"]))
        low, high = row["ci95"]["low"], row["ci95"]["high"]
        assert texts[next(n for n in names if n.startswith("95% CI"))].startswith(
            f"{100 * low:.2f}–{100 * high:.2f}"
        )


def test_every_interval_is_drawn_or_said_to_lie_outside(mini: Any, text: str) -> None:
    rows = [cells for cells in Page(text).tables["s0-leaderboard-table"] if len(cells) > 2][1:]
    drawn = re.findall(r'<td[^>]*class="[^"]* ci"[^>]*>[^<]*<(svg|span)', text)
    assert len(drawn) == len(rows) == 6
    assert drawn.count("span") == text.count(">◂<") == 1
    assert "◂ The interval lies left of those that are drawn." in text


def test_labels_name_rows_in_every_part(tmp_path: Path) -> None:
    for path in MINI.iterdir():
        shutil.copy(path, tmp_path)
    (path,) = tmp_path.glob("tfidf-*.json")
    record = read_record(path)
    labelled = record.method.model_copy(update={"label": "ours"})
    write_edited(path, record.model_copy(update={"method": labelled}).model_dump(mode="json"))
    shown = material.gather("mini", read_suites(find_records([tmp_path]))["mini"])
    parts = Page(page.render_report([shown], {"mini": page.Items()})).tables
    names = {
        name: {own.get("data-v") or text for row in rows for text, own in row}
        for name, rows in parts.items()
    }
    assert "ours" in names["s0-leaderboard-table"]
    for name, texts in names.items():
        assert "tfidf" not in texts, name
    assert sum("ours" in {text.strip() for text in texts} for texts in names.values()) >= 3


def test_times_are_shown_of_one_machine(tmp_path: Path) -> None:
    stored = read_suites(find_records([MINI.parent / "sts7"]))["sts7"]
    shown = material.gather("sts7", stored)
    machines = {record.machine["processor"] for record in shown.records}
    assert len(machines) == 2
    alike = {row.id for row in shown.of_one_machine.rows}
    assert (
        len({one.side.first.machine["processor"] for one in shown.shown if one.row.id in alike})
        == 1
    )
    assert len(alike) > len(shown.shown) / 2


def test_differences_are_those_of_compare(mini: Any) -> None:
    forests = differences.context(mini)["data"]["forests"]
    sides = {shown.id: shown.side for shown in mini.shown}
    for reference in ("m0", "m4"):
        for name, _, _, _, delta, interval, p, verdict in forests[reference]["lines"]:
            line = compare(sides[name], sides[reference]).lines[-1]
            assert delta == f"{100 * line.difference.delta:+.2f}".replace("-", "−")
            low, high = (100 * end for end in line.difference.ci95)
            assert interval == f"{low:+.2f} to {high:+.2f}".replace("-", "−")
            assert p == ("<0.0001" if line.p_holm < 1e-4 else f"{line.p_holm:.4f}")
            expected = {"a": "higher", "b": "lower"}
            assert verdict == expected.get(line.better or "", "no difference shown")
    bases = {shown.row.spec: shown.id for shown in mini.shown}
    assert [line[0] for line in forests["own"]["lines"]] == [bases["simcse"], bases["sct"]]


def test_the_policy_lets_the_page_load_nothing(text: str) -> None:
    tags = Page(text).tags
    policy = next(
        own["content"]
        for tag, own in tags
        if tag == "meta" and "content" in own and "src" in str(own["content"])
    )
    assert str(policy).startswith("default-src 'none'")
    assert "unsafe" not in str(policy)
    assert "connect-src" not in str(policy)
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in str(policy)
    for tag, own in tags:
        assert tag not in {"link", "img", "iframe", "object", "base"}
        assert not {"style", "src", "onclick", "onload"} & own.keys()
        assert not str(own.get("href") or "#").strip("#").startswith(("http", "javascript", "/"))


def test_the_page_is_the_same_text_twice_and_small(mini: Any, text: str) -> None:
    again = material.gather("mini", read_suites(find_records([MINI]))["mini"])
    content = items.content(again, {}, with_texts=False)
    assert page.render_report([again], {"mini": page.Items(content=content)}) == text
    assert len(text) < 4e5


def test_texts_from_elsewhere_stay_texts(mini: Any) -> None:
    stored = [
        (
            path,
            record.model_copy(
                update={
                    "suite": EVIL,
                    "method": record.method.model_copy(
                        update={"spec": f"{record.method.name}{EVIL}"}
                    ),
                    "versions": {"evil": EVIL},
                }
            ),
        )
        for path, record in mini.stored
    ]
    evil = material.gather(EVIL, stored)
    rows = {"STS": [{"sentence1": EVIL, "sentence2": "b", "score": 1.0}] * 205}
    content = items.content(evil, rows, with_texts=True)
    content["tasks"][0]["texts"] = [[EVIL]]
    text = page.render_report([evil], {EVIL: page.Items(content=content)})
    tags = Page(text).tags
    assert [own for tag, own in tags if tag == "script"] == [
        {"type": "application/json", "class": "data", "id": "s0-differences-data"},
        {"type": "application/json", "class": "data", "id": "s0-items-data"},
        {},
    ]
    assert not any("onclick" in own for _, own in tags)
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "49" not in re.findall(r"<title>(.*?)</title>", text)[0]


def test_items_are_those_of_the_records(mini: Any) -> None:
    content = items.content(mini, {}, with_texts=False)
    tasks = {task["name"]: task for task in content["tasks"]}
    assert [task["count"] for task in tasks.values()] == [205, 320, 40, 240]
    for shown in mini.shown:
        packed = base64.b64decode(tasks["STS"]["methods"][shown.id]["values"])
        np.testing.assert_array_equal(
            np.frombuffer(packed, "<f4"), shown.side.values("STS").astype("f4")
        )
    assert tasks["Intent"]["methods"]["m0"]["kind"] == "predicted"


def test_texts_are_shown_by_their_licence(mini: Any) -> None:
    rows = {"STS": [{"sentence1": "a", "sentence2": "b", "score": 1.0}] * 205}
    content = items.content(mini, rows, with_texts=False)
    assert content["tasks"][0]["texts"][0] == ["a", "b"]
    assert content["tasks"][1]["why"] == "the rows are not here"
    # Fewer rows than items are others than those that were scored.
    content = items.content(mini, {"STS": rows["STS"][1:]}, with_texts=False)
    assert content["tasks"][0]["texts"] == []
    assert items.shown_tasks("sts7", with_texts=False) == set()
    assert items.shown_tasks("sts7", with_texts=True) >= {"STS12", "SICK-R"}
    assert items.shown_tasks("mini", with_texts=False) == {"STS", "Intent", "Reranking", "NLI"}


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("CC0 1.0", True),
        ("CC0 1.0 (Snips)", True),
        ("CC0-1.0", True),
        ("CC BY-SA 4.0 (SNLI)", True),
        ("CC BY-SA 4.0", True),
        ("Apache-2.0 (repository); SNLI CC BY-SA 4.0", False),
        ("MIT (repository); data sets' own terms", False),
        ("CC BY-NC 4.0", False),
        ("CC BY-NC-SA 3.0", False),
        ("SemEval STS organisers' terms (research use; parts CC BY-SA)", False),
        ("none stated at the source; research use", False),
        ("as the parts", False),
        ("not known here", False),
        ("", False),
    ],
)
def test_which_licences_let_texts_be_passed_on(licence: str, free: bool) -> None:
    assert licences.is_free(licence) is free


@pytest.mark.parametrize("ends", [(-12.0, 20.5), (0.001, 0.004), (55.0, 85.0), (-1e-9, 1e9)])
def test_ticks_are_round_and_few(ends: tuple[float, float]) -> None:
    ticks = span.Span(*ends).ticks()
    assert 1 <= len(ticks) <= 6
    values = [float(text.replace("−", "-")) for _, text in ticks]
    assert values == sorted(values)
    assert all(ends[0] <= value <= ends[1] for value in values)
