from tests.report.golden.pages import PAGES, page, place

for name, width in PAGES:
    place(name, width).write_text(page(name, width), encoding="utf-8")
