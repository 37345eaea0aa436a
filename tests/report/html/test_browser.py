"""The page in a browser: nothing is loaded or complained of, keys are enough, axe finds nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import main

pytestmark = pytest.mark.nightly

BASELINES = Path(__file__).parents[3] / "results" / "baselines"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1280, 360)
# What axe judges only where colours and sizes are real.
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, or a skip."""
    library = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with library.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module", params=["mini", "sts7"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of committed records."""
    pytest.importorskip("vl_convert", reason="needs the extra 'report'")
    path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    assert main(["report", str(BASELINES / request.param), "-o", str(path)]) == 0
    assert path.stat().st_size < 1.5e6
    return path


class Visit:
    """A page that was opened without a network, and what it asked and complained of."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()


def rows(page: Any) -> list[str]:
    """Methods of the leaderboard in the order that is seen."""
    names: list[str] = page.eval_on_selector_all(
        ".board tr.row:not([hidden])", "rows => rows.map(row => row.dataset.spec)"
    )
    return names


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_opens_in_peace(browser: Any, report: Path, width: int, scheme: str) -> None:
    viewport = {"width": width, "height": 800}
    visit = Visit(browser, report, viewport=viewport, color_scheme=scheme)
    with visit as page:
        assert visit.complaints == []
        assert visit.requests == [report.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".picture svg text").count() > 10
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(browser: Any, report: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs: pip install axe-playwright-python"
    )
    viewport = {"width": width, "height": 800}
    with Visit(browser, report, viewport=viewport, color_scheme=scheme) as page:
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        violations = axe.Axe().run(page).response["violations"]
        told = [(one["id"], [node["html"][:90] for node in one["nodes"]][:3]) for one in violations]
        assert told == []


def test_keys_sort_and_the_direction_is_told(browser: Any, report: Path) -> None:
    with Visit(browser, report) as page:
        assert page.locator("[data-group]").count() == 1
        page.locator("[data-group]").uncheck()
        before = rows(page)
        button = page.locator(".board thead button", has_text="Avg")
        button.focus()
        page.keyboard.press("Enter")
        head = page.locator(".board thead th[aria-sort]")
        assert head.get_attribute("aria-sort") == "descending"
        values = page.eval_on_selector_all(
            ".board tr.row", "rows => rows.map(row => Number(row.cells[2].dataset.v))"
        )
        assert values == sorted(values, reverse=True)
        page.keyboard.press("Space")
        assert head.get_attribute("aria-sort") == "ascending"
        assert rows(page) != before
        page.keyboard.press("Enter")
        assert head.count() == 0
        assert rows(page) == before


def test_filters_columns_and_references(browser: Any, report: Path) -> None:
    with Visit(browser, report) as page:
        every = rows(page)
        page.locator("[data-filter=spec]").fill("simcse")
        assert rows(page) == [name for name in every if "simcse" in name]
        assert page.locator(".count").inner_text().endswith(f"of {len(every)} methods")
        page.locator("[data-filter=spec]").fill("")
        heads = page.locator(".board thead th")
        hidden = heads.filter(has_text="Memory")
        assert not hidden.is_visible()
        page.locator(".choose summary").click()
        page.locator(".choose label", has_text="Memory").locator("input").check()
        assert hidden.is_visible()
        page.keyboard.press("Escape")
        assert not page.locator(".choose fieldset").is_visible()
        data = json.loads(page.locator("#s0-differences-data").text_content())
        key = list(data["forests"])[-1]
        page.locator("[data-reference]").select_option(key)
        shown = page.eval_on_selector_all(
            "#s0-differences-forest tbody tr",
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))",
        )
        assert [[row[0], *row[2:]] for row in shown] == [
            [data["names"][line[0]], *line[4:]] for line in data["forests"][key]["lines"]
        ]


def test_without_scripts_everything_can_be_read(browser: Any, report: Path) -> None:
    with Visit(browser, report, java_script_enabled=False) as page:
        table = page.locator(".board")
        assert table.is_visible()
        assert table.locator("thead th", has_text="Memory").is_visible()
        assert page.locator(".board tr.row").count() >= 6
        assert page.locator(".forest tbody tr").count() >= 2
        assert page.locator(".controls:visible").count() == 0
        page.locator(".copies summary").click()
        assert "| Rank | Method" in " ".join(page.locator(".copies pre").first.inner_text().split())


def test_items_of_two_methods(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "mini.html"
    assert main(["report", str(BASELINES / "mini"), "-o", str(path)]) == 0
    visit = Visit(browser, path)
    with visit as page:
        page.locator("[data-items-task]").select_option(label="Intent")
        page.locator("[data-items-a]").select_option(label="minilm")
        page.locator("[data-items-b]").select_option(label="random")
        page.locator("[data-items-which]").select_option("b")
        cells = page.eval_on_selector_all(
            ".items-table tbody tr", "rows => rows.map(row => [...row.cells].map(c => c.innerText))"
        )
        assert cells
        for _, gold, _, answer, a, b, change in cells:
            assert (answer, a, b, change) == (gold, "0.0", "100.0", "−100.0")
        page.locator("[data-items-which]").select_option("all")
        page.locator(".pager button", has_text="Next").press("Enter")
        assert "page 2 of 16" in page.locator(".pager output").inner_text()
        page.locator("[data-items-text]").fill("ratatouille")
        assert page.locator(".items-table tbody tr").count() == 1
        assert visit.complaints == []
