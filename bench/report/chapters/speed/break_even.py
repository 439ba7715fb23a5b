"""Break-even: when the faster of two frameworks has made up for its slower start.

After its start-up a framework needs images / rate seconds. The two are level where
start_a + images / rate_a = start_b + images / rate_b.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations

from matplotlib.axes import Axes

from bench.analysis.comparison.comparability import in_words
from bench.analysis.experiments import Experiment, labels
from bench.analysis.results import Results
from bench.analysis.rows import Row, counts, identity, provenance_columns
from bench.analysis.time_to_accuracy import PARTS
from bench.core.case import Case
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.report.captions import With, read_with
from bench.report.chapters.speed.interleaved import reference_of
from bench.report.columns import Column, case_of, framework_of, how, number, text, who
from bench.report.footnotes import has_caveat, signed
from bench.report.format import NOTHING, count, joined, known, ratio, significant
from bench.report.leads import names_of
from bench.report.panels import Lines, first_panels, signed_title
from bench.report.plot_axes import plain_numbers
from bench.report.plot_style import (
    ALONE,
    INK,
    Drawing,
    colour,
    dash,
    framework_legend,
    grid_of_axes,
    hover,
    in_lines,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats import estimates
from bench.stats.verdicts import INCONCLUSIVE, TIE, speed_verdict
from bench.training.tracks import peers_of

_THIN, _THICK = 1.0, 2.0  # points
_NAMED = 2  # pairs without a break-even below a panel; more would be higher than the panel
_LETTERS = 42  # of a title above axes 4.9 inches wide
_IN_LEAD = 3  # pairs that the sentence above the table names
AHEAD, EVEN, REFUSED = "ahead from the start", "break-even", "not comparable"
_RATIO_IS = {INCONCLUSIVE: "inconclusive", TIE: "a tie", REFUSED: "not comparable"}


@dataclass(frozen=True)
class Side:
    """One framework: its steady state, and the start-up of the same case."""

    steady: Experiment
    start: Experiment
    results: Results

    @property
    def rate(self) -> float:
        """Images/s of training: the median, as in the table of throughput."""
        return self.rates.value

    @property
    def rates(self) -> estimates.Estimate:
        """The same with its interval."""
        return self.results.rate(self.steady)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Mean over seeds of each of ``PARTS``."""
        starts = [record.metrics for record in self.start.ok]
        return {
            part: estimates.mean_estimate([float(metrics[part]) for metrics in starts]).value
            for part in PARTS
        }

    @property
    def startup(self) -> float:
        """Seconds from the empty process to the end of the first step."""
        return sum(self.seconds.values())


def break_even_images(startups: tuple[float, float], rates: tuple[float, float]) -> float:
    """Images after which the first framework has caught up with the second; 0 if never behind.

    Seconds of start-up and images/s of both; the first has the higher rate. Raises ValueError when
    it has not.
    """
    (ours, theirs), (faster, slower) = startups, rates
    if not faster > slower > 0:
        raise ValueError(f"the first rate must be the higher one. Received: {rates}")
    delay = ours - theirs
    return 0.0 if delay <= 0 else delay / (1 / slower - 1 / faster)


def break_even_rows(results: Results) -> list[Row]:
    """A row per network and pair of frameworks that have both measurements, the faster one first.

    ``images`` and ``epochs`` (of all training images) are counted from the end of the first step;
    ``behind_seconds`` is how much later the faster one starts, ``behind_first_step_seconds`` the
    part of the first step (trace and compile) in that.
    """
    networks = _sides(results)
    pairs = (pair for sides in networks.values() for pair in combinations(sides, 2))
    return [_row(*pair) for pair in pairs]


def _sides(results: Results) -> dict[Case, list[Side]]:
    """The certified frameworks of each network that have both measurements."""
    starts = {e.case: e for e in results.experiments("startup") if e.certified and _whole(e)}
    networks: dict[Case, list[Side]] = {}
    for e in results.experiments(TRAIN_THROUGHPUT):
        if e.ok and e.certified and e.case in starts:
            networks.setdefault(e.peers, []).append(Side(e, starts[e.case], results))
    return networks


def _whole(experiment: Experiment) -> bool:
    """Whether every start-up has its parts: without them nothing can be said of compilation."""
    parts = [record.metrics.get(part) for record in experiment.ok for part in PARTS]
    return bool(parts) and None not in parts


def _row(one: Side, other: Side) -> Row:
    results = one.results
    faster, slower = _by_rate(one, other)
    row = identity(faster.steady, results.data) | counts(faster.steady)
    used = (faster.steady, faster.start, slower.steady, slower.start)
    row |= provenance_columns([record for experiment in used for record in experiment.ok])
    refused = _refused(faster, slower)
    row |= {"reference": slower.steady.case.framework_label, "not_compared": refused or None}
    row["reference_precision"] = slower.steady.case.precision
    versus = results.ratio(faster.steady, slower.steady)
    value, low, high = versus.ratio
    row |= {"ratio": value, "ratio_low": low, "ratio_high": high}
    row |= _start_columns(faster, slower)
    row |= {"images": None, "epochs": None, "verdict": REFUSED}
    if refused:
        return row
    if word := _undecided(faster, slower):
        return row | {"verdict": f"{word} in images/s"}
    images = break_even_images((faster.startup, slower.startup), (faster.rate, slower.rate))
    images_of_epoch = faster.steady.ok[0].dataset.get("train_images")
    row |= {"images": images, "epochs": images / images_of_epoch if images_of_epoch else None}
    return row | {"verdict": EVEN if images > 0 else AHEAD}


def _refused(one: Side, other: Side) -> str:
    """What forbids to compare the two, in words; empty where nothing does."""
    found = [
        *one.results.between(one.steady, other.steady),
        *one.results.between(one.start, other.start),
    ]
    # The two measurements may be refused for the same reason: it is given once.
    return in_words(list(dict.fromkeys(found)))


def _undecided(faster: Side, slower: Side) -> str:
    """The verdict on two rates where it is not *faster*: the break-even would lie anywhere, since
    the interval of the ratio contains 1, or the two may not be compared. Empty where it is."""
    if _refused(faster, slower):
        return REFUSED
    word = speed_verdict(faster.results.ratio(faster.steady, slower.steady)).word
    return "" if word == "faster" else word


def _by_rate(one: Side, other: Side) -> tuple[Side, Side]:
    """The two, the one with the higher rate first."""
    return (one, other) if one.rate >= other.rate else (other, one)


def _start_columns(faster: Side, slower: Side) -> Row:
    return {
        "images_per_second": faster.rate,
        "against_images_per_second": slower.rate,
        "startup_seconds": faster.startup,
        "against_startup_seconds": slower.startup,
        "behind_seconds": faster.startup - slower.startup,
        **{f"behind_{part}": faster.seconds[part] - slower.seconds[part] for part in PARTS},
    }


def columns(rows: Sequence[Row]) -> list[Column]:
    """The faster one, which one it is compared with, and from when on it is ahead."""
    return [
        *who(),
        Column("compared with", reference_of, right=False, who=True),
        Column("level after images", partial(_level, "images")),
        Column("x images/s", lambda row: ratio(row["ratio"], row["ratio_low"], row["ratio_high"])),
        text("verdict", "verdict"),
        Column("level after epochs", partial(_level, "epochs")),
        number("start-up (s)", "startup_seconds"),
        number("other's start-up (s)", "against_startup_seconds"),
        Column("start-up, difference (s)", partial(_signed, "behind_seconds")),
        Column("of which first step (s)", partial(_signed, "behind_first_step_seconds")),
        *how(rows),
    ]


def _ahead(faster: str, slower: str, *, images: float) -> str:
    when = f"{count(images)} images on" if images > 0 else "the start"
    return f"{faster} is ahead of {slower} from {when}"


def lead(rows: Sequence[Row]) -> str:
    """Who is ahead of whom from which image on: few pairs by name, of more how many there are of
    each verdict, and the first break-evens."""
    if len(rows) <= _IN_LEAD:
        return _in_words(rows)
    verdicts = Counter(row["verdict"] for row in rows)
    found = joined([f"{number} {word}" for word, number in sorted(verdicts.items())])
    of = names_of(rows, (row["reference"] for row in rows))
    level = sorted((r for r in rows if r["verdict"] == EVEN), key=lambda row: float(row["images"]))
    named = [_in_words(level[:_IN_LEAD])] if level else []
    return " ".join([f"{of}, {len(rows)} pairs: {found}.", *named])


def _in_words(rows: Sequence[Row]) -> str:
    """Pairs by their verdict: ``cifar-bn: pytorch is ahead of keras-jax from 205 images on.``"""
    parts: dict[str, list[str]] = {}
    networks = labels(dict.fromkeys(map(_network, rows)))
    for row in rows:
        names = signed(_faster_of(row), on=has_caveat(row)), reference_of(row)
        network = networks[_network(row)]
        if row["verdict"] in (AHEAD, EVEN):
            parts[f"{network}: {_ahead(*names, images=row['images'])}"] = []
        else:
            words = f"{network}: no break-even, {row['verdict']}"
            parts.setdefault(words, []).append(" and ".join(names))
    shown = (f"{words} ({', '.join(of)})" if of else words for words, of in parts.items())
    return f"{'; '.join(shown)}."


def _network(row: Row) -> Case:
    return peers_of(case_of(row))


def _faster_of(row: Row) -> str:
    """The faster one, with its precision where the other has another one."""
    same = row["precision"] == row["reference_precision"]
    return framework_of(row) if same else f"{framework_of(row)} {row['precision']}"


def _signed(key: str, row: Row) -> str:
    """``+3.20`` is later, ``-0.51`` sooner."""
    value = row[key]
    return f"{'-' if value < 0 else '+'}{significant(abs(value))}" if known(value) else NOTHING


def _level(key: str, row: Row) -> str:
    if row["verdict"] == AHEAD or row[key] is None:
        return NOTHING
    return count(row[key]) if key == "images" else significant(row[key])


def break_even(part: Part) -> Drawing | None:
    """Seconds from the start over images, a line per framework: they cross at the break-even.

    A break-even has a mark. Frameworks of which neither is shown to be faster have none, and are
    thin lines.
    """
    found = {
        case: sides
        for case, sides in _sides(part.results).items()
        if case.track == part.track and part.certified and len(sides) > 1
    }
    if not found:
        return None
    panels, left_out = first_panels(found, "break_even", part.panels)
    names = labels(panels)
    drawn = [[side.steady for side in sides] for sides in panels.values()]
    curves = Lines.of(part.frameworks, drawn)
    columns = part.across(len(panels))
    rows = -(-len(panels) // columns)
    title = f"Seconds from the start of a process, {part.track} track"
    wide = 4.9 * columns + 0.4 if columns > 1 else ALONE
    figure = new_figure(part.width(wide), 1.2 + 2.7 * rows, title, part.data)
    places = [axes for row in grid_of_axes(figure, rows, columns) for axes in row]
    for axes, (case, sides) in zip(places, panels.items(), strict=False):
        measured = [e for side in sides for e in (side.steady, side.start)]
        axes.set_title(in_lines(signed_title(names[case], measured), part.letters(_LETTERS)))
        _lines(axes, sides, part, curves)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    framework_legend(figure, curves.shown, known=curves.known, lines=True)
    return Drawing(
        f"break_even_{part.track}",
        title,
        f"{read_with(_HOW, _marks(panels.values()))}{left_out}",
        figure,
    )


_DOT, _THIN_LINE = "dot", "thin line"
_HOW = (
    "Lower is sooner. A line begins at the end of a framework's first step and rises by its "
    "seconds per image.",
    With(
        (_DOT,),
        "A dot is a break-even: the framework with more images/s has made up for its slower start.",
    ),
    With(
        (_THIN_LINE,),
        "A thin line is a framework that is not shown to be faster or slower than another one of "
        "the panel, or may not be compared with it: a crossing without a dot is no result.",
    ),
)


def _marks(panels: Iterable[Sequence[Side]]) -> set[str]:
    """The marks of `_HOW` that some panel has."""
    every = list(panels)
    dots = {_DOT for sides in every if _crossings(sides)}
    return dots | {_THIN_LINE for sides in every if any(_undecided(*p) for p in _pairs(sides))}


def _lines(axes: Axes, sides: Sequence[Side], part: Part, curves: Lines) -> None:
    reach = _reach(sides)
    undecided = [pair for pair in _pairs(sides) if _undecided(*pair)]
    thin = [side for pair in undecided for side in pair]
    for side in sides:
        name = curves.names[side.steady.case]
        (line,) = axes.plot(
            (0, reach),
            (side.startup, side.startup + reach / side.rate),
            color=colour(name, curves.known),
            linestyle=dash(name, curves.known),
            linewidth=_THIN if side in thin else _THICK,
        )
        start, rate = significant(side.startup), significant(side.rate)
        hover(line, f"{name}: start {start} s, {rate} images/s")
    for faster, slower, images in _crossings(sides):
        seconds = faster.startup + images / faster.rate
        (mark,) = axes.plot(images, seconds, "o", color=INK, markersize=5, zorder=3)
        names = _names(faster, slower)
        hover(mark, _ahead(*names, images=images))
    axes.set_xlim(0, reach)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.yaxis.set_major_formatter(plain_numbers())
    reasons = [
        in_lines(words, part.letters(_LETTERS) + 10) for words in _reasons(undecided, len(sides))
    ]
    axes.set_xlabel("\n".join(["training images after the first step", *reasons]))
    axes.set_ylabel("seconds")


def _crossings(sides: Sequence[Side]) -> list[tuple[Side, Side, float]]:
    """The pairs that have a break-even, the faster one first, with its images."""
    found = []
    for faster, slower in _pairs(sides):
        if not _undecided(faster, slower):
            starts, rates = (faster.startup, slower.startup), (faster.rate, slower.rate)
            if (images := break_even_images(starts, rates)) > 0:
                found.append((faster, slower, images))
    return found


def _pairs(sides: Sequence[Side]) -> list[tuple[Side, Side]]:
    """All pairs of a panel, in each the one with the higher rate first."""
    return [_by_rate(*pair) for pair in combinations(sides, 2)]


def _names(one: Side, other: Side) -> tuple[str, str]:
    """Both frameworks, with their precisions where these differ."""
    cases = one.steady.case, other.steady.case
    same = cases[0].precision == cases[1].precision
    first, second = (
        c.framework_label if same else f"{c.framework_label} {c.precision}" for c in cases
    )
    return first, second


def _reasons(undecided: Sequence[tuple[Side, Side]], sides: int) -> list[str]:
    """Why a panel has no crossing of frameworks, in words.

    Args:
        undecided: The pairs of which neither is shown to be faster.
        sides: Frameworks of the panel.
    """
    lines: dict[str, list[str]] = {}
    for pair in undecided:
        word = _undecided(*pair)
        why = _RATIO_IS.get(word, "the opposite of that of the medians")
        names = " and ".join(_names(*pair))
        lines.setdefault(why, []).append(names)
    every = len(undecided) == sides * (sides - 1) // 2 and len(lines) == 1
    if every and len(undecided) > 1:
        return [f"no break-even: every ratio is {next(iter(lines))}"]
    found = []
    for why, pairs in lines.items():
        if len(pairs) > _NAMED:
            found.append(f"no break-even of {len(pairs)} pairs: their ratios are {why}")
        else:
            found += [f"{names}: no break-even, the ratio is {why}" for names in pairs]
    return found


def _reach(sides: Sequence[Side]) -> float:
    """Images that a panel shows: all crossings, and as many as the slowest start takes."""
    crossings = [images for *_, images in _crossings(sides)]
    usual = max(side.startup * side.rate for side in sides)
    return min(max([1.6 * images for images in crossings] + [usual]), 20 * usual)


TABLE = Table(
    "break_even",
    "Break-even",
    "Pairs of frameworks on one network, the one with more images/s first. *Level after images* is "
    "how many images after its first step it has made up for a slower start (import, build, first "
    "step); epochs are of all training images. *Start-up, difference* is its start-up minus the "
    "other's: + is a later start, - a sooner one, and who starts sooner is ahead from the start. "
    "*Of which first step* is the part in which a framework traces and compiles. There is no "
    "number where neither is shown to be faster.",
    break_even_rows,
    columns,
    charts=(Chart("break_even", break_even, (TRAIN_THROUGHPUT, "startup")),),
    times=(TRAIN_THROUGHPUT, "startup"),
    lead=lead,
    kinds=(TRAIN_THROUGHPUT, "startup"),
)
