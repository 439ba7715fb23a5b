import errno
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bench.core.errors import OutputError, UserError
from bench.core.records import RecordStore
from bench.report import html as report_html
from bench.report import plots
from bench.report import tables as report_tables
from bench.report.html import merge, write_results
from tests.support.synthetic_records.synthetic import (
    ENVIRONMENT,
    FRAMEWORKS,
    OTHER_DATASET,
    SETTINGS,
    make_failure,
    make_record,
)
from tests.support.synthetic_records.synthetic_pretrained import make_article_run

VOID = {"meta", "br", "img", "wbr"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.words = [], [], [], []
        self.tags = set()
        self.whole = True
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.whole = tag != "wbr"
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href"):
                self.links.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.whole:
            self.words.append(data)
        else:
            self.words[-1] += data  # a word that may be broken here is one
        self.whole = True

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def report(records, folder, **options):
    return Page(write_results(records, folder, **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def html(whole_report):
    return (whole_report / "report.html").read_text(encoding="utf-8")


def test_results_lie_where_they_should(tmp_path):
    path = write_results([make_record()], tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "report.html"
    assert (path.parent / "tables" / "latency.csv").is_file()
    assert (path.parent / "plots" / "latency_closed.svg").is_file()


def test_the_page_needs_nothing_but_itself(whole_report, html):
    page = Page(html)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    text = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"https?:|@import|<link", text)
    assert html.count("<script>") == 2  # the library and the page's own
    assert "default-src &#39;none&#39;" in html
    assert html.count("<figure") == len(list((whole_report / "plots").glob("*.svg"))) >= 30


def test_every_id_is_there_once_and_every_reference_finds_one(html):
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    wanted = {link[1:] for link in page.links if link.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted
    assert wanted <= set(page.ids)


def test_the_page_fits_a_phone_and_a_dark_room(html):
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_chapters_that_are_not_seen_are_unpainted_on_large_pages_alone(html, tmp_path, monkeypatch):
    """A picture of a whole page has nothing but headings there."""
    style = html.partition("<style>")[2].partition("</style>")[0]
    rules = [rule for rule in style.split("}") if "content-visibility: auto" in rule]
    assert rules
    assert all(rule.split("*/")[-1].strip().startswith(".large ") for rule in rules)
    assert "<body>" in html
    monkeypatch.setattr("bench.report.report.LARGE", 0)
    page = write_results([make_failure()], tmp_path).read_text(encoding="utf-8")
    assert '<body class="large">' in page


def test_the_head_says_what_was_run_on_which_data_and_machine(html):
    text = Page(html).text
    assert "40 of 41 measurements gave a result, 1 failed." in text
    assert "50,000 training images and 10,000 test images, fingerprint 0a1b2c3d4e5f" in text
    assert "Example CPU 9000, 2 cores, 8.0 GiB, Linux 6.1, Python 3.11.7, torch 2.9.0" in text
    assert re.search(r"cifar-bn: pytorch trains at [\d,]+ images/s; keras-tensorflow 0\.7", text)
    assert re.search(r"cifar-bn: test accuracy pytorch \d\d\.\d %", text)


def test_failures_come_before_tables(html):
    assert html.index('id="failures"') < html.index('id="accuracy"')


def test_everything_is_escaped(html):
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert" in html


def test_the_contact_sheet_is_part_of_the_page(html):
    assert "data:image/png;base64," in html


@pytest.mark.usefixtures("undrawn")
def test_no_contact_sheet_no_chapter(tmp_path):
    assert "images" not in report([make_record()], tmp_path).ids


def test_settings_and_environment_are_shown_without_places_or_names(tmp_path):
    settings = {**SETTINGS, "cache": "/home/someone/.cache/x", "allow_tf32": None}
    settings["recipe"] = {**SETTINGS["recipe"], "head_scale": None}
    environment = {**ENVIRONMENT, "hostname": "box17", "user": "someone"}
    text = report([make_record(settings=settings, environment=environment)], tmp_path).text
    assert "recipe.learning_rate 0.01" in text
    assert "allow_tf32 unknown (no way to ask)" in text
    assert "recipe.head_scale not set" in text
    assert "versions.torch 2.9.0" in text
    assert "box17" not in text
    assert "someone" not in text


def test_settings_that_the_optimizer_does_not_use_are_not_shown(tmp_path):
    recipe = {**SETTINGS["recipe"], "optimizer": "adam", "momentum": 0.9, "nesterov": True}
    adam = make_record(kind="accuracy", settings={**SETTINGS, "recipe": recipe})
    text = report([adam], tmp_path / "adam").text
    assert "recipe.optimizer adam" in text
    assert "recipe.momentum" not in text
    assert "recipe.nesterov" not in text
    sgd = replace(adam, settings={**SETTINGS, "recipe": {**recipe, "optimizer": "sgd"}})
    assert "recipe.momentum 0.9" in report([sgd], tmp_path / "sgd").text
    assert adam.settings["recipe"]["momentum"] == 0.9


def test_no_line_ends_before_a_percent_sign_or_within_an_option(tmp_path):
    records = [make_record(kind="accuracy", framework=name) for name in FRAMEWORKS]
    page = write_results(records, tmp_path).read_text(encoding="utf-8")
    texts = re.findall(r"<(?:p|li|dd|figcaption)\b[^>]*>(.*?)</", page, re.DOTALL)
    assert any("\u00a0%" in text for text in texts)
    assert not [text for text in texts if re.search(r"\d %", text)]
    assert str(report_html._tied("alexbench run --data-dir x-y")) == (
        'alexbench run <span class="whole">--data-dir</span> x-y'
    )


def test_what_weights_bring_is_said_with_accuracies(tmp_path):
    """The chapter had the cache's seconds and not one accuracy."""
    records = make_article_run()
    page = write_results(records, tmp_path).read_text(encoding="utf-8")
    chapter = page[page.index('id="q-pretraining"') : page.index('id="q-trust"')]
    assert re.search(r"Test accuracy of [\w-]+ in pytorch: [\d.]+\u00a0% \(pretrained ", chapter)
    assert 'href="#accuracy"' in chapter


def test_few_caveats_are_read_first_and_many_leave_room_for_the_answers():
    of_all, *of_rows = lines = [
        "‡ All rows: why",
        *(f"‡ cifar-bn in pytorch: {n}" for n in range(4)),
    ]
    few, many = report_html.Caveats.of(lines[1:4]), report_html.Caveats.of(lines[::-1])
    assert few.shown == tuple(lines[1:4])
    assert few.folded == ()
    assert many.shown == (of_all,)
    assert many.folded == tuple(of_rows[::-1])


@pytest.mark.usefixtures("undrawn")
def test_a_caveat_of_all_rows_stands_once_in_the_page(tmp_path):
    caveats = ({"on": "all", "why": "tests ran meanwhile"},)
    records = [
        make_record(framework=name, kind=kind, caveats=caveats)
        for name in FRAMEWORKS
        for kind in ("train_throughput", "latency")
    ]
    text = report(records, tmp_path).text.partition('{"records"')[0]
    assert text.count("tests ran meanwhile") == 1
    assert text.count("‡ All rows of this table: see Read this first") >= 2


@pytest.mark.usefixtures("undrawn")
def test_with_several_datasets_a_caveat_of_all_rows_names_its_data(tmp_path):
    caveats = ({"on": "all", "why": "tests ran meanwhile"},)
    records = [make_record(framework=name, caveats=caveats) for name in FRAMEWORKS]
    records += [make_record(framework=name, dataset=OTHER_DATASET) for name in FRAMEWORKS]
    text = report(records, tmp_path).text.partition('{"records"')[0]
    assert text.count("‡ All rows on cifar10 (0a1b2c3d4e5f): tests ran meanwhile") == 1
    assert "closed, cifar10 (0a1b2c3d4e5f)" in text
    alone = report(records[: len(FRAMEWORKS)], tmp_path).text
    of_tables = "‡ All rows of this table: see Read this first"
    assert text.count(of_tables) == alone.count(of_tables) > 0
    assert "closed, cifar10" not in alone


@pytest.mark.usefixtures("undrawn")
def test_a_machine_stands_once_with_the_versions_of_all_its_environments(tmp_path):
    both = [{**ENVIRONMENT, "versions": {name: "1.0"}} for name in ("torch", "keras")]
    records = [
        make_record(framework=name, environment=environment)
        for name, environment in zip(FRAMEWORKS, both, strict=False)
    ]
    text = report(records, tmp_path).text
    assert text.count("Machine ") == 1
    assert "torch 1.0; keras 1.0" in text


@pytest.mark.usefixtures("undrawn")
def test_one_thing_is_no_plural(tmp_path):
    text = report([make_record()], tmp_path).text.partition('{"records"')[0]
    assert "Table: 1 row " in text
    assert not re.findall(r"\b1 (?:rows|cases|settings|facts|results|measurements|plots)\b", text)


def test_a_long_error_shows_its_end_in_a_fold(tmp_path):
    error = "\n".join(f"line {number}" for number in range(100))
    page = report([make_failure(error=error)], tmp_path)
    assert "details" in page.tags
    assert "line 99" in page.text
    assert "line 60" in page.text
    assert "line 59" not in page.text
    assert "(60 lines before)" in page.text


def test_a_report_without_a_result_says_so(tmp_path):
    page = report([make_failure(), make_failure("latency", status="timeout")], tmp_path)
    assert "There is no result in this report." in page.text
    assert "0 of 2 measurements gave a result, 1 failed, 1 ran out of time." in page.text
    assert "svg" not in page.tags


def test_a_report_without_a_record_says_so(tmp_path):
    page = report([], tmp_path)
    assert "Nothing was measured: the run has no records." in page.text
    assert (tmp_path / "tables" / "accuracy.md").is_file()


@pytest.mark.usefixtures("undrawn")
def test_notes_of_the_dataset_are_told(tmp_path):
    dataset = {**OTHER_DATASET, "notes": ["Ten drawn classes, not CIFAR-10."]}
    assert (
        "Ten drawn classes, not CIFAR-10." in report([make_record(dataset=dataset)], tmp_path).text
    )


@pytest.mark.usefixtures("undrawn")
def test_title_can_be_given(tmp_path):
    assert "My <run>" in report([make_record()], tmp_path, title="My <run>").text


def test_the_same_records_give_the_same_page(tmp_path):
    records = [make_record(framework=name) for name in FRAMEWORKS]
    pages = [write_results(records, tmp_path / side).read_bytes() for side in ("a", "b")]
    assert pages[0] == pages[1]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write results into") as caught:
        write_results([make_record()], tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_a_plot_that_fails_leaves_tables_and_page(tmp_path, monkeypatch, capsys):
    def fails(*_):
        raise ValueError("planted failure")

    monkeypatch.setattr(plots, "_drawing", fails)
    page = write_results([make_record()], tmp_path)
    assert (tmp_path / "tables" / "throughput.csv").is_file()
    assert "ValueError: planted failure" in page.read_text(encoding="utf-8")
    shown = capsys.readouterr().err
    assert shown.startswith("alexbench: ")
    assert shown.count("\n") == 1
    assert "could not be drawn" in shown


@pytest.mark.usefixtures("undrawn")
def test_a_full_disk_leaves_the_page_of_before(tmp_path, monkeypatch):
    page = write_results([make_record()], tmp_path)
    before = page.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report_html, "write_whole", full)
    with pytest.raises(OutputError, match=r"No space left on device; .*the records are whole"):
        write_results([make_record(), make_record(framework="keras-jax")], tmp_path)
    assert page.read_bytes() == before


def store(folder, *records):
    for record in records:
        RecordStore(folder).append(record)
    return folder


@pytest.mark.usefixtures("undrawn")
def test_runs_are_merged_and_the_later_measurement_counts(tmp_path):
    old, new = (make_record(started_at=f"2025-01-0{day}T00:00:00+00:00") for day in (1, 2))
    other = make_record(framework="keras-jax")
    runs = [store(tmp_path / "a", new), store(tmp_path / "b", old, other)]
    merged = merge(runs)
    assert merged.records == [new, other]
    (note,) = merged.notes
    assert old.case.id in note
    assert "2025-01-01" in note
    assert note in report(merged.records, tmp_path / "out", notes=merged.notes).text


def test_the_same_case_on_other_data_is_kept(tmp_path):
    runs = [
        store(tmp_path / "a", make_record()),
        store(tmp_path / "b", make_record(dataset=OTHER_DATASET)),
    ]
    assert len(merge(runs).records) == 2
    assert merge(runs).notes == []


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        merge([tmp_path / "nowhere"])


def test_reports_are_made_without_a_framework():
    program = (
        "import sys, bench.report.html, bench.analysis.comparison.compare; "
        "print({'torch', 'tensorflow', 'jax', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_what_fails_becomes_a_note_and_costs_no_page(tmp_path, monkeypatch, capsys):
    files = report_tables._files

    def fails(*_):
        raise KeyError("no such key")

    monkeypatch.setattr("bench.report.summary.headlines", fails)
    monkeypatch.setattr(
        report_tables, "_files", lambda t, r: fails() if t.name == "latency" else files(t, r)
    )
    page = write_results([make_record(kind="latency"), make_record(kind="startup")], tmp_path)
    text, said = page.read_text("utf-8"), capsys.readouterr().err
    for what in ("The headlines", "The table latency"):
        assert f"{what} could not be made: KeyError" in text
        assert f"{what} could not be made: KeyError" in said
    assert (tmp_path / "tables" / "startup.csv").is_file()
