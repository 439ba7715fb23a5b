import re
from dataclasses import replace
from pathlib import Path

import click
import pytest

from bench.cli.commands.report import report
from bench.core.errors import UserError
from bench.core.records import RecordStore
from bench.networks.variants import VARIANTS
from bench.report.blocks import stale, unmarked
from bench.report.readme import rows_of
from bench.stats.summaries import summary_of
from tests.support.synthetic_records import scaling
from tests.support.synthetic_records.synthetic import DATASET, OTHER_DATASET, make_record

TABLE = "<!-- table: run=one name=latency framework=pytorch columns='variant, p50' -->"
VALUE = "<!-- value: run=one name=latency framework=pytorch variant=cifar-bn column=p50 -->"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A file in a folder of a project that has one run."""
    for framework in ("pytorch", "keras-jax"):
        for variant in ("cifar-bn", "cifar-lrn"):
            record = make_record(kind="latency", framework=framework, variant=variant)
            RecordStore(tmp_path / "results" / "one").append(record)
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs" / "page.md"


def written(page: Path, text: str) -> str:
    page.write_text(text, encoding="utf-8")
    stale(page, write=True)
    return page.read_text(encoding="utf-8")


def test_a_table_is_made_from_the_rows_and_columns_that_its_comment_names(page):
    text = written(page, f"before\n\n{TABLE}\nold\n<!-- /table -->\n\nafter\n")
    assert text.startswith("before\n\n<!-- table: ")
    assert text.endswith("<!-- /table -->\n\nafter\n")
    assert "old" not in text
    header, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert re.split(r"\s*\|\s*", header)[1:-1] == ["network", "p50 (ms)"]
    assert {row.split("|")[1].strip() for row in rows} == {"cifar-bn", "cifar-lrn"}


def test_the_interval_of_an_efficiency_stands_next_to_it(page):
    RecordStore(page.parents[1] / "results" / "scaled").append(*scaling.RUN)
    comment = "<!-- table: run=scaled name=scaling columns='images_per_second, efficiency' -->"
    text = written(page, f"{comment}\n<!-- /table -->\n")
    _, _, row, *_ = [line for line in text.splitlines() if line.startswith("|")]
    assert re.fullmatch(r"\| +[\d.,]+ \| +[\d.]+ % \[[\d.]+, [\d.]+\] \|", row)


def test_an_efficiency_is_a_speed_with_its_caveat(page):
    caveat = {"on": "speed", "why": "other work ran"}
    marked = [replace(record, caveats=(caveat,)) for record in scaling.RUN]
    RecordStore(page.parents[1] / "results" / "scaled").append(*marked)
    comment = "<!-- table: run=scaled name=scaling columns='framework, efficiency' -->"
    text = written(page, f"{comment}\n<!-- /table -->\n")
    assert "| pytorch ‡ " in text
    assert "‡ All rows: other work ran." in text


def test_a_comparison_is_of_the_accuracies_of_two_runs_on_whatever_images(page):
    runs = (("first", 0.52, DATASET, "02"), ("second", 0.5, OTHER_DATASET, "03"))
    for run, accuracy, data, day in runs:
        begun = f"2025-01-{day}T03:04:05+00:00"  # two measurements, no copies of one
        for seed in range(3):
            record = make_record(kind="accuracy", seed=seed, dataset=data, started_at=begun)
            store = RecordStore(page.parents[1] / "results" / run)
            store.append(replace(record, samples=(accuracy + 0.01 * seed,)))
    comment = "<!-- table: run={} name=comparison columns='variant, seeds, difference, verdict' -->"
    text = written(page, f"{comment.format('first,second')}\n<!-- /table -->\n")
    _, _, row = [line for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        *("cifar-bn", "3", "-2.0 [-2.0, -2.0]", "lower")
    ]
    with pytest.raises(UserError, match="of two runs; give run=A,B"):
        written(page, f"{comment.format('first')}\n<!-- /table -->\n")


def test_a_value_is_the_one_cell_that_its_comment_names(page):
    text = written(page, f"It takes {VALUE}?<!-- /value --> ms.\n")
    (row,) = [
        row
        for row in rows_of("latency", RecordStore(page.parents[1] / "results" / "one").read())
        if row["framework"] == "pytorch" and row["variant"] == "cifar-bn"
    ]
    shown = float(re.search(r"-->(.*?)<!--", text).group(1))
    assert shown == pytest.approx(1000 * row["p50"], rel=5e-3)


def test_what_is_up_to_date_is_not_reported_and_what_is_not_is_reported_without_writing(page):
    good = written(page, f"{TABLE}<!-- /table -->\n")
    assert stale(page, write=False) == []
    page.write_text(good.replace("cifar-lrn", "cifar-xyz"), encoding="utf-8")
    assert stale(page, write=False) == [TABLE[5:-4]]
    assert "cifar-xyz" in page.read_text(encoding="utf-8")


def test_changed_records_make_a_figure_stale(page):
    written(page, f"It takes {VALUE}?<!-- /value --> ms.\n")
    record = make_record(kind="latency", framework="pytorch", variant="cifar-bn")
    slower = tuple(3 * sample for sample in record.samples)
    later = replace(record, samples=slower, started_at="2099-01-01T00:00:00+00:00")
    summary = summary_of("latency", [slower], record.images_per_sample)
    RecordStore(page.parents[1] / "results" / "one").append(replace(later, summary=summary))
    assert len(stale(page, write=False)) == 1


def test_headers_are_renamed_and_alternatives_are_separated_by_bars(page):
    told = "run=one name=latency framework=pytorch|keras-jax track=closed"
    text = written(page, f"<!-- table: {told} columns='framework=who, p99' --><!-- /table -->")
    assert "| who " in text
    assert "| pytorch " in text
    assert "| keras-jax " in text


def test_networks_need_no_run(page):
    text = written(page, "<!-- table: name=networks columns='variant, layers' --><!-- /table -->")
    assert all(f"| {name} " in text for name in VARIANTS)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("run=two name=latency columns=p50", "no folder results/two"),
        ("run=one name=nothing columns=p50", "unknown table 'nothing'; known: interleaved"),
        ("run=one name=latency columns=p51", "no column 'p51'; there are dataset"),
        ("run=one name=latency variant=none columns=p50", "no such row"),
        ("run=one name=latency colour=red columns=p50", "no column 'colour'"),
        ("run=one name=latency", "no columns"),
        ("run=one latency", "'latency' is no key=value"),
    ],
)
def test_a_block_that_cannot_be_made_is_named_with_the_reason(page, told, why):
    page.write_text(f"<!-- table: {told} --><!-- /table -->", encoding="utf-8")
    with pytest.raises(UserError, match=f"page.md: table: .*{why}"):
        stale(page, write=True)


def test_a_value_of_several_rows_is_refused(page):
    page.write_text("x <!-- value: run=one name=latency column=p50 --><!-- /value -->")
    with pytest.raises(UserError, match="rows where one is meant"):
        stale(page, write=True)


@pytest.mark.parametrize("text", [TABLE, "<!-- /table -->", f"{TABLE}<!-- /value -->"])
def test_a_comment_without_its_partner_is_refused_and_the_file_left_alone(page, text):
    page.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="without its partner"):
        stale(page, write=True)
    assert page.read_text(encoding="utf-8") == text


def test_a_value_at_the_start_of_a_line_is_refused(page):
    """Markdown would end the paragraph there."""
    page.write_text(f"It takes\n{VALUE}<!-- /value --> ms.\n", encoding="utf-8")
    with pytest.raises(UserError, match="a line begins with a value"):
        stale(page, write=True)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*README\.md"):
        stale(tmp_path / "README.md", write=True)


def test_a_file_without_blocks_is_named(page):
    page.write_text("no block here", encoding="utf-8")
    with pytest.raises(UserError, match="has no block"):
        stale(page, write=True)


def test_check_exits_with_1_and_writes_nothing_until_the_file_is_updated(page, capsys):
    page.write_text(f"{TABLE}<!-- /table -->\n", encoding="utf-8")
    check = ["--readme", str(page), "--check"]
    assert report.main(check, standalone_mode=False) == 1
    assert f"stale: {page}: table: run=one" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == f"{TABLE}<!-- /table -->\n"
    assert report.main(["--readme", str(page)], standalone_mode=False) == 0
    assert report.main(check, standalone_mode=False) == 0


@pytest.mark.parametrize("arguments", [[], ["--check"], ["run", "--check"]])
def test_a_report_of_nothing_is_a_usage_error(arguments):
    with pytest.raises(click.UsageError):
        report.main(arguments, standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("Trains at 1.90x [1.80, 2.00].", ["1.90x [1.80, 2.00]"]),
        ("Reaches 85.0 % [84.1, 85.9], 2.25x as fast.", ["85.0 % [84.1, 85.9]", "2.25x"]),
        ("Welch gives −17.6 [−26.5, −8.7][^welch].", []),
        ("```\n1.90x [1.80, 2.00]\n```", []),
        (
            "<!-- value: run=one -->1.90x [1.80, 2.00]<!-- /value --> as fast",
            [],
        ),
    ],
    ids=["ratio", "several", "footnote", "code", "block"],
)
def test_a_measured_figure_outside_of_a_block_is_found(
    tmp_path: Path, text: str, figures: list[str]
) -> None:
    """A value whose comments were deleted would never be compared with its records again."""
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n\n{text}\n\nThe end.\n", encoding="utf-8")
    assert unmarked(page) == figures
