"""Pages about several runs in headless Chromium."""

from __future__ import annotations

import pytest

from bench.analysis.across.side_by_side import side_by_side
from bench.report.across.compare_page import compare_page
from bench.report.across.history_page import history_page
from bench.report.across.page import write_page
from tests.support.browser import browser, missing, page_of
from tests.support.synthetic_records.several_runs import a_run, timed
from tests.support.synthetic_records.synthetic import make_record

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

FRAMEWORKS = ("pytorch", "keras-jax", "keras-torch")
EVIL = "<img src=x onerror=\"document.title='hacked'\">"


def runs():
    """Three days, on which each framework is slower by another factor."""
    return [
        a_run(
            f"{EVIL}{day}",
            *(timed(1 + day * place / 2, day, framework=f) for place, f in enumerate(FRAMEWORKS)),
        )
        for day in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(params=["compare", "history"])
def page(request, chromium, tmp_path):
    of = request.param
    text = compare_page(side_by_side(runs())) if of == "compare" else history_page(runs(), "time")
    path = write_page(tmp_path / f"{of}.html", text)
    with page_of(chromium, path, viewport={"width": 390, "height": 844}) as page:
        page.first_table = "#cases" if of == "compare" else "#latest"
        yield page
        assert page.errors == []
        assert page.requests == [page.url.partition("#")[0]]
        assert page.title() != "hacked"


def cells(page, header):
    table = page.locator(page.first_table)
    headers = [text.strip() for text in table.locator("thead th").all_inner_texts()]
    place = headers.index(header)
    return [row.locator("td").nth(place).inner_text() for row in table.locator("tbody tr").all()]


def test_tables_sort_by_their_numbers_and_filter(page):
    header = "B / A" if page.first_table == "#cases" else "last / before"
    assert sorted(cells(page, "case")) == sorted(FRAMEWORKS)  # all else is the same in all rows
    table = page.locator(page.first_table)
    found = []
    for _ in range(2):
        table.get_by_role("columnheader", name=header).click()
        found.append([float(text.partition("x")[0]) for text in cells(page, header)])
    assert found[0] == sorted(found[0])
    assert found[1] == found[0][::-1]
    assert len(set(found[0])) == 3
    page.locator("select[name=framework]").select_option("keras-jax")
    assert cells(page, "case") == ["keras-jax"]
    assert page.locator("select[name=track]").count() == 0  # all rows have the same
    page.get_by_role("button", name="Show all").click()
    table.locator("tbody tr").nth(2).wait_for(state="visible")
    assert len(cells(page, "case")) == 3


def test_pages_of_a_long_table_are_named_after_it(chromium, tmp_path):
    days = [
        a_run(f"day {day}", *(timed(1, day, batch_size=1 + n) for n in range(51))) for day in (1, 2)
    ]
    path = write_page(tmp_path / "long.html", compare_page(side_by_side(days)))
    with page_of(chromium, path) as page:
        assert page.get_by_role("navigation", name="Pages of Case by case").count() == 1
        page.locator(".dt-paging-button", has_text="2").click()
        assert page.locator("#cases tbody tr").count() == 1
        assert page.get_by_role("navigation", name="Pages of Case by case").count() == 1


def test_a_phone_shows_the_values_next_to_one_column_that_stays(page):
    table = page.locator(page.first_table)
    first = table.locator("tbody tr").first.locator("td")
    names = [text.strip() for text in table.locator("thead th").all_inner_texts()]
    assert (names[0], "network" in names) == ("case", False)
    compared, latest = ("A", "B", "B / A", "B is"), ("last run", "last / before", "verdict")
    for header in compared if page.first_table == "#cases" else latest:
        box = first.nth(names.index(header)).bounding_box()
        assert box["x"] + box["width"] <= 390, header
    table.locator("xpath=..").evaluate("box => box.scrollLeft = 200")
    assert 0 <= first.first.bounding_box()["x"] < 40
    table.locator("xpath=..").evaluate("box => box.scrollLeft = 0")


def test_a_screen_has_a_column_for_each_condition(chromium, tmp_path):
    path = write_page(tmp_path / "wide.html", compare_page(side_by_side(runs())))
    with page_of(chromium, path, viewport={"width": 1440, "height": 900}) as page:
        names = [text.strip() for text in page.locator("#cases thead th").all_inner_texts()]
        assert names[:2] == ["network", "framework"]
        assert "case" not in names


def test_a_phone_names_what_all_rows_share(page):
    shared = page.locator(f"{page.first_table} .note.phone")
    assert shared.inner_text() == "All rows: network cifar-bn; track closed; measured training."
    again = page.locator(f"{page.first_table} .note", has_text="The same in all rows")
    assert "closed" not in " ".join(again.all_inner_texts())


def test_plots_follow_the_filters_and_units_sort_apart(chromium, tmp_path):
    """Planted: two networks; accuracies and speeds in one column."""
    days = [
        a_run(
            f"day {day}",
            *(
                record
                for variant in ("cifar-bn", "cifar-lrn")
                for record in (
                    timed(day, day, variant=variant),
                    make_record(
                        kind="accuracy", variant=variant, samples=(0.4 + day / 100,),
                        started_at=f"2025-01-0{day}T00:00:00+00:00",
                    ),
                )
            ),
        )
        for day in (1, 2)
    ]  # fmt: skip
    path = write_page(tmp_path / "history.html", history_page(days, "time"))
    with page_of(chromium, path) as page:
        figures = page.locator("figure")
        assert (figures.count(), page.locator("figure:visible").count()) == (4, 4)
        page.locator("select[name=network]").select_option("cifar-lrn")
        titles = page.locator("figure:visible .card.wide").evaluate_all(
            "cards => cards.map(card => card.getAttribute('aria-label'))"
        )
        assert len(titles) == 2
        assert all(title.startswith("cifar-lrn") for title in titles)
        page.get_by_role("button", name="Show all").click()
        page.locator("figure:visible").nth(3).wait_for()
        page.first_table = "#latest"
        for _ in range(2):
            page.locator("#latest").get_by_role("columnheader", name="last / before").click()
            units = ["x" in text for text in cells(page, "last / before")]
            assert units in ([True, True, False, False], [False, False, True, True])


def test_rows_that_only_the_script_has_are_as_the_others(chromium, tmp_path):
    days = [a_run(f"day {d}", *(timed(d, d, batch_size=1 + n) for n in range(130))) for d in (1, 2)]
    path = write_page(tmp_path / "long.html", history_page(days, "run"))
    with page_of(chromium, path, viewport={"width": 390, "height": 844}) as page:
        page.locator("#points summary").first.click()
        page.locator("#points .dt-paging-button", has_text="6").click()
        last = page.locator("#points tbody tr")
        assert last.count() == 10
        first = last.first.locator("td")
        assert first.first.get_attribute("class") == "case"
        assert first.first.inner_text().startswith("batch ")
        assert "right" in first.nth(1).get_attribute("class")


def test_plots_fit_a_phone(page):
    for card in page.locator("figure .card").all():
        if card.is_visible():
            assert card.evaluate("card => card.scrollWidth <= card.clientWidth"), card
    assert page.locator("figure .card.narrow:visible").count() > 0


def test_no_violation_of_accessibility_and_no_overflow(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()
