"""Pages, texts and summaries about several runs."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.across.changes import histories
from bench.analysis.across.side_by_side import side_by_side
from bench.analysis.comparison.gate import Gate, Rule
from bench.analysis.runs import Run
from bench.core.errors import UserError
from bench.report.across.compare_page import compare_page
from bench.report.across.grid import Grid
from bench.report.across.history_axis import Axis
from bench.report.across.history_page import _listed, history_page
from bench.report.across.history_plot import history
from bench.report.across.history_text import history_json, history_text
from bench.report.across.summary import (
    comparison_summary,
    run_summary,
    session_summary,
    write_summary,
)
from bench.report.across.text import failures, gate_lines, side_by_side_as_text
from bench.report.page.assets import assets
from bench.report.plot_style import INK, colour, style
from tests.support.synthetic_records.several_runs import a_run, over_days, timed
from tests.support.synthetic_records.synthetic import (
    ENVIRONMENT,
    OTHER_DATASET,
    make_failure,
    make_record,
    make_run,
)

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """The second is slower; the third failed, and its name and error are HTML."""
    accuracy = [make_record(kind="accuracy", seed=seed) for seed in (0, 1)]
    return [
        a_run("main", timed(1), *accuracy),
        a_run("new", timed(1.5), *accuracy),
        a_run(EVIL, make_failure("train_throughput", error=EVIL)),
    ]


def test_a_page_of_several_runs_has_all_that_was_compared(runs: list[Run]) -> None:
    text = compare_page(side_by_side(runs), ["slower:5%: too slow"])
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    assert "A: main" in words
    assert "B compared with A: 2 rows: 1 slower, 1 tie" in words
    assert "0.67x [" in words
    assert "The gate fails" in words
    assert "slower:5%: too slow" in words
    assert text.count("<svg") == 4  # training and accuracy, for a screen and for a phone
    assert "C has no result: failed" in words


def rows_of(page: str, anchor: str) -> list[list[str]]:
    """The cells of the table of a chapter, its header first."""
    (table,) = re.findall(rf'<table id="{anchor}-1">(.*?)</table>', page, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in table.split("<tr")[1:]]
    return [[" ".join(cell.split()) for cell in row] for row in rows]


def test_the_page_begins_with_what_is_decided_and_says_where_nothing_was_compared() -> None:
    lost = timed(1, variant="cifar-plain")
    first = a_run("a", lost, timed(1), timed(1, variant="cifar-lrn"))
    later = a_run("b", timed(1), timed(2, variant="cifar-lrn"))
    page = compare_page(side_by_side([first, later, a_run("c", timed(1, precision="bfloat16"))]))
    assert "C compared with A: nothing was compared: 3 only in A, 1 only in C." in page
    header, *rows = rows_of(page, "cases")
    place = header.index("B is")
    assert [row[place] for row in rows] == ["slower", "tie", "only in A", ""]
    plot, _ = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert "B: b" in plot
    assert "C: c" not in plot  # it has no mark
    assert "B: 0.50x [" in plot
    assert 'id="reasons"' not in page  # no row was refused or inconclusive


def interleaved_run(name: str, seconds: float, day: int, **changed: Any) -> Run:
    """PyTorch, and Keras on JAX that takes so many seconds where PyTorch takes one."""
    return a_run(
        name, timed(1, day, **changed), timed(seconds, day, framework="keras-jax", **changed)
    )


def test_runs_of_two_machines_show_what_each_says_of_its_frameworks() -> None:
    """Planted: Keras is faster on one machine and slower on the other; nothing may be compared."""
    other = {**ENVIRONMENT, "cpu": "Another"}
    runs = [interleaved_run("a", 0.5, 1), interleaved_run("b", 2, 2, environment=other)]
    page = compare_page(side_by_side(runs))
    header, *rows = rows_of(page, "within")
    (row,) = [dict(zip(header, cells, strict=True)) for cells in rows]
    assert row["A"].startswith("2.00x [")
    assert row["B"].startswith("0.50x [")
    assert (row["intervals overlap"], row["compared with"]) == ("no", "pytorch")
    caption = "Right of the line at 1x a framework is faster than its reference"
    assert re.search(rf"<figcaption>{caption}.*grey band.*</figcaption>", page)
    assert page.index('id="within"') < page.index('id="cases"')
    header, *rows = rows_of(page, "cases")
    assert {row[header.index("B is")] for row in rows} == {"refused: different machine"}
    assert "etectable" not in page  # there is no such column
    (groups,) = re.findall(r'<ul class="groups">(.*?)</section>', page, re.DOTALL)
    assert groups.count("<summary>2 rows</summary>") == groups.count("<summary>") == 1
    assert "keras-jax" in groups


@pytest.mark.parametrize(("factor", "words"), [(1.0, "yes"), (1.5, "no")])
def test_intervals_of_two_runs_overlap_or_not(factor: float, words: str) -> None:
    runs = [interleaved_run("a", 2, 1), interleaved_run("b", 2 * factor, 2)]
    page = compare_page(side_by_side(runs))
    header, row = rows_of(page, "within")
    assert row[header.index("intervals overlap")] == words
    assert page.index('id="cases"') < page.index('id="within"')


def test_a_ratio_of_one_run_alone_is_next_to_nothing() -> None:
    runs = [interleaved_run("a", 2, 1), a_run("b", timed(1, 2))]
    assert 'id="within"' not in compare_page(side_by_side(runs))


def test_caveats_stand_below_the_table_once_and_rows_have_short_names() -> None:
    one = a_run("a", *(timed(1, processes=1, batch_size=size) for size in (8, 16)))
    other = a_run("b", *(timed(1, processes=1, batch_size=size) for size in (8, 16)))
    text = side_by_side_as_text(side_by_side([one, other]))
    assert text.count("one process on a side") == 1
    assert "[1] one process on a side" in text
    rows = [line for line in text.splitlines() if line.startswith("cifar-bn")]
    assert [row.partition("  ")[0] for row in rows] == [
        "cifar-bn · batch 8 · pytorch",
        "cifar-bn · batch 16 · pytorch",
    ]
    assert all("inconclusive [1]" in row for row in rows)


def test_columns_that_tell_rows_apart_stand_before_the_values() -> None:
    def run(name: str) -> Run:
        sizes = [timed(1, batch_size=size) for size in (8, 16)]
        return a_run(name, *sizes, timed(1, variant="cifar-lrn", precision="bfloat16"))

    header, *_ = rows_of(compare_page(side_by_side([run("a"), run("b")])), "cases")
    names = [re.sub("<.*", "", cell) for cell in header]
    assert names.index("batch") < names.index("A") < names.index("precision")
    cells = (("n", "", "8"), ("n", "adam-eps", "16"))
    grid = Grid(("network", "defaults", "batch"), (False,) * 3, cells, who=3)
    assert (grid.names, grid.shared) == (["batch 8", "adam-eps · batch 16"], "network n")
    cells = (("n", "adam", "adam", "8"), ("n", "adam", "adam", "16"), ("m", "a", "a · b", "8"))
    grid = Grid(("network", "track", "recipe", "batch"), (False,) * 4, cells, who=4)
    assert grid.names == ["n · batch 8", "n · batch 16", "m"]
    grid = Grid(("track", "recipe"), (False,) * 2, (("a", "a · b"), ("c", "d")), who=2)
    assert grid.names == ["a · b", "c · d"]


def test_html_in_names_and_errors_stays_text(runs: list[Run]) -> None:
    text = compare_page(side_by_side(runs))
    assert EVIL not in text
    assert "&lt;script&gt;" in text
    page = history_page([replace(run, name=f"{EVIL}{i}") for i, run in enumerate(runs)], "time")
    assert EVIL not in page


@pytest.mark.parametrize("make", [compare_page, history_page])
def test_a_page_asks_for_no_other_file(runs: list[Run], make: object) -> None:
    text = compare_page(side_by_side(runs)) if make is compare_page else history_page(runs, "time")
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    own = text
    for script in assets().scripts:  # the table library names addresses; the browser test sees none
        assert script in own
        own = own.replace(script, "")
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", own)
    assert len(re.findall(r'\bid="([^"]+)"', text)) == len(set(re.findall(r'\bid="([^"]+)"', text)))


def test_text_of_two_runs_is_one_table_and_of_three_two(runs: list[Run]) -> None:
    two = side_by_side_as_text(side_by_side(runs[:2]))
    assert two.startswith("A: main, ")
    assert two.count("Speed of B over speed of A") == 1
    three = side_by_side_as_text(side_by_side(runs))
    assert "Speed of C over speed of A" in three
    assert "only in A" in three


def test_a_gate_on_several_runs_names_the_run(runs: list[Run]) -> None:
    rules = Rule.parse("slower:5%")
    found = side_by_side(runs)
    assert [line[:2] for line in failures(found, rules)] == ["B:", "C:"]
    lines = gate_lines(found, rules)
    assert [line for line in lines if line.startswith("FAILED C: slower:5%: nothing was compared")]
    other = side_by_side([runs[0], runs[1], a_run("c", timed(1, variant="cifar-plain"))])
    assert failures(other, rules)[1].endswith("nothing was compared: 1 only in A, 1 only in C")
    again = (replace(r, started_at="2025-02-01T00:00:00+00:00") for r in runs[0].records)
    passed = gate_lines(side_by_side([runs[0], a_run("again", *again)]), rules)
    assert passed == ["passed: slower:5%"]
    (warning,) = gate_lines(found, ())
    assert warning.startswith("C: warning: nothing was compared")


# ---- summaries


def test_a_summary_has_ratio_interval_noise_and_detectable_difference(runs: list[Run]) -> None:
    text = comparison_summary(side_by_side(runs), Rule.parse("slower:5%"))
    header = next(line for line in text.splitlines() if line.startswith("| network"))
    assert "ratio verdict noise detectable" in " ".join(re.findall(r"\w+", header))
    row = next(line for line in text.splitlines() if "| slower" in line)
    assert re.search(r"0\.67x \[0\.\d\d, 0\.\d\d\] +\| slower +\| +\d\.\d % \| +± \d+\.\d %", row)
    assert "gate failed" in text
    assert EVIL not in text


def test_the_worst_rows_of_a_summary_come_first() -> None:
    networks = ("cifar-bn", "cifar-lrn", "cifar-plain")
    before = a_run("a", *(timed(1, variant=name) for name in networks))
    factors = zip(networks, (1, 0.5, 2), strict=True)
    now = a_run("b", *(timed(seconds, variant=name) for name, seconds in factors))
    rows = comparison_summary(side_by_side([before, now])).splitlines()
    found = [line.split()[1] for line in rows if line.startswith("| cifar")]
    assert found == ["cifar-plain", "cifar-lrn", "cifar-bn"]


def test_a_summary_of_one_run_compares_its_frameworks() -> None:
    text = run_summary(make_run(seeds=1), "night")
    assert text.startswith("### night\n")
    assert re.search(r"keras-tensorflow .*\| pytorch +\|", text)  # compared with
    assert run_summary([replace(make_record(), run="monday")], "out").startswith("### monday\n")
    assert re.search(r"keras-tensorflow \| closed .*training .*0\.\d\dx \[.*\] \| slower", text)
    assert "No two frameworks ran interleaved" in run_summary([make_record()], "one")


def test_a_session_is_compared_with_the_run_of_its_gate() -> None:
    gate = Gate([replace(timed(1), run="main")], Rule.parse("slower:5%"))
    assert "### new compared with main" in session_summary(Path("new"), [timed(2)], gate)
    assert session_summary(Path("new"), [timed(2)], None).startswith("### new\n")


def test_a_summary_is_added_to_githubs_file_and_replaces_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    for text in ("one\n", "two\n"):
        write_summary(str(file), text)
    assert file.read_text() == "two\n"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    write_summary(os.environ["GITHUB_STEP_SUMMARY"], "three\n")
    assert file.read_text() == "two\nthree\n"
    with pytest.raises(UserError, match="is \\$GITHUB_STEP_SUMMARY set"):
        write_summary("", "four\n")
    with pytest.raises(UserError, match=r"cannot write to .*nowhere"):
        write_summary(str(tmp_path / "nowhere" / "summary.md"), "five\n")


# ---- history


@pytest.fixture(scope="module")
def slowdown() -> list[Run]:
    """Five runs, the last three slower, and two more on another machine."""
    other = {**ENVIRONMENT, "cpu": "Another", "commit": "0ddba11"}
    return [
        *over_days([1, 1.01, 1.3, 1.31, 1.3]),
        *(a_run(f"new-{day}", timed(0.5, day, environment=other)) for day in (6, 7)),
    ]


def test_the_page_of_a_history_has_changes_breaks_and_curves(slowdown: list[Run]) -> None:
    text = history_page(slowdown, "time")
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    assert "7 runs, 1 case, 1 of them in more than one run. 1 change point in 1 case with" in words
    assert "0.77x" in words
    assert "2025-01-06 machine: cpu Example CPU 9000 Another 1 run-5 new-6" in words
    assert text.count("<svg") == 2  # for a screen and for a phone
    for anchor in ("latest", "changes", "breaks", "curves", "points"):
        assert f'href="#{anchor}"' in text


def test_the_latest_runs_have_values_after_what_tells_cases_apart_and_why_not_compared() -> None:
    other = {**ENVIRONMENT, "cpu": "Another"}
    stage = {"track": "ablation", "recipe": "ablation", "defaults": "layout"}
    runs = [
        a_run("a", timed(1), timed(1, batch_size=64), timed(1, **stage)),
        a_run(
            "b", timed(1, 2, environment=other), timed(1, 2, batch_size=64), timed(1, 2, **stage)
        ),
    ]
    page = history_page(runs, "time")
    headers, *cells = rows_of(page, "latest")
    who = ["case", "network", "framework", "track", "measured", "batch"]
    assert headers[:9] == [*who, "last run", "last / before", "verdict"]
    assert headers[-1] == "recipe"  # the track says as much
    rows = [dict(zip(headers, row, strict=True)) for row in cells]
    assert [row["case"] for row in rows] == [
        "closed · batch 64",
        "closed · batch 128",
        "ablation · batch 128",
    ]
    (ablated,) = (row for row in rows if row["track"] == "ablation")
    (small,) = (row for row in rows if row["batch"] == "64")
    (broken,) = (row for row in rows if row not in (ablated, small))
    assert (small["batch"], small["verdict"], small["break before it"]) == ("64", "tie", "")
    assert (broken["verdict"], broken["last / before"]) == ("not compared", "—")
    assert broken["break before it"] == "machine"
    assert broken["first like it"] == "—"  # it is the first one itself
    assert ablated["recipe"] == "ablation · layout"


def test_frameworks_that_moved_together_are_named_and_others_not() -> None:
    """Planted: two frameworks are slower by 20 and 22 %, by 20 and 100 %, and not at all."""
    names = ("pytorch", "keras-jax")
    seconds = {"cifar-bn": (1.2, 1.22), "cifar-lrn": (1, 1.01), "cifar-plain": (1.2, 2)}
    runs = [
        a_run(
            f"run-{day}",
            *(
                timed(1 if day == 1 else now, day, variant=network, framework=framework)
                for network, both in seconds.items()
                for framework, now in zip(names, both, strict=True)
            ),
        )
        for day in (1, 2)
    ]
    (groups,) = re.findall(r'<ul class="groups">(.*?)</section>', history_page(runs, "time"), re.S)
    groups, _, _ = groups.partition("<table")
    (line,) = re.findall(r"<li>(cifar.*?)</li>", groups)
    assert line == (
        "cifar-bn · training, run-2 over run-1: pytorch 0.83x, keras-jax 0.82x; their ratio to "
        "each other moved by 1.7 % at most"
    )
    assert "All frameworks slower" in groups


def test_a_long_table_has_its_other_rows_for_the_script() -> None:
    days = [
        a_run(f"day {day}", *(timed(1, day, batch_size=1 + n) for n in range(130)))
        for day in (1, 2)
    ]
    page = history_page(days, "run")
    header, *rows = rows_of(page, "points")
    assert len(rows) == 250
    (payload,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    more = json.loads(payload)["rows"]["points-1"]
    assert len(more) == 10
    batch = header.index("batch")
    both = [*(row[batch] for row in rows), *(cells[batch] for _, cells, *_ in more)]
    assert sorted(map(int, both)) == sorted(2 * [*range(1, 131)])
    assert more[-1][1][0] == f"batch {more[-1][1][batch]}"
    assert "The page has 260 of 260 rows, 250 of them without scripts" in page


def test_the_head_has_all_runs_and_the_gpus() -> None:
    gpu = {"name": "Example H1", "memory_bytes": 80 * 2**30}
    days = [a_run(f"day-{day}", timed(1, day)) for day in range(1, 9)]
    page = history_page(
        [*days, a_run("gpu", timed(1, environment={**ENVIRONMENT, "gpu": gpu}))], "run"
    )
    (head,) = re.findall(r"<header>(.*?)</header>", page, re.DOTALL)
    assert re.search(r"<details><summary>and 3 more</summary>.*day-7, day-8, gpu", head)
    machines = re.findall(r"<dt>Machine</dt><dd>(.*?)\n", head)
    assert [("Example H1" in machine) for machine in machines] == [False, True]


def test_a_run_has_one_time_in_all_lists() -> None:
    """Planted: the second case of each run begins ten minutes after the first."""
    other = {**ENVIRONMENT, "cpu": "Another"}

    def run(name: str, hour: int, **changed: Any) -> Run:
        records = [
            replace(
                timed(1, framework=framework, **changed),
                run=name,
                started_at=f"2025-01-01T{hour:02}:{minute}:00+00:00",
            )
            for framework, minute in (("pytorch", 10), ("keras-jax", 20))
        ]
        return Run(name, tuple(records), Path(name))

    page = history_page([run("a", 9), run("b", 12, environment=other)], "time")
    times = set(re.findall(r"2025-01-01 (\d\d:\d\d)", page))
    assert times == {"09:10", "12:10"}
    for anchor, column in (("breaks", "before the run of"), ("points", "begun (UTC)")):
        header, *rows = rows_of(page, anchor)
        assert {row[header.index(column)] for row in rows} <= {f"2025-01-01 {t}" for t in times}


def test_what_differs_has_the_number_of_cases_before_the_values() -> None:
    runs = [a_run("a", timed(1)), a_run("b", timed(1, 2, environment={**ENVIRONMENT, "cores": 64}))]
    header, *rows = rows_of(compare_page(side_by_side(runs)), "differing")
    assert header == ["fact", "cases", "A: a", "B: b"]
    assert ["cores", "1", "2", "64"] in rows


def test_signs_are_explained_where_a_page_has_them(slowdown: list[Run]) -> None:
    alike = over_days([1, 1])
    with_all, with_none = (history_page(runs, "run") for runs in (slowdown, alike))
    for words in ("A ring around a mark is a change point", "A dashed line from top to bottom"):
        assert words in with_all
        assert words not in with_none


def test_columns_and_marks_are_explained_where_a_page_has_them() -> None:
    accuracy = [make_record(kind="accuracy", seed=seed) for seed in (0, 1)]
    faster, same = (
        [a_run("a", *first), a_run("b", *second)]
        for first, second in (([timed(1, 1.1)], [timed(2, 2.2)]), (accuracy, accuracy))
    )
    explained = {
        "Ratios are of speed": compare_page,
        "Detectable is the smallest difference": compare_page,
        "Last / before is a ratio of speeds": history_page,
    }
    other = {
        "Accuracies are mean differences": compare_page,
        "A hollow mark has no verdict": compare_page,
        "Of accuracies last / before is the mean difference": history_page,
    }
    for runs, here, elsewhere in ((faster, explained, other), (same, other, explained)):
        pages = {
            compare_page: compare_page(side_by_side(runs)),
            history_page: history_page(runs, "run"),
        }
        assert [words for words, page in here.items() if words not in pages[page]] == []
        assert [words for words, page in elsewhere.items() if words in pages[page]] == []


def test_no_line_is_drawn_across_a_break(
    slowdown: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.report.across import history_plot  # noqa: PLC0415

    joined = []
    plot = history_plot.Axes.plot

    def watched(self: object, x: object, y: object, *rest: object, **kept: object) -> object:
        if kept.get("linewidth") == 1 and isinstance(x, list):
            joined.append(tuple(x))
        return plot(self, x, y, *rest, **kept)  # type: ignore[arg-type]

    monkeypatch.setattr(history_plot.Axes, "plot", watched)
    history_page(slowdown, "run")
    assert joined == 2 * [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]  # once more for a phone


def test_runs_are_placed_by_time_commit_or_order(slowdown: list[Run]) -> None:
    found = histories(slowdown)
    points = found[0].series.points
    by_time, by_commit, by_run = (Axis(found, by) for by in ("time", "commit", "run"))
    assert by_time.at(points[1]) - by_time.at(points[0]) == pytest.approx(1)
    assert [by_run.at(point) for point in points] == list(range(7))
    assert [by_commit.at(point) for point in points] == [0] * 5 + [1] * 2
    undated = [a_run(f"run-{i}", replace(timed(1), started_at="")) for i in range(2)]
    axis = Axis(histories(undated), "time")
    assert [axis.at(p) for p in histories(undated)[0].series.points] == [0, 1]


def at(name: str, moment: str, **changed: Any) -> Run:
    """A run that began then."""
    started = f"2025-01-{moment}:00+00:00"
    return Run(name, (replace(timed(1, **changed), run=name, started_at=started),), Path(name))


def test_runs_that_are_close_in_time_have_a_step_each() -> None:
    close = [at("a", "01T10:00"), at("b", "02T10:00"), at("c", "02T11:00"), at("d", "09T10:00")]
    (entry,) = histories(close)
    axis = Axis([entry], "time")
    assert [axis.at(point) for point in entry.series.points] == [0, 1, 2, 3]
    assert [axis.name(point) for point in entry.series.points] == [
        *("2025-01-01", "2025-01-02 10:00", "2025-01-02 11:00", "2025-01-09")
    ]
    assert axis.aside(0, 2) == -axis.aside(1, 2) != 0
    every_night = histories([at(f"night-{day}", f"{day:02}T10:00") for day in range(1, 29)])
    assert not Axis(every_night, "time").steps
    marks = [Axis(every_night, "time", narrow=narrow).mark_size for narrow in (False, True)]
    assert marks[0] > marks[1]  # a phone has less room for them


def test_the_legend_has_the_marks_of_the_plot() -> None:
    kinds = [("pytorch", "eager"), ("pytorch", "compiled"), ("keras-jax", "compiled")]
    cases = [{"framework": name, "execution": execution} for name, execution in kinds]
    other = {**ENVIRONMENT, "cpu": "Another"}
    runs = [
        a_run("a", *(timed(1, 1, **case) for case in cases)),
        a_run("b", *(timed(1, 2, processes=1, **case) for case in cases)),
        a_run("c", *(timed(1, 3, environment=other, **case) for case in cases)),
    ]
    found = histories(runs)
    with style():
        figure = history("cifar-bn", found, Axis(found, "run")).figure
    (axes,), (legend,) = figure.axes, figure.legends
    drawn = {(line.get_marker(), line.get_color()) for line in axes.lines} - {("None", INK)}
    marks = {mark for mark in drawn if mark[0] != "None"}
    handles = {h.get_label(): (h.get_marker(), h.get_color()) for h in legend.legend_handles}
    assert marks == {handles[name] for name in ("pytorch", "pytorch compiled", "keras-jax")}
    assert len(marks) == 3
    assert {"one process or seed", "break of the curves in its colours"} <= handles.keys()
    assert "change point" not in handles


def test_two_precisions_of_a_framework_are_two_curves_with_names_of_their_own() -> None:
    """Both were *pytorch*, with one colour, line and mark."""
    kinds = [("pytorch", "float32"), ("pytorch", "bfloat16"), ("keras-jax", "float32")]
    cases = [{"framework": f, "precision": p, "track": "tuned", "parity": {}} for f, p in kinds]
    runs = [
        a_run(f"run-{day}", *(timed(1.5 if day > 1 else 1, day, **case) for case in cases))
        for day in (1, 2)
    ]
    found = histories(runs)
    with style():
        figure = history("cifar-bn", found, Axis(found, "run")).figure
    (legend,) = figure.legends
    looks = {h.get_label(): (str(h._dash_pattern), h.get_marker()) for h in legend.legend_handles}
    names = ["pytorch bfloat16", "pytorch float32", "keras-jax"]
    assert [name for name in looks if name != "change point"] == names
    assert len({looks[name][0] for name in names}) == 3
    assert len({looks[name][1] for name in names}) == 3
    assert "pytorch bfloat16 0.67x, pytorch float32 0.67x, keras-jax 0.67x;" in history_page(
        runs, "time"
    )


def test_a_break_has_the_colours_of_its_curves_and_the_number_of_its_list() -> None:
    """Planted: three curves, of which two come to another machine and one stays."""
    names = ("pytorch", "keras-jax", "keras-torch")
    other = {**ENVIRONMENT, "cpu": "Another"}
    runs = [
        a_run("a", *(timed(1, 1, framework=name) for name in names)),
        a_run("b", *(timed(1, 2, framework=f, environment=other) for f in names[:2])),
        a_run("c", timed(1, 3, framework=names[2])),
        a_run("d", timed(1, 4, framework=names[2], environment=other)),
    ]
    found = histories(runs)
    axis = Axis(found, "time")
    with style():
        (axes,) = history("cifar-bn", found, axis).figure.axes
    lines = [line for line in axes.lines if list(line.get_ydata()) == [0, 1]]
    tints = [colour(name, names) for name in names]
    assert [line.get_color() for line in lines] == tints
    assert len({tuple(line.get_xdata()) for line in lines[:2]}) == 1
    drawn = [text.get_text() for text in axes.texts]
    assert drawn == ["1", "2"]
    listed = _listed(found, axis)
    assert [(one.number, [name for name, _ in one.curves]) for one in listed] == [
        (1, [*names[:2]]),
        (2, [names[2]]),
    ]


def test_curves_of_one_run_stand_side_by_side_and_accuracies_within_bounds() -> None:
    """Planted: two seeds whose t interval reaches below 0, and a difference of 0.1 points."""

    def accuracies(name: str, day: int, of: dict[str, tuple[float, ...]]) -> Run:
        return a_run(
            name,
            *(
                make_record(
                    kind="accuracy", framework=framework, seed=seed, samples=(value,),
                    started_at=f"2025-01-{day:02}T03:04:05+00:00",
                )
                for framework, values in of.items()
                for seed, value in enumerate(values)
            ),
        )  # fmt: skip

    def panel(first: tuple[float, ...], other: tuple[float, ...]) -> Any:
        both = {"pytorch": first, "keras-jax": other}
        found = histories([accuracies("a", 1, both), accuracies("b", 9, both)])
        with style():
            return history("cifar-bn", found, Axis(found, "time")).figure.axes[0]

    wide = panel((0.1, 0.3), (0.1, 0.3))
    low, _ = wide.get_ylim()
    assert -10 < low < 0
    upright = [x for x in wide.lines if len(x.get_ydata()) == 2 and x.get_linewidth() == 1.6]
    assert {min(line.get_ydata()) for line in upright} == {0}
    assert len({line.get_xdata()[0] for line in upright}) == 4
    low, high = panel((0.415,), (0.416,)).get_ylim()
    assert high - low >= 2


def test_the_breaks_of_a_panel_are_listed_with_date_curves_and_both_values() -> None:
    cpu = "Intel(R) Xeon(R) Processor (avx2, avx512f, avx512_bf16, amx_bf16, amx_int8)"
    other = {**ENVIRONMENT, "cpu": cpu, "cores": 64}
    names = ("pytorch", "keras-jax")
    runs = [
        a_run("a", *(timed(1, 1, framework=name) for name in names)),
        a_run("b", *(timed(1, 2, framework=name, environment=other) for name in names)),
    ]
    page = history_page(runs, "time")
    (listed,) = re.findall(r'<div class="scroll breaks".*?</table>', page, re.DOTALL)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", listed, re.DOTALL)
    assert [re.sub("<[^>]*>", " ", cell).split() for cell in cells[:2]] == [
        ["1:", "2025-01-02"],
        [*names],
    ]
    assert cells[2:] == ["machine: cpu", "Example CPU 9000", cpu, "machine: cores", "2", "64"]
    tints = re.findall(r"background:(#\w+)", listed)
    assert tints == [colour(name, names) for name in names]


def test_changes_of_one_run_have_their_words_in_one_place() -> None:
    names = ("pytorch", "keras-jax")
    levels = (1, 1.01, 1.3, 1.31)

    def texts(factor: float) -> list[str]:
        runs = [
            a_run(
                f"run-{day}",
                timed(level, day),
                timed(level if day < 3 else factor * level, day, framework=names[1]),
            )
            for day, level in enumerate(levels, 1)
        ]
        found = histories(runs)
        with style():
            figure = history("cifar-bn", found, Axis(found, "run")).figure
        signs = {line.get_marker(): line.get_markersize() for line in figure.axes[0].lines[-2:]}
        assert signs == {"o": 12}  # larger than any mark of a curve
        return [text.get_text() for text in figure.axes[0].texts]

    assert texts(1) == ["0.77x"]
    assert texts(2) == ["pytorch 0.77x\nkeras-jax 0.39x"]


def test_a_plot_names_the_data_of_what_it_compares_alone() -> None:
    lost = a_run("c", timed(1, dataset=OTHER_DATASET))
    page = compare_page(side_by_side([a_run("a", timed(1)), a_run("b", timed(1)), lost]))
    assert "Data: cifar10, fingerprint 0a1b2c3d4e5f" in page
    assert "several datasets" not in page
    assert "Plots and sentences show all rows." in page
    assert ">Sentences show all rows." in compare_page(side_by_side([a_run("a", timed(1)), lost]))


def test_text_and_json_of_a_history_agree(slowdown: list[Run]) -> None:
    found = histories(slowdown)
    (row,) = history_json(found)
    assert len(row["points"]) == 7
    assert [change["run"] for change in row["changes"]] == ["run-3"]
    assert row["points"][5]["broken"]
    lines = history_text(found).splitlines()
    assert [line for line in lines if line.startswith("  ** slower: 0.77x")]
    assert [line for line in lines if line.startswith("  -- break: machine: cpu")]
    assert lines[-2] == "1 case, 0 of them in one run only"
    assert lines[-1] == "1 change point in 1 case with 4 or more runs of equal conditions"
    assert history_text(histories(slowdown[:3])).endswith(
        "No case has the 4 runs of equal conditions that a change point needs"
    )
