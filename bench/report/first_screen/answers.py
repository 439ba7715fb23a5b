"""The five questions of the first screen and their answers, a sentence each; then how sure it is.
A run on several devices has one more.

They are made from records once and shown at the head of the page, at the end of a run in the
terminal, and in README and docs (`bench.report.blocks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

from markupsafe import Markup

from bench.analysis.certified import PASS, is_certified_row, status_of
from bench.analysis.machine_state import machine_line
from bench.analysis.results import Results
from bench.analysis.rows import Row, comparability_rows
from bench.core.kinds import ACCURACY, INFERENCE, KINDS, LATENCY, TRAIN_THROUGHPUT
from bench.core.records import Record
from bench.core.text import many
from bench.networks.normalisations import NORMALISATIONS
from bench.report import footnotes, summary
from bench.report.chapters.speed import scaling
from bench.report.columns import case_of
from bench.report.first_screen import findings
from bench.report.first_screen.findings import NOT_COMPARED, Find, Finding
from bench.report.first_screen.remarks import own_starts, slower_as_recommended, without_onednn
from bench.report.first_screen.small_plots import Mark, small_plot
from bench.report.first_screen.wording import detected
from bench.report.format import joined
from bench.report.report import Records, Report
from bench.stats.verdicts import ENOUGH_RUNS, INCONCLUSIVE, TIE
from bench.training.tracks import TRACKS

_DETAILS = 30
"""Sentences below a lead at most; the tables have all."""


@dataclass(frozen=True)
class Answer:
    """An answer of the first screen.

    Attributes:
        question: As the page has it.
        sentence: The lead: one sentence with its number and interval, and ‡ for a caveat; then
            what must not be missed.
        details: The other comparisons, a sentence each: track by track, in each in the order of
            the tables.
        plot: What the comparisons come to, as inline SVG; empty where nothing is compared.
    """

    question: str
    sentence: str
    details: tuple[str, ...] = ()
    plot: Markup = field(default_factory=Markup)


@dataclass(frozen=True)
class Question:
    """A question of the first screen.

    Attributes:
        text: As the page has it.
        find: The comparisons that answer it, of one dataset.
        options: Of ``alexbench run``: what measures it.
        kinds: The kinds of measurement that it needs.
        paired: Whether the lead has a second normalisation next to the first.
        frameworks: Whether it compares frameworks: then it names what has no certificate.
        needs: What has to be there to measure it, as a sentence without its full stop.
        remarks: Sentences on one dataset that stand after the lead, without full stops.
    """

    text: str
    find: Find
    options: str
    kinds: tuple[str, ...]
    paired: bool = False
    frameworks: bool = True
    needs: str = ""
    remarks: Callable[[Results, bool], list[str]] = lambda *_: []


def _on_speed(
    results: Results, named: bool, *, kinds: tuple[str, ...], said: tuple[str, ...] = ()
) -> list[str]:
    slower = slower_as_recommended(results, *kinds, named=named)
    return [*slower, *without_onednn(results, *kinds, said=said)]


_SMALL = ",".join(
    dict.fromkeys(
        name
        for pair in NORMALISATIONS
        for name in (pair.variant, pair.base)
        if name.startswith("cifar")
    )
)

QUESTIONS = (
    Question(
        "Who trains faster here?",
        findings.training,
        f"--kinds {TRAIN_THROUGHPUT}",
        (TRAIN_THROUGHPUT,),
        remarks=partial(_on_speed, kinds=(TRAIN_THROUGHPUT,)),
    ),
    Question(
        "Who serves faster here?",
        findings.serving,
        f"--kinds {INFERENCE},{LATENCY}",
        (INFERENCE, LATENCY),
        remarks=partial(_on_speed, kinds=(INFERENCE, LATENCY), said=(TRAIN_THROUGHPUT,)),
    ),
    Question(
        "Do they learn the same?",
        findings.learning,
        f"--kinds {ACCURACY}",
        (ACCURACY,),
        remarks=lambda results, _: own_starts(results),
    ),
    Question(
        "What do BN and LRN bring and cost?",
        findings.normalising,
        f"--variants {_SMALL} --kinds {TRAIN_THROUGHPUT},{ACCURACY}",
        (TRAIN_THROUGHPUT, ACCURACY),
        paired=True,
        frameworks=False,
    ),
    Question(
        "What does pretraining bring?",
        findings.pretraining,
        "--profile transfer --inits pretrained,scratch --weights bvlc",
        (ACCURACY,),
        frameworks=False,
        needs="It needs pretrained weights: `alexbench fetch weights` downloads torchvision's, and "
        "$ALEXBENCH_DATA may name a folder with bvlc-alexnet-trunk.safetensors",
    ),
)


def answers(records: Records) -> list[Answer]:
    """An answer to each question, and how sure they are as the last one."""
    report = Report.of(records)
    found = [_safely(question.text, partial(_answer, question), report) for question in QUESTIONS]
    if any(record.ok and record.case.devices > 1 for record in report.records):
        found.append(_safely(_SEVERAL, several_devices, report))
    return [*found, _safely(_SURE, how_sure, report)]


FAILED = "could not be made"
"""Words of a note where an answer or its plot fails: the page and the tables come without it."""


def _safely(question: str, make: Callable[[Report], Answer], report: Report) -> Answer:
    """An answer; a note with the reason where it fails, which costs no table and no page."""
    try:
        return make(report)
    except Exception as error:
        return Answer(question, f"This answer {FAILED}: {_reason(error)}.")


def _drawn(marks: Sequence[Mark], title: str) -> tuple[Markup, tuple[str, ...]]:
    """The plot of an answer; a note with the reason where it cannot be drawn."""
    try:
        return small_plot(marks, title), ()
    except Exception as error:
        return Markup(""), (f"The plot of this answer {FAILED}: {_reason(error)}.",)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def lines(records: Records) -> list[str]:
    """The answers as lines of text, with what must be known of them: synthetic images, caveats."""
    report = Report.of(records)
    found = [f"{answer.question} {answer.sentence}" for answer in answers(report)]
    return [*found, how_to_read(report), *_warnings(report)]


def markdown(records: Records) -> list[str]:
    """The same as paragraphs of Markdown."""
    report = Report.of(records)
    items = "\n".join(f"- **{a.question}** {a.sentence}" for a in answers(report))
    return [items, how_to_read(report), *_warnings(report)]


def _warnings(report: Report) -> list[str]:
    """What must be known of the answers, where no rows of a table are around."""
    found = summary.warnings(report)
    return [_sentence(w.replace(footnotes.ALL_ROWS, "All measurements", 1)) for w in found]


def how_to_read(records: Records) -> str:
    """What brackets are, where speeds come from, and what the tracks of the answers stand for."""
    there = Report.of(records).records
    names = {record.case.track for record in there}
    tracks = [row.title for row in TRACKS.values() if row.name in names and not row.stages]
    parts = [
        "Brackets are 95 % intervals, in the unit of the number before them; in percent and points "
        "plus is faster or more, minus slower or less."
    ]
    if any(record.metrics.get("interleaving") for record in there):
        parts.append(
            "A difference in speed is of pairs of neighbouring blocks that ran interleaved. "
            "Images/s in the tables are of all processes of a row, so their quotient may differ "
            "from it."
        )
    return " ".join([*parts, *([f"{'; '.join(tracks)}."] if tracks else [])])


def command(question: Question) -> str:
    """What measures a question: a command line."""
    return f"alexbench run {question.options}"


def _answer(question: Question, report: Report) -> Answer:
    several = len(report.datasets) > 1
    found = [f for results in report.datasets for f in question.find(results, several)]
    found.sort(key=lambda finding: finding.order)
    said = (words for results in report.datasets for words in question.remarks(results, several))
    remarks = list(dict.fromkeys(said))  # of two data sets the same
    if not found:
        sentences = " ".join([_missing(question, report), *map(_sentence, remarks)])
        return Answer(question.text, sentences, _uncertified(question, report))
    lead, *others = found
    parts = [lead.sentence]
    if question.paired and (second := _second(lead, others)):
        others.remove(second)
        # The conditions are the same, and said once.
        parts = [lead.words, replace(second, caveat=lead.caveat or second.caveat).sentence]
    if lead.verdict == NOT_COMPARED:
        parts.append(f"`{command(question)}` measures what can be compared")
    elif not question.paired and others:
        parts.append(_others(lead, others))
    shown = [_sentence(f.sentence) for f in others[:_DETAILS]]
    if len(others) > _DETAILS:
        shown.append(f"… and {len(others) - _DETAILS:,} more in the tables.")
    drawn, failed = _drawn([mark for f in found for mark in f.marks], question.text)
    details = (*shown, *_uncertified(question, report), *failed)
    sentences = " ".join(map(_sentence, ["; ".join(parts), *remarks]))
    return Answer(question.text, sentences, details, drawn)


def _second(lead: Finding, others: Sequence[Finding]) -> Finding | None:
    """The same framework's finding on another network, under the same conditions."""
    return next((f for f in others if f.group == lead.group and f.variant != lead.variant), None)


def _others(lead: Finding, others: Sequence[Finding]) -> str:
    """What the other comparisons say, so that the first one is not taken for all: the range of
    their effects, and how many have which verdict."""
    number = len(others)
    these = "the other comparison" if number == 1 else f"the other {number} comparisons"
    effects = sorted((f for f in others if f.size is not None), key=lambda f: f.size or 0.0)
    span = ""
    if effects:
        ends = dict.fromkeys((effects[0].effect, effects[-1].effect))
        span = " to ".join(ends)
    counted = Counter(finding.verdict for finding in others)
    if set(counted) == {INCONCLUSIVE} and lead.verdict == INCONCLUSIVE:
        verb = "is" if number == 1 else "are"
        return f"so {verb} {these}" + (f" ({span})" if span else "")
    words = {TIE: "no difference", INCONCLUSIVE: INCONCLUSIVE, NOT_COMPARED: NOT_COMPARED}
    order = [*(word for word in counted if word not in words), *words]
    parts = [f"{counted[word]} {words.get(word, word)}" for word in order if counted[word]]
    # Where all say the same as the ends of the range, that is said already.
    verdicts = "" if span and len(counted) == 1 and not words.keys() & counted else ", ".join(parts)
    if number == 1:
        verdicts = words.get(others[0].verdict, "" if span else others[0].verdict)
    return f"{these}: {' '.join(filter(None, (span, verdicts and f'({verdicts})')))}"


def _missing(question: Question, report: Report) -> str:
    if question.needs and not _is_uncertified(question, report):
        return f"Not measured in this run; `{command(question)}` measures it. {question.needs}."
    rows = [row for row in _rows(question, report) if row["seeds"]]
    if not rows:
        return f"Not measured in this run; `{command(question)}` measures it."
    if not question.frameworks and not question.needs:
        return f"Nothing to compare was measured in this run; `{command(question)}` measures it."
    if without := sum(not is_certified_row(row) for row in rows):
        have = "has" if without == 1 else "have"
        of = many(len(rows), "row")
        return (
            f"Measured in this run, but not compared: {without} of {of} {have} no passed parity "
            "certificate."
        )
    names = list(dict.fromkeys(findings.title(case_of(row)) for row in rows))
    measures = f"`{command(question)}` compares frameworks"
    if len(names) > 1:
        conditions = "no network under the same conditions in two of them"
        return f"Measured in this run of {joined(names)}, but {conditions}; {measures}."
    return f"Measured in this run of {names[0]} alone; {measures}."


def _is_uncertified(question: Question, report: Report) -> bool:
    """Whether trainings from pretrained weights were measured, none with a passed certificate."""
    rows = [row for row in _rows(question, report) if row["seeds"]]
    pretrained = [row for row in rows if row["init"] == "pretrained"]
    return bool(pretrained) and not any(map(is_certified_row, pretrained))


def _rows(question: Question, report: Report) -> list[Row]:
    return [
        row
        for results in report.datasets
        for row in results.once(comparability_rows)
        if row["kind"] in question.kinds
    ]


def _uncertified(question: Question, report: Report) -> tuple[str, ...]:
    if not question.frameworks:
        return ()
    rows = [row for row in _rows(question, report) if row["seeds"]]
    return tuple(f"Left out as uncertified: {why}." for why in footnotes.why_uncertified(rows))


def _sentence(words: str) -> str:
    return words if words.endswith((".", "…")) else f"{words}."


_SEVERAL = "What do several devices bring?"


def several_devices(records: Records) -> Answer:
    """Efficiency of training on several devices, as its chapter has it; of certified rows."""
    report = Report.of(records)
    rows = [results.once(scaling.TABLE.rows) for results in report.datasets]
    certified = [list(filter(is_certified_row, some)) for some in rows]
    leads = [scaling.TABLE.lead(some) for some in certified]
    if len(report.datasets) > 1:
        on = [results.data.words for results in report.datasets]
        leads = [f"On {data}: {lead}" for data, lead in zip(on, leads, strict=True) if lead]
    missing = "Nothing was measured on one device to compare with."
    if any(certified):
        missing = "What was measured may not be compared: the chapter below says why."
    elif any(rows):
        missing = "What was measured has no parity certificate."
    return Answer(_SEVERAL, " ".join(filter(None, leads)) or missing)


_SURE = "How sure is this?"


def how_sure(records: Records) -> Answer:
    """Detectable differences in speed, certificates, and the state of the machine, in one line."""
    report = Report.of(records)
    parts = [_detectable(report), certificates(report.records), machine_line(report.records)]
    missing = "What else ran on the machine was not recorded."
    return Answer(_SURE, " ".join(part or missing for part in parts))


def _detectable(report: Report) -> str:
    """Of the kinds whose precision decides when a run ends; the sentence names them."""
    compared = [
        (e, reference, versus.detectable if versus.processes >= ENOUGH_RUNS else None)
        for results in report.datasets
        for e in results.experiments(*(row.name for row in KINDS.values() if row.judged))
        if (reference := results.reference(e)) is not None and reference is not e
        if not results.between(e, reference)
        if (versus := results.ratio(e, reference))
    ]
    kinds = {e.kind for e, _, _ in compared}
    labels = joined([row.label for row in KINDS.values() if row.name in kinds])
    if all(e.case.framework != reference.case.framework for e, reference, _ in compared):
        labels += " between frameworks"
    sizes = [size for _, _, size in compared if size is not None]
    if not compared:
        return "No speeds are compared."
    if not sizes:
        return f"No comparison of {labels} has two processes on each side, so none has a verdict."
    smallest, middle, largest = (detected(size) for size in (min(sizes), median(sizes), max(sizes)))
    if len(sizes) == 1:
        return f"Detectable difference in speed of {labels}: {middle} (one comparison)."
    if smallest == largest:
        return (
            f"Detectable difference in speed of {labels}: {middle} in all {len(sizes)} comparisons."
        )
    return (
        f"Detectable differences in speed of {labels}: {smallest} to {largest} (median {middle}, "
        f"{len(sizes)} comparisons)."
    )


def certificates(records: Sequence[Record]) -> str:
    """How many results of the closed track carry a passed certificate."""
    certified = {track.name for track in TRACKS.values() if track.certified}
    closed = [r for r in records if r.ok and r.case.track in certified]
    if not closed:
        return "This report has no results of the closed track."
    passed = sum(status_of(record) == PASS for record in closed)
    have = "has" if passed == 1 else "have"
    of = many(len(closed), "result")
    return f"{passed} of {of} of the closed track {have} a passed certificate."
