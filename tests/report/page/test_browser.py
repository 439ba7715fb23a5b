"""report.html in headless Chromium."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bench.core.records import RecordStore
from bench.report.html import write_results
from tests.support.browser import browser, missing, page_of
from tests.support.synthetic_records.synthetic import CLASSES, make_failure, make_record, make_run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

ATTACK = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
FRAMEWORKS = ("pytorch", "keras-jax", "keras-torch")
SCREENS = (("light", 1440, 900), ("dark", 390, 844))
OPENED = ("throughput", "per_class", "parity")
STEPS = 10
TIMED = make_record(kind="train_throughput")


def hostile(records):
    """The same with HTML in a run's name, a setting, a class and an error."""
    found = []
    for record in records:
        settings = {**record.settings, ATTACK: ATTACK}
        metrics = dict(record.metrics)
        if metrics.get("per_class"):
            values = metrics["per_class"].values()
            classes = [ATTACK, *CLASSES[1:]]
            metrics |= {"per_class": dict(zip(classes, values, strict=True)), "classes": classes}
        found.append(replace(record, settings=settings, metrics=metrics, run=ATTACK))
    return [*found, make_failure(seed=7, error=ATTACK)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    Image.new("RGB", (8, 8)).save(folder / "contact_sheet.png")
    records = [record for record in make_run(seeds=1) if record.case.framework in FRAMEWORKS]
    records.append(make_record(kind="latency", precision="bfloat16", track="tuned"))
    return write_results(hostile(records), folder)


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium, path):
    with page_of(chromium, path, viewport={"width": 1440, "height": 900}) as page:
        yield page
        assert page.errors == []
        assert page.requests == [page.url.partition("#")[0]]
        assert page.title() == "AlexNet in PyTorch and Keras"


def opened(page, chapter):
    """The first table of a chapter, opened."""
    page.locator(f"#{chapter} details.table > summary").click()
    page.locator(f"#{chapter} .tools").first.wait_for()
    return page.locator(f"#{chapter} .part").first


def column(part, header):
    """The cells of a column, from the top."""
    headers = part.locator("thead th").all_inner_texts()
    place = next(i for i, text in enumerate(headers) if text.strip() == header)
    return [row.locator("td").nth(place).inner_text() for row in part.locator("tbody tr").all()]


def test_tables_sort_by_their_numbers(page):
    part = opened(page, "throughput")
    for order in ("ascending", "descending"):
        part.get_by_role("columnheader", name="images/s").first.click()
        values = [float(v.replace(",", "")) for v in column(part, "images/s")]
        assert len(values) > 8
        assert values == sorted(values, reverse=order == "descending")
        header = part.locator("thead th", has_text="images/s").first
        assert header.get_attribute("aria-sort") == order


def test_filters_hold_for_all_tables_and_are_in_the_address(page):
    part = opened(page, "throughput")
    page.locator("select[name=framework]").select_option("keras-jax")
    assert set(column(part, "framework")) == {"keras-jax"}
    assert set(column(opened(page, "latency"), "framework")) == {"keras-jax"}
    page.locator("select[name=track]").select_option("idiomatic")
    assert part.is_hidden()
    assert page.locator("#throughput .part").nth(1).is_visible()
    assert page.url.endswith("?framework=keras-jax&track=idiomatic")
    for chapter in ("throughput", "startup"):  # one is opened, the other is not
        summary = page.locator(f"#{chapter} details.table > summary").inner_text()
        left, every = map(int, re.findall(r"\d+", summary))
        page.locator(f"#{chapter} details.table").evaluate("fold => { fold.open = true; }")
        page.locator(f"#{chapter} .tools").first.wait_for(state="attached")
        assert page.locator(f"#{chapter} tbody tr:visible").count() == left
        assert 0 < left < every
    page.get_by_role("button", name="Show all").click()
    part.wait_for(state="visible")
    assert len(set(column(part, "framework"))) == 3
    assert " of " not in page.locator("#throughput details.table > summary").inner_text()


def copied(page, *, markdown):
    """The clipboard, when it has what was asked for."""
    for _ in range(50):
        text = page.evaluate("navigator.clipboard.readText()")
        if text and text.startswith("|") == markdown:
            return text
        page.wait_for_timeout(100)
    raise AssertionError(f"the clipboard has {text!r}")


def test_columns_hide_and_what_is_shown_is_copied(chromium, path):
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with page_of(chromium, path, **options) as page:
        part = opened(page, "throughput")
        assert "recipe" not in part.locator("thead").inner_text()  # the same in all rows
        assert "recipe steady" in part.locator(".note").first.inner_text()
        part.get_by_text("Columns", exact=True).click()
        part.get_by_label("recipe", exact=True).check()
        part.get_by_label("blocks", exact=True).uncheck()
        headers = [text.strip() for text in part.locator("thead th").all_inner_texts()][1:]
        assert "recipe" in headers
        assert "blocks" not in headers
        page.locator("select[name=network]").select_option("cifar-lrn")
        for words, sign in (("Copy CSV", ","), ("Copy Markdown", "|")):
            part.get_by_role("button", name=words).click()
            text = copied(page, markdown=sign == "|")
            lines = text.strip().splitlines()
            if sign == "|":
                assert [w.strip() for w in lines[0].strip("| ").split(sign)] == headers
            assert len(lines) == part.locator("tbody tr").count() + (2 if sign == "|" else 1)
            assert "cifar-bn" not in text
        part.get_by_role("button", name="Copy CSV").click()
        first, *rows = csv.reader(copied(page, markdown=False).splitlines())
        for header in (
            "images/s",
            "images/s, 95 % interval low",
            "images/s, 95 % interval high",
            "x pytorch high",
        ):
            assert all(float(row[first.index(header)] or 0) >= 0 for row in rows)
        shown = column(part, "images/s")
        speeds = [row[first.index("images/s")] for row in rows]
        assert speeds == [value.replace(",", "") for value in shown]
        assert any("," in value for value in shown)
        assert page.errors == []


def test_a_word_in_the_place_of_a_number_is_copied(chromium, tmp_path):
    low, high = (
        make_record(kind="accuracy", framework=name, samples=(value,))
        for name, value in (("pytorch", 0.5), ("keras-jax", 0.7))
    )
    late = [{**goal, "images": None, "seconds": None} for goal in low.metrics["thresholds"]]
    flat = [{**point, "test_accuracy": 0.1} for point in low.metrics["curve"]]
    metrics = {**low.metrics, "curve": flat, "thresholds": late}
    path = write_results([replace(low, metrics=metrics), high], tmp_path)
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with page_of(chromium, path, **options) as page:
        part = opened(page, "time_to_accuracy")
        assert "never" in column(part, "median (s)")
        part.get_by_role("button", name="Copy CSV").click()
        first, *rows = csv.reader(copied(page, markdown=False).splitlines())
        assert "never" in [row[first.index("median (s)")] for row in rows]


def test_a_row_opens_to_samples_settings_certificate_and_command(page):
    part = opened(page, "throughput")
    opener = part.locator("tbody tr td.opens button").first
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    record = part.locator(".record").first
    assert record.locator("svg circle").count() == 12
    seconds = sorted(1000 * value / STEPS for value in TIMED.samples)
    median = (seconds[5] + seconds[6]) / 2
    said = record.locator(".note", has_text="12 samples of 2 processes").inner_text()
    assert float(re.search(r"median of all ([\d.]+) ms", said)[1]) == pytest.approx(
        median, rel=1e-3
    )
    assert "per step" in said
    assert said.endswith(f"A sample is a block of {STEPS} steps.")
    assert "alexbench run --variants cifar-bn --frameworks pytorch" in record.inner_text()
    record.get_by_text(re.compile(r"^Settings \(")).click()
    record.get_by_text("recipe.learning_rate").first.wait_for()
    record.get_by_text(re.compile(r"^Certificate \(")).click()
    record.get_by_text("figures.float64 loss.bound").first.wait_for()
    page.keyboard.press("Escape")
    opener.click()
    assert part.locator(".record").count() == 0


def test_samples_of_a_row_can_be_read_on_a_phone(chromium, path):
    with page_of(chromium, path, viewport={"width": 390, "height": 844}) as page:
        part = opened(page, "throughput")
        part.locator("tbody tr td.opens button").first.click()
        plot = part.locator(".record svg").first
        assert plot.locator("circle").count() == 12
        assert plot.bounding_box()["width"] <= 390
        assert plot.evaluate(LEAVES) == []
        letters = [text.bounding_box()["height"] for text in plot.locator("text").all()]
        assert min(letters) >= 11


def test_selected_rows_show_only_settings_that_differ(page):
    part = opened(page, "throughput")
    boxes = part.locator("tbody td.opens input")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Settings that differ").click()
    dialog = page.locator("dialog")
    text = dialog.inner_text()
    assert "case.framework" in text
    assert "learning_rate" not in text
    assert re.search(r"\d+ differ, [1-9]\d* are equal", text)
    page.keyboard.press("Escape")
    assert dialog.is_hidden()


def test_links_lead_to_chapters_and_rows_with_their_filters(chromium, path, page):
    part = opened(page, "latency")
    anchor = part.locator("tbody tr[id]").nth(2).get_attribute("id")
    with page_of(chromium, path, f"{anchor}?network=cifar-bn") as other:
        row = other.locator(f"#{anchor}")
        row.wait_for(state="visible")
        assert other.locator("select[name=network]").input_value() == "cifar-bn"
        assert other.locator("#latency .record").first.is_visible()
        assert row.bounding_box()["y"] < 900
    with page_of(chromium, path, "parity") as other:
        assert 0 <= other.locator("#parity").bounding_box()["y"] < 200


@pytest.mark.parametrize(("scheme", "width", "height"), SCREENS)
def test_no_violation_of_accessibility_and_no_overflow(chromium, path, scheme, width, height):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    size = {"width": width, "height": height}
    with page_of(chromium, path, color_scheme=scheme, viewport=size) as page:
        for chapter in OPENED:
            opened(page, chapter)
        page.evaluate("document.querySelectorAll('#settings details').forEach(d => d.open = true)")
        page.locator("tbody tr td.opens button").first.click()
        page.locator("tbody tr td.opens input").first.check()
        page.locator(".tools summary").first.click()
        page.add_style_tag(content="section { content-visibility: visible !important; }")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
        assert page.errors == []


def test_colours_follow_the_system_or_the_reader(chromium, path):
    ground = "getComputedStyle(document.body).backgroundColor"
    with page_of(chromium, path, color_scheme="dark") as page:
        assert page.evaluate(ground) == "rgb(20, 24, 28)"
        page.locator("#theme-choice").select_option("light")
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.reload()
        assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_html_in_names_classes_and_errors_stays_text(page):
    for chapter in ("throughput", "per_class"):
        part = opened(page, chapter)
        part.locator("tbody tr td.opens button").first.click()
        part.get_by_text(re.compile(r"^Settings \(")).first.click()
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert ATTACK in page.locator("#per_class thead").first.text_content()
    assert ATTACK in page.locator("#throughput .record").first.text_content()
    assert ATTACK in page.locator("#failures").text_content()


def test_the_page_is_printed_with_its_tables(page):
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 10
    page.emulate_media(media="print")
    for folded in ("#throughput .fold figcaption", ".answers details li"):
        found = page.locator(folded)
        assert found.count()
        assert found.first.evaluate("part => part.checkVisibility({ contentVisibilityAuto: true })")
        assert found.first.bounding_box()["height"] > 5


def test_a_phone_shows_whom_each_row_is_about_and_its_first_value(chromium, path):
    with page_of(chromium, path, viewport={"width": 390, "height": 844}) as page:
        part = opened(page, "throughput")
        assert "scrolls" in part.locator(".tools").evaluate(
            "tools => getComputedStyle(tools, '::after').content"
        )
        page.locator("details.table").evaluate_all(
            "folds => folds.forEach(f => { f.open = true; })"
        )
        page.locator("#parity .tools").first.wait_for()
        # Not of the classes, one of which has a name without end here.
        tables = page.locator("section:not(#confusions) > details .part:has(.tools)").all()
        assert len(tables) > 10
        for table in tables:
            cells = table.locator("tbody tr").first.locator("td:not(.opens)")
            assert cells.nth(0).get_attribute("class") == "case"
            assert cells.nth(0).inner_text()
            if cells.count() == 1:
                continue  # all values are the same in all rows, and stand above the table
            value = cells.nth(1).bounding_box()
            assert value["x"] + value["width"] <= 390, table.get_attribute("aria-label")
        scroll = part.locator(".dt-layout-table, .scroll").last
        scroll.evaluate("box => box.scrollLeft = 200")
        case = part.locator("tbody td.case").first.bounding_box()
        assert 0 <= case["x"] < 60
        for control in part.locator("td.opens").first.locator("button, input").all():
            box = control.bounding_box()
            assert min(box["width"], box["height"]) >= 24


def test_a_copy_is_seen_and_folds_count_the_plots_that_the_filter_leaves(chromium, path):
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with page_of(chromium, path, viewport={"width": 1440, "height": 900}, **options) as page:
        part = opened(page, "throughput")
        asked = part.locator(".tools button").first
        asked.click()
        page.wait_for_function(
            "asked => asked.textContent === '✓ Copied'", arg=asked.element_handle()
        )
        page.wait_for_function(
            "asked => asked.textContent === 'Copy CSV'", arg=asked.element_handle()
        )
        folds = page.locator("#accuracy details.plots > summary")
        every = int(folds.inner_text().split()[0])
        page.locator("select[name=track]").select_option("idiomatic")
        left = page.locator("#accuracy details.plots figure:not([hidden])").count()
        assert 0 < left < every
        assert folds.inner_text().split()[0] == str(left)


LEAVES = """svg => { const room = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < room.left - .5 || box.right > room.right + .5 || box.top < room.top - .5 ||
      box.bottom > room.bottom + .5; }).map(text => text.textContent); }"""
RUNS = {
    "reference-2026-11-26-executions": {"latency", "startup", "train_throughput"},
    "reference-2026-11-28-pretrained": {"accuracy"},
}


@pytest.mark.parametrize("run", RUNS)
def test_no_word_leaves_its_plot_in_the_faces_of_a_reader(chromium, tmp_path, run):
    """Measured by the browser, which may set texts wider than they were drawn."""
    records = RecordStore(Path(__file__).parents[3] / "results" / run).read()
    path = write_results([r for r in records if r.kind in RUNS[run]], tmp_path)
    for width in (1440, 390):
        with page_of(chromium, path, viewport={"width": width, "height": 900}) as page:
            plots = page.locator(".drawn svg, .card svg")
            found = [plot for plot in plots.all() if plot.is_visible()]
            assert len(found) >= 3
            assert {str(words) for plot in found if (words := plot.evaluate(LEAVES))} == set()


def test_figures_of_a_phone_fit_it_and_those_of_a_screen_are_hidden(chromium, path):
    with page_of(chromium, path, viewport={"width": 390, "height": 844}) as page:
        cards = [card for card in page.locator(".card").all() if card.is_visible()]
        assert len(cards) == page.locator("figure:visible").count() > 5
        for card in cards:
            assert (
                card.evaluate("card => card.scrollLeft || card.scrollWidth - card.clientWidth") == 0
            )
        page.set_viewport_size({"width": 1440, "height": 900})
        assert page.locator(".card.narrow:visible").count() == 0


@pytest.mark.parametrize("width", [1130, 1200, 1440])
def test_answers_have_room_beside_their_plots(chromium, path, width):
    with page_of(chromium, path, viewport={"width": width, "height": 900}) as page:
        said = page.locator(".answers dd:has(.drawn) .said").first
        assert said.bounding_box()["width"] > 360


def test_keys_of_settings_are_broken_between_words_alone(chromium, path):
    with page_of(chromium, path, viewport={"width": 390, "height": 844}) as page:
        part = opened(page, "throughput")
        part.locator("td.opens button").first.click()
        part.locator(".record summary", has_text="Settings").first.click()
        key = part.locator(".pairs th").first
        key.wait_for(state="visible")
        broken = page.evaluate(BROKEN)
        assert broken["keys"] > 10
        assert broken["words"] == []


BROKEN = """() => { const words = []; let keys = 0;
  for (const key of document.querySelectorAll(".record .pairs th")) {
    keys += 1;
    for (const node of key.childNodes) if (/^\\w+[._]?$/.test(node.data)) {
      const range = document.createRange(); range.selectNodeContents(node);
      if (range.getClientRects().length > 1) words.push(node.textContent); } }
  return { keys, words }; }"""


def test_without_scripts_tables_and_pictures_are_there(chromium, path):
    with page_of(chromium, path, "latency", java_script_enabled=False) as page:
        page.locator("#latency details.table > summary").click()
        assert page.locator("#latency tbody tr").first.is_visible()
        assert page.locator("#latency svg").first.is_visible()
        assert page.locator("#filters").is_hidden()
        assert page.errors == []
